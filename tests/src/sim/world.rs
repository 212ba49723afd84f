//! The loop: takes the next happening in virtual time, hands it to a party, does the step that comes back in the order that a shell
//! must keep, and lets the checkers look. Everything is drawn from one generator, so a seed is a run.

use std::collections::{BTreeMap, BTreeSet};

use engine::coordinator::{self, Coordinator, records_of};
use engine::message::{Join, ToAgent, ToCoordinator};
use engine::participant::{self, Participant, mirror};
use engine::{AgentId, Compute, JobId, Refusal};
use governance::log::Trust;
use governance::log::restore::{Missing, restore};
use governance::{ContentHash, Request, SignedRequest};
use rand::{RngExt, SeedableRng};
use rand_chacha::{ChaCha8Rng, ChaCha20Rng};

use super::acts::Decision;
use super::checks::Checks;
use super::consortium::SeededEntropy;
use super::hostile::Adversary;
use super::names::{answered, told};
use super::network::Link;
use super::node::{Disk, Node};
use super::work::{Serials, Work};
use super::{Consortium, Options};

/// Virtual time starts here: 2026-01-01, so that caps and expiries see a plausible clock.
pub const START_MS: u64 = 1_767_225_600_000;

/// Everything there is.
pub struct World {
    pub options: Options,
    pub consortium: Consortium,
    pub coordinator: Node<Coordinator>,
    pub participants: Vec<Node<Participant>>,
    pub now_ms: u64,
    pub trace: Vec<String>,
    pub checks: Checks,
    /// Every request that was ever submitted.
    pub requests: BTreeMap<JobId, SignedRequest>,
    /// Grants that were asked for, the newest last.
    pub grants: Vec<ContentHash>,
    /// Trials that were answered, the newest last.
    pub explained: Vec<coordinator::Explained>,
    /// Whether faults happen now.
    pub faults: bool,
    /// Agents that are connected and dead to the world.
    pub hung: BTreeSet<usize>,
    /// Agents that take 50 seconds for every vector.
    pub slow: BTreeSet<usize>,
    /// Agents whose events the coordinator drops.
    pub unlogged: BTreeSet<usize>,
    /// Agents that the coordinator brings no acts, with beats as if there were none.
    pub withheld: BTreeSet<usize>,
    /// Agents whose Accepts name a grant of the story's.
    pub claims: BTreeMap<usize, ContentHash>,
    /// Agents that are shown no more of the log.
    pub unshown: BTreeSet<usize>,
    /// Agents whose signatures under the log are lost on their way.
    pub unsigned: BTreeSet<usize>,
    /// What agents were sent, if a story wants to say it again.
    pub overheard: Option<Vec<(usize, ToAgent)>>,
    pub(super) rng: ChaCha8Rng,
    pub(super) adversary: Adversary,
    pub(super) work: Box<dyn Work>,
    pub(super) links: Vec<Link>,
    entropy: Vec<SeededEntropy>,
    queue: BTreeMap<(u64, u64), Happening>,
    sequence: u64,
    pub(super) serial: i64,
    nonce: u64,
}

/// What can happen next.
pub(super) enum Happening {
    ToAgent {
        agent: usize,
        connection: u32,
        message: ToAgent,
    },
    ToCoordinator {
        agent: usize,
        connection: u32,
        message: ToCoordinator,
    },
    Joined {
        agent: usize,
        connection: u32,
        join: Join,
    },
    Computed {
        agent: usize,
        life: u32,
        compute: Box<Compute>,
        serial: i64,
    },
    WakeCoordinator,
    WakeAgent {
        agent: usize,
    },
    Connect {
        agent: usize,
    },
    RestartCoordinator,
    RestartAgent {
        agent: usize,
    },
    Submit {
        request: Box<Request>,
    },
    Decide(Decision),
}

impl World {
    /// A consortium whose vectors are serial numbers.
    pub fn new(seed: u64, options: Options) -> Self {
        Self::of(seed, options, Box::new(Serials))
    }

    /// A consortium whose agents connect within a second, the late ones later.
    pub fn of(seed: u64, options: Options, work: Box<dyn Work>) -> Self {
        let consortium = Consortium::new(options.agents, options.c, seed, &*work);
        Self::among(consortium, seed, options, work)
    }

    /// The same among people of the story's own.
    pub fn among(consortium: Consortium, seed: u64, options: Options, work: Box<dyn Work>) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let coordinator = Coordinator::new(consortium.coordinator(&options)).expect("a valid configuration");
        let participants = (0..options.agents)
            .map(|place| Participant::new(consortium.participant(place, &options)).expect("a valid configuration"));
        let entropy = (0..options.agents).map(|_| SeededEntropy(ChaCha20Rng::seed_from_u64(rng.random())));
        let mut world = Self {
            coordinator: Node::new(Some(coordinator)),
            participants: participants.map(|engine| Node::new(Some(engine))).collect(),
            now_ms: START_MS,
            trace: Vec::new(),
            checks: Checks::new(&options),
            requests: BTreeMap::new(),
            grants: Vec::new(),
            explained: Vec::new(),
            faults: false,
            hung: BTreeSet::new(),
            slow: BTreeSet::new(),
            unlogged: BTreeSet::new(),
            withheld: BTreeSet::new(),
            claims: BTreeMap::new(),
            unshown: BTreeSet::new(),
            unsigned: BTreeSet::new(),
            overheard: None,
            adversary: Adversary::default(),
            work,
            links: (0..options.agents).map(|_| Link::default()).collect(),
            entropy: entropy.collect(),
            queue: BTreeMap::new(),
            sequence: 0,
            serial: 0,
            nonce: seed << 16,
            rng,
            consortium,
            options,
        };
        for agent in 0..world.options.agents {
            let late = agent >= world.options.agents - world.options.late;
            let wait_ms = if late {
                world.rng.random_range(0..=world.options.faults_ms)
            } else {
                0
            };
            let jitter_ms = world.rng.random_range(0..1000);
            world.after(wait_ms + jitter_ms, Happening::Connect { agent });
        }
        world
    }

    /// Puts a question of the analyst's into the world.
    pub fn ask(&mut self, after_ms: u64, request: Request) -> JobId {
        let signed = self.consortium.signed(&request);
        let job = JobId::of(&signed.hash().0);
        self.requests.insert(job, signed);
        self.after(
            after_ms,
            Happening::Submit {
                request: Box::new(request),
            },
        );
        job
    }

    /// A question with a nonce of its own.
    pub fn question(&mut self, rounds: u32) -> Request {
        self.nonce += 1;
        self.consortium.question(self.nonce, self.now_ms, rounds)
    }

    /// A request of another kind, with a nonce of its own.
    pub fn request(&mut self, kind: &str, task: String, epsilon: f64) -> Request {
        self.nonce += 1;
        self.consortium.request(self.nonce, self.now_ms, kind, task, epsilon)
    }

    /// Runs until `until_ms`, or until `done` says so; whether it did.
    pub fn run_until(&mut self, until_ms: u64, done: impl Fn(&World) -> bool) -> Result<bool, String> {
        loop {
            if done(self) {
                return Ok(true);
            }
            let Some(((at_ms, _), _)) = self.queue.first_key_value() else {
                return Ok(false);
            };
            if *at_ms > until_ms {
                self.now_ms = until_ms;
                return Ok(false);
            }
            if let Some(((at_ms, _), happening)) = self.queue.pop_first() {
                self.now_ms = self.now_ms.max(at_ms);
                self.happen(happening);
            }
            if let Some(broken) = self.checks.broken.take() {
                return Err(broken);
            }
        }
    }

    /// Governance makes the next roster, and the coordinator takes it.
    pub fn govern(&mut self, change: impl FnOnce(&mut governance::Roster)) {
        let consortium = &mut self.consortium;
        change(&mut consortium.roster);
        consortium.roster.version += 1;
        let signed = consortium.roster.sign(&consortium.governance);
        consortium.signed_roster = signed.expect("a simulated roster is valid");
        let roster = consortium.signed_roster.clone();
        let reply = self.tell_coordinator(coordinator::Input::Roster(roster));
        assert!(!matches!(reply, Some(Err(_))), "{reply:?}");
    }

    /// An analyst of another organisation joins.
    pub fn joins(&mut self, analyst: &str, organisation: &str) {
        let seed = ContentHash::of("analyst", &[analyst.as_bytes()]);
        let key = governance::SigningKey::from_seed(&seed.0).expect("a seed is a key");
        let entry = governance::Analyst {
            id: analyst.to_owned(),
            organisation: organisation.to_owned(),
            key: key.public(),
            tls_key: ContentHash::of("tls", &[analyst.as_bytes()]),
        };
        self.consortium.others.insert(analyst.to_owned(), key);
        self.govern(|roster| roster.analysts.push(entry));
    }

    /// Whether every request asked so far has ended, and every answer is shown.
    pub fn every_job_ended(&self) -> bool {
        let Some(engine) = &self.coordinator.engine else {
            return false;
        };
        let books = engine.books();
        let shown =
            |job: &JobId| books.job(job).is_some_and(|job| job.release().is_none()) || books.log().is_witnessed(job);
        self.requests
            .keys()
            .all(|job| books.job(job).is_some() && books.open(job).is_none() && shown(job))
    }

    /// No faults from here on; whoever is down comes back, and the analyst asks again for what was lost.
    pub fn heal(&mut self) {
        self.faults = false;
        self.note("heal".to_owned());
        if self.coordinator.engine.is_none() {
            self.after(10, Happening::RestartCoordinator);
        }
        for agent in 0..self.options.agents {
            if self.participants[agent].engine.is_none() {
                self.after(10, Happening::RestartAgent { agent });
            }
            self.after(1000, Happening::Connect { agent });
        }
        let requests: Vec<SignedRequest> = self.requests.values().cloned().collect();
        for (request, wait_ms) in requests.into_iter().zip(2000..) {
            let request: Request = serde_json::from_slice(&request.body).expect("own request reads back");
            self.after(
                wait_ms,
                Happening::Submit {
                    request: Box::new(request),
                },
            );
        }
    }

    /// The machine of an agent dies now and comes back later, if at all.
    pub fn crash_agent(&mut self, agent: usize, back_after_ms: Option<u64>) {
        if self.participants[agent].engine.is_none() {
            return;
        }
        self.note(format!("{} crashes", self.consortium.names[agent]));
        self.checks.recovered_books_equal_live_books(&self.participants[agent]);
        self.participants[agent].crash();
        self.disconnect(agent);
        if let Some(wait_ms) = back_after_ms {
            self.after(wait_ms, Happening::RestartAgent { agent });
        }
    }

    /// The coordinator's machine dies now and comes back later, if at all.
    pub fn crash_coordinator(&mut self, back_after_ms: Option<u64>) {
        if self.coordinator.engine.is_none() {
            return;
        }
        self.note("coordinator crashes".to_owned());
        self.checks.recovered_coordinator_equals_live_one(&self.coordinator);
        self.checks.usage_of_the_books_is_that_of_the_log(&self.coordinator);
        self.coordinator.crash();
        (0..self.options.agents).for_each(|agent| self.disconnect(agent));
        if let Some(wait_ms) = back_after_ms {
            self.after(wait_ms, Happening::RestartCoordinator);
        }
    }

    /// The coordinator's machine burns down with its disk. A new one is made of what these agents kept, and is up a second later; what they
    /// lack is said.
    pub fn lose_coordinator(&mut self, mirrors: &[usize]) -> Vec<Missing> {
        self.crash_coordinator(Some(1_000));
        self.note("coordinator's disk is lost".to_owned());
        let roster = &self.consortium.signed_roster;
        let mirrors = mirrors.iter().map(|place| {
            let name = self.consortium.names[*place].as_str();
            mirror(name, roster.clone(), self.participants[*place].records())
        });
        let trust = Trust::of(&self.consortium.roster).expect("a simulated roster has witnesses");
        let governance = self.consortium.governance.public();
        let restored = restore(
            mirrors.collect(),
            trust.log(),
            &governance,
            &self.consortium.signed_roster,
            self.now_ms,
        );
        let restored = restored.expect("own mirrors verify");
        let missing = restored.missing.clone();
        let rows = records_of(restored, self.now_ms).into_iter();
        let rows = rows.map(|record| record.to_row().expect("own records are written"));
        // Jobs are in no mirror: nobody waits for them any more.
        self.requests.clear();
        self.coordinator.disk = Disk::default();
        self.coordinator.disk.write(rows);
        missing
    }

    /// The agent loses its connection, and finds it again later, if at all.
    pub fn partition(&mut self, agent: usize, for_ms: Option<u64>) {
        self.note(format!("{} is cut off", self.consortium.names[agent]));
        self.disconnect(agent);
        if let Some(wait_ms) = for_ms {
            self.after(wait_ms, Happening::Connect { agent });
        }
    }

    /// Hands an input to a participant, outside of any network.
    pub fn tell_participant(&mut self, agent: usize, input: participant::Input) {
        let Some(engine) = self.participants[agent].engine.as_mut() else {
            return;
        };
        if self.hung.contains(&agent) {
            return;
        }
        let step = engine.handle(self.now_ms, &mut self.entropy[agent], input);
        self.participant_step(agent, step);
    }

    /// Hands an input to the coordinator, outside of any network.
    pub fn tell_coordinator(&mut self, input: coordinator::Input) -> Option<Result<JobId, Refusal>> {
        let engine = self.coordinator.engine.as_mut()?;
        let step = engine.handle(self.now_ms, input);
        self.coordinator_step(step)
    }

    /// Delivers a message to an agent as if the coordinator had sent it now.
    pub fn inject(&mut self, agent: usize, message: ToAgent) {
        self.checks.told(agent, &message);
        self.tell_participant(agent, participant::Input::Message(message));
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::ToAgent {
                agent,
                connection,
                message,
            } => {
                if self.links[agent].up && self.links[agent].number == connection {
                    self.note(format!("-> {} {}", self.consortium.names[agent], told(&message)));
                    self.checks.told(agent, &message);
                    self.tell_participant(agent, participant::Input::Message(message));
                }
            }
            Happening::ToCoordinator {
                agent,
                connection,
                message,
            } => {
                if self.links[agent].up && self.links[agent].number == connection {
                    self.note(format!("<- {} {}", self.consortium.names[agent], answered(&message)));
                    self.checks.arrives(agent, &message);
                    let from = self.consortium.names[agent].clone();
                    let lost = match &message {
                        ToCoordinator::Events(_) => self.unlogged.contains(&agent),
                        ToCoordinator::LogSeen(_) => self.unsigned.contains(&agent),
                        _ => false,
                    };
                    if !lost {
                        self.tell_coordinator(coordinator::Input::Message { from, message });
                    }
                }
            }
            Happening::Joined {
                agent,
                connection,
                join,
            } => {
                if self.links[agent].up && self.links[agent].number == connection {
                    let name = self.consortium.names[agent].clone();
                    self.note(format!("{name} joins"));
                    self.tell_coordinator(coordinator::Input::AgentJoined { agent: name, join });
                }
            }
            Happening::Computed {
                agent,
                life,
                compute,
                serial,
            } => self.computed(agent, life, &compute, serial),
            Happening::WakeCoordinator => {
                self.coordinator.wake_at_ms = None;
                self.tell_coordinator(coordinator::Input::Wake);
            }
            Happening::WakeAgent { agent } => {
                self.participants[agent].wake_at_ms = None;
                self.tell_participant(agent, participant::Input::Wake);
            }
            Happening::Connect { agent } => self.connect(agent),
            Happening::RestartCoordinator => self.restart_coordinator(),
            Happening::RestartAgent { agent } => self.restart_agent(agent),
            Happening::Decide(decision) => self.decided(decision),
            Happening::Submit { request } => {
                let signed = self.consortium.signed(&request);
                let reply = self.tell_coordinator(coordinator::Input::Submit(signed));
                self.note(format!("submit: {reply:?}"));
                if let Some(Err(_)) = reply {
                    let wait_ms = 2_000; // a client asks again
                    self.after(wait_ms, Happening::Submit { request });
                }
            }
        }
    }

    fn restart_coordinator(&mut self) {
        if self.coordinator.engine.is_some() {
            return;
        }
        self.note("coordinator restarts".to_owned());
        let config = self.consortium.coordinator(&self.options);
        let engine = Coordinator::recover(config, self.coordinator.records()).expect("own records recover");
        self.coordinator.engine = Some(engine);
        self.tell_coordinator(coordinator::Input::Wake);
        for agent in 0..self.options.agents {
            let wait_ms = self.rng.random_range(0..2000);
            self.after(wait_ms, Happening::Connect { agent });
        }
    }

    fn restart_agent(&mut self, agent: usize) {
        if self.participants[agent].engine.is_some() {
            return;
        }
        self.note(format!("{} restarts", self.consortium.names[agent]));
        let config = self.consortium.participant(agent, &self.options);
        let engine = Participant::recover(config, self.participants[agent].records()).expect("own records recover");
        self.participants[agent].engine = Some(engine);
        let wait_ms = self.rng.random_range(0..2000);
        self.after(wait_ms, Happening::Connect { agent });
    }

    pub(super) fn roll(&mut self, per_mille: u32) -> bool {
        self.faults && per_mille > 0 && self.rng.random_range(0..1000) < per_mille
    }

    pub(super) fn after(&mut self, wait_ms: u64, happening: Happening) {
        self.at(self.now_ms + wait_ms, happening);
    }

    pub(super) fn at(&mut self, at_ms: u64, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((at_ms.max(self.now_ms), self.sequence), happening);
    }

    pub(super) fn place(&self, name: &AgentId) -> Option<usize> {
        self.consortium.names.iter().position(|own| own == name)
    }

    pub(super) fn note(&mut self, text: String) {
        self.trace.push(format!("{:>9} {text}", self.now_ms - START_MS));
    }
}
