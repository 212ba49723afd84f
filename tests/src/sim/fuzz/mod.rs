//! The coordinator replaced by a fuzzer: no coordinator of ours is here. One generator, driven by one seed, speaks to real participants
//! (real cryptography, ledgers, logs, rules with Cedar, disks that forget) and says whatever it likes, more often in sequence than not.
//!
//! It holds every key but the participants' and the analysts': the coordinator's, governance's, all stewards', those of an analyst whom it
//! made up, and those of as many participants as may collude. It remembers all that it ever heard. Beside it people sign real
//! questions and grants, operators revoke and pause, consents change, machines die between write and send.
//!
//! What holds all the same is in [`oracle`]. What a hostile *governance* can do is not a sentence here, because the roster is its word:
//! it can enrol whom it likes under any name, so a list that names `ada` admits whoever governance says is `ada`, and with the stewards' keys it can
//! grant to its own people. An owner keeps its caps, its contract and purposes (as the consortium's vocabulary reads them), what its operator
//! revoked, suspended or paused, its local policies, its consents, its own share of noise in every vector, and the two secrets of each member.
//!
//! A seed costs some 100 ms.

mod doings;
mod ears;
mod gauss;
mod lies;
mod mind;
mod oracle;
mod people;
mod rounds;
mod stream;

use engine::message::ToAgent;
use engine::participant::{Consent, Input, Participant};
use engine::record::ParticipantRecord;
use engine::{Compute, ParticipantStep};
use privacy::{Clipped, ExactSampler, NoiseBatch};
use rand::{RngExt, SeedableRng};
use rand_chacha::{ChaCha8Rng, ChaCha20Rng};

use super::consortium::SeededEntropy;
use super::names::{answered, told};
use super::node::Node;
use super::world::START_MS;
use ears::Ears;
use mind::Mind;
use oracle::Oracle;
pub use oracle::Reach;
use people::People;

/// What the fuzzer does in one seed: enough for a budget to run out.
const ACTS: usize = 1_200;

/// Values in rows: wider than any noise, and below what a contribution may reach.
const CANARY: i64 = 150_000_000;

/// How a seed went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub reach: Reach,
    pub events: usize,
    /// Hash of the whole trace: the same for the same seed, always.
    pub digest: String,
}

/// A sentence that a seed broke, and what led to it.
#[derive(Clone, Debug)]
pub struct Broken {
    pub seed: u64,
    pub sentence: String,
    pub trace: Vec<String>,
}

/// One participant's machine.
struct Site {
    node: Node<Participant>,
    entropy: SeededEntropy,
    connected: bool,
    /// Under way at the data.
    computing: Vec<Compute>,
}

/// Everything there is.
pub struct Fuzz {
    people: People,
    sites: Vec<Site>,
    mind: Mind,
    oracle: Oracle,
    rng: ChaCha8Rng,
    now_ms: u64,
    serial: i64,
    trace: Vec<String>,
}

/// Runs a seed: what it reached, or the sentence that it broke.
pub fn run(seed: u64) -> Result<Outcome, Box<Broken>> {
    let mut fuzz = Fuzz::new(seed);
    fuzz.begin();
    fuzz.answer();
    for _ in 0..ACTS {
        fuzz.act();
        fuzz.answer();
        if let Some(sentence) = fuzz.oracle.broken.take() {
            let trace = fuzz.trace;
            return Err(Box::new(Broken { seed, sentence, trace }));
        }
    }
    let digest = blake3::hash(fuzz.trace.join("\n").as_bytes()).to_hex()[..16].to_owned();
    Ok(Outcome {
        reach: fuzz.oracle.reach,
        events: fuzz.trace.len(),
        digest,
    })
}

impl Fuzz {
    fn new(seed: u64) -> Self {
        let people = People::draw(seed);
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xf0_22e2);
        let names = people.consortium.names.iter();
        let ears = names.zip(&people.owners).map(|(name, owner)| {
            Ears::new(
                owner.clone(),
                name.to_string(),
                people.roster.clone(),
                &people.signed_roster,
            )
        });
        let mut oracle = Oracle::new(ears.collect());
        oracle.ink.governance = Some(people.consortium.governance.public());
        oracle.ink.rosters.insert(people.signed_roster.hash());
        let sites = (0..people.owners.len()).map(|place| Site {
            node: Node::new(Some(
                Participant::new(people.participant(place)).expect("a valid configuration"),
            )),
            entropy: SeededEntropy(ChaCha20Rng::seed_from_u64(rng.random())),
            connected: false,
            computing: Vec::new(),
        });
        Self {
            sites: sites.collect(),
            mind: Mind::new(&people),
            people,
            oracle,
            rng,
            now_ms: START_MS,
            serial: 0,
            trace: Vec::new(),
        }
    }

    fn note(&mut self, text: String) {
        self.trace.push(format!("{:>9} {text}", self.now_ms - START_MS));
    }

    fn roll(&mut self, of_thousand: u32) -> bool {
        self.rng.random_range(0..1_000) < of_thousand
    }

    fn agents(&self) -> std::ops::Range<usize> {
        0..self.sites.len()
    }

    /// The fuzzer says something, and remembers that it did.
    fn say(&mut self, agent: usize, message: ToAgent) {
        if !self.sites[agent].connected || self.sites[agent].node.engine.is_none() {
            return;
        }
        self.note(format!("-> {} {}", self.people.consortium.names[agent], told(&message)));
        self.mind.said(agent, &message);
        self.oracle.told(agent, &message, self.now_ms);
        self.tell(agent, Input::Message(message));
    }

    /// What follows from what was heard.
    fn answer(&mut self) {
        while let Some((agent, message)) = self.mind.outbox.pop_front() {
            self.say(agent, message);
        }
    }

    /// Something happens to a participant.
    fn tell(&mut self, agent: usize, input: Input) {
        let site = &mut self.sites[agent];
        let Some(engine) = site.node.engine.as_mut() else {
            return;
        };
        let step = engine.handle(self.now_ms, &mut site.entropy, input);
        self.did(agent, step);
    }

    /// Does a step as a shell must, if the machine lives that long.
    fn did(&mut self, agent: usize, step: ParticipantStep) {
        let crash = (self.rng.random_range(0..4_000) == 0).then(|| self.rng.random_range(0..4));
        if crash == Some(0) {
            return self.crash(agent); // a torn write
        }
        self.keep(agent, &step.records);
        let generation = self.generation(agent);
        self.oracle.did(agent, &step, self.now_ms, generation);
        if crash == Some(1) {
            return self.crash(agent);
        }
        for message in step.envelopes {
            self.note(format!(
                "<- {} {}",
                self.people.consortium.names[agent],
                answered(&message)
            ));
            self.hear(agent, message);
        }
        if crash == Some(2) {
            return self.crash(agent);
        }
        self.sites[agent].computing.extend(step.compute);
        if crash == Some(3) {
            return self.crash(agent);
        }
        self.keep(agent, &step.afterwards);
        self.sites[agent].node.wake_at_ms = step.wake_at_ms;
    }

    fn keep(&mut self, agent: usize, records: &[ParticipantRecord]) {
        let rows = records
            .iter()
            .map(|record| record.to_row().expect("a record has a row"));
        self.sites[agent].node.disk.write(rows.collect::<Vec<_>>());
        self.oracle.wrote(agent, records);
    }

    fn generation(&self, agent: usize) -> u64 {
        self.people.consortium.consents[agent].stamp("", self.now_ms).generation
    }

    fn crash(&mut self, agent: usize) {
        self.note(format!("{} crashes", self.people.consortium.names[agent]));
        let site = &mut self.sites[agent];
        site.node.crash();
        site.connected = false;
        site.computing.clear();
        self.oracle.crashed(agent);
        self.mind.crashed(agent);
    }

    /// Back to life from what the disk holds, and connected.
    fn connect(&mut self, agent: usize) {
        if self.sites[agent].node.engine.is_none() {
            let config = self.people.participant(agent);
            let records = self.sites[agent].node.records();
            let engine = Participant::recover(config, records).expect("own records recover");
            self.sites[agent].node.engine = Some(engine);
        }
        self.note(format!("{} connects", self.people.consortium.names[agent]));
        self.sites[agent].connected = true;
        self.oracle.connected(agent, self.now_ms);
        self.tell(agent, Input::Connected);
    }

    fn disconnect(&mut self, agent: usize) {
        self.note(format!("{} is cut off", self.people.consortium.names[agent]));
        self.sites[agent].connected = false;
        self.tell(agent, Input::Disconnected);
    }

    /// Time passes, and whoever wanted to be woken is.
    fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        for agent in self.agents() {
            if self.sites[agent]
                .node
                .wake_at_ms
                .is_some_and(|at_ms| at_ms <= self.now_ms)
            {
                self.sites[agent].node.wake_at_ms = None;
                self.tell(agent, Input::Wake);
            }
        }
    }

    /// One computation comes to its end.
    fn compute(&mut self, agent: usize) {
        if self.sites[agent].computing.is_empty() {
            return;
        }
        let place = self.rng.random_range(0..self.sites[agent].computing.len());
        let compute = self.sites[agent].computing.swap_remove(place);
        let at = compute.at;
        if self.roll(20) {
            let result = Err(engine::participant::ComputeFailed("a file is gone".to_owned()));
            return self.tell(agent, Input::Computed { at, result });
        }
        let plan = &compute.plan;
        let values: Vec<i64> = (0..plan.dim).map(|i| CANARY + self.serial * 64 + i as i64).collect();
        self.serial += 1;
        let key: [u8; 32] = self.rng.random();
        let noised = || {
            let noise = match plan.variance {
                0 => NoiseBatch::none(plan.dim),
                variance => {
                    NoiseBatch::draw(plan.dim, variance, &mut ExactSampler::new(key)).expect("a plan has noise")
                }
            };
            let clipped = Clipped::clamp(values.clone(), &plan.bounds).expect("equal shapes");
            clipped.add(noise).expect("equal shapes")
        };
        self.oracle.computed(agent, &values);
        self.oracle.computed(agent, &noised().into_values());
        let result = Ok(noised());
        self.tell(agent, Input::Computed { at, result });
    }
}
