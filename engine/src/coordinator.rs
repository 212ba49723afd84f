//! The coordinator: opens epochs, queues jobs, runs rounds, releases answers. It is trusted for order and liveness only;
//! everything that protects data is checked again by each participant.
//!
//! A file per phase of a round lies under `round/`, mirrored by the participant's. Costs a few microseconds per message
//! beside the signatures and vectors that `secagg` handles; memory is O(d) per open round plus the vectors in flight.

mod acts;
mod books;
mod caps;
mod catalogue;
mod config;
mod epoch;
mod jobs;
mod log;
mod models;
mod pace;
mod restored;
mod retention;
mod round;
mod shown;
mod tenure;
mod terms;
mod trial;
mod uploads;
mod view;

use std::collections::BTreeMap;

use governance::Roster;

pub use books::{Books, Expired, Inconsistent, Job, JobState, Progress};
pub use catalogue::{Catalogue, Offered, Presence};
pub use config::{Config, Input, Limits, Workloads};
pub use log::LogBooks;
pub use restored::records_of;
pub use shown::{Reader, Shown};
pub use trial::Explained;
pub use view::{EpochView, JobView, Phase as JobPhase};

use crate::codes;
use crate::ids::{AgentId, JobId, SlotId};
use crate::message::{ToAgent, ToCoordinator};
use crate::record::CoordinatorRecord;
use crate::refused::Refused;
use crate::step::{CoordinatorEvent, CoordinatorStep};
use crate::workload::Refusal;

/// The coordinator as a value.
pub struct Coordinator {
    config: Config,
    roster: Roster,
    roster_hash: governance::ContentHash,
    books: Books,
    catalogue: Catalogue,
    epochs: epoch::Epochs,
    jobs: jobs::Runtime,
    rounds: BTreeMap<SlotId, round::Round>,
    uploads: uploads::Uploads,
    log: log::Log,
    feeds: acts::Feeds,
    caps: caps::Caps,
    retention: retention::Retention,
    trials: trial::Trials,
    /// Of the newest input.
    now_ms: u64,
}

/// Why a coordinator cannot start.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Roster(#[from] governance::RosterError),
    #[error("corrupt records: {0}")]
    Records(#[from] Inconsistent),
    #[error("the roster allows no witnesses for the log: {0}")]
    Trust(#[from] governance::log::TrustError),
}

impl Coordinator {
    /// A coordinator without a past.
    pub fn new(config: Config) -> Result<Self, StartError> {
        Self::recover(config, [])
    }

    /// A coordinator as its records describe it: open rounds are abandoned, jobs and their progress stay.
    pub fn recover(config: Config, records: impl IntoIterator<Item = CoordinatorRecord>) -> Result<Self, StartError> {
        let roster = config.roster.verify(&config.governance_key)?;
        let mut books = Books::default();
        for record in records {
            books.apply(&record)?;
        }
        Ok(Self {
            log: log::Log::new(&roster, &books)?,
            roster,
            roster_hash: config.roster.hash(),
            books,
            catalogue: Catalogue::default(),
            epochs: epoch::Epochs::default(),
            jobs: jobs::Runtime::default(),
            rounds: BTreeMap::new(),
            uploads: uploads::Uploads::new(config.limits.uploads),
            feeds: acts::Feeds::default(),
            caps: caps::Caps::default(),
            retention: retention::Retention::default(),
            trials: trial::Trials::default(),
            now_ms: 0,
            config,
        })
    }

    /// What follows from one input. The coordinator draws no randomness: it has no secrets. The caller does the step before it hands in the next input.
    pub fn handle(&mut self, now_ms: u64, input: Input) -> CoordinatorStep {
        self.now_ms = now_ms;
        let mut turn = Turn {
            now_ms,
            step: CoordinatorStep::default(),
            leaves: Vec::new(),
        };
        // The roster stands in the log before anything that is said under it.
        self.settle_log(&mut turn);
        match input {
            Input::AgentJoined { agent, join } => self.agent_joined(agent, join, &mut turn),
            Input::AgentLeft { agent } => self.agent_left(&agent, &mut turn),
            Input::Message { from, message } => self.message(from, message, &mut turn),
            Input::Submit(signed) => {
                let reply = self.submit(signed, &mut turn);
                turn.step.reply = Some(reply);
            }
            Input::Cancel { job, analyst } => {
                let reply = self.cancel(job, &analyst, &mut turn);
                turn.step.reply = Some(reply);
            }
            Input::Explain(signed) => {
                let reply = self.explain(signed, &mut turn);
                turn.step.reply = Some(reply);
            }
            Input::Move(signed) => {
                let reply = self.move_model(signed, &mut turn);
                turn.step.reply = Some(reply);
            }
            Input::Act(signed) => {
                let reply = self.take_act(signed, &mut turn);
                turn.step.reply = Some(reply);
            }
            Input::Roster(roster) => self.adopt_roster(roster, &mut turn),
            Input::Wake => {}
        }
        self.beat(&mut turn);
        self.expire_rounds(&mut turn);
        self.tend_epochs(&mut turn);
        self.schedule(&mut turn);
        self.tend_retention(&mut turn);
        self.tend_log(&mut turn);
        self.close_trials(&mut turn);
        turn.step.wake_at_ms = self.next_wake(now_ms);
        turn.step
    }

    fn agent_joined(&mut self, agent: AgentId, join: crate::message::Join, turn: &mut Turn) {
        if self.roster.agent(agent.as_str()).is_none() {
            let refused = Refusal::new(codes::ROSTER, format!("agent `{agent}` is not in the roster"));
            return turn.misbehaved(&agent, refused);
        }
        self.agent_left(&agent, turn);
        if join.epochs.is_empty() {
            self.jobs.is_fresh(&agent);
        }
        turn.send(&agent, ToAgent::Roster(self.config.roster.clone()));
        let held = self.epochs.known();
        for epoch in join.epochs.iter().filter(|epoch| !held.contains(epoch)) {
            turn.send(&agent, ToAgent::EpochClosed { epoch: *epoch });
        }
        self.witness_joined(&agent, join.log_size, turn);
        let acts = join.acts;
        for fault in self.catalogue.joined(agent.clone(), join) {
            turn.event(CoordinatorEvent::Misbehaved {
                agent: agent.clone(),
                refused: fault,
            });
        }
        self.tell_acts(&agent, acts, turn);
        self.forget_contracts();
        self.epochs.came_back(&agent, turn.now_ms);
    }

    fn agent_left(&mut self, agent: &AgentId, turn: &mut Turn) {
        if !self.catalogue.left(agent) {
            return;
        }
        self.log.left(agent);
        self.uploads.left(agent);
        self.trials_left(agent);
        self.forget_contracts();
        self.epochs.membership_changed(turn.now_ms);
        self.epoch_member_left(agent, turn);
        let open: Vec<SlotId> = self.rounds.keys().copied().collect();
        for at in open {
            self.round_event(at, round::Event::Lost(agent), turn);
        }
        self.grant_uploads(turn);
    }

    fn message(&mut self, from: AgentId, message: ToCoordinator, turn: &mut Turn) {
        if self.catalogue.agent(&from).is_none() {
            let refused = Refusal::new(codes::OUT_OF_ORDER, format!("message of `{from}` before it joined"));
            return turn.misbehaved(&from, refused);
        }
        use ToCoordinator as M;
        match message {
            M::Offers(offers) => {
                for refused in self.catalogue.offers(&from, offers) {
                    let agent = from.clone();
                    turn.event(CoordinatorEvent::Misbehaved { agent, refused });
                }
                self.forget_contracts();
            }
            M::Setup(part) => self.setup_message(&from, part, turn),
            M::EpochLeft {
                epoch,
                refused,
                dispute,
            } => {
                self.epoch_left(&from, epoch, refused, dispute, turn);
            }
            M::Act(signed) => self.act_of_agent(&from, signed, turn),
            M::ActsWanted { from: place } => self.tell_acts(&from, place, turn),
            M::RosterWanted { roster } => {
                if let Some(roster) = self.books.roster(&roster) {
                    turn.send(&from, ToAgent::Roster(roster.clone()));
                }
            }
            M::Accept { at, accept, grant } => match self.admission(&from, at, grant, turn) {
                Ok(grant) => self.round_event(at, round::Event::Accept(&from, accept, grant), turn),
                Err(refused) => {
                    turn.event(CoordinatorEvent::AgentRefused {
                        agent: from.clone(),
                        at,
                        refused: refused.clone(),
                    });
                    self.round_event(at, round::Event::Refused(&from, refused), turn);
                }
            },
            M::Refuse { at, refused } => {
                if refused.code == codes::NO_EPOCH {
                    self.epoch_left(&from, at.epoch, refused.clone(), None, turn);
                }
                self.jobs.refused_state(&from, &refused.code);
                turn.event(CoordinatorEvent::AgentRefused {
                    agent: from.clone(),
                    at,
                    refused: refused.clone(),
                });
                self.round_event(at, round::Event::Refused(&from, refused), turn);
            }
            M::Ready { at } => {
                if self.rounds.get(&at).is_some_and(|round| round.awaits_vector(&from)) {
                    self.uploads.ready(at, from);
                    self.grant_uploads(turn);
                }
            }
            M::MaskedInput(masked) => {
                let at = masked.at;
                self.uploads.finished(at, &from);
                self.round_event(at, round::Event::Masked(&from, masked), turn);
                self.grant_uploads(turn);
            }
            M::Vote { at, vote } => self.round_event(at, round::Event::Vote(&from, vote), turn),
            M::Reveal { at, reveal } => self.round_event(at, round::Event::Reveal(&from, reveal), turn),
            M::Paths { at, paths } => self.round_event(at, round::Event::Paths(&from, paths), turn),
            M::Edges { at, edges } => self.round_event(at, round::Event::Edges(&from, edges), turn),
            M::Events(leaves) => self.events(&from, leaves, turn),
            M::LogSeen(seen) => self.log_seen(&from, seen, turn),
            M::TrialAnswer { id, answer } => self.trial_answered(&from, id, answer),
            M::Aborted { at, refused } => {
                turn.event(CoordinatorEvent::AgentRefused {
                    agent: from.clone(),
                    at,
                    refused,
                });
                self.uploads.finished(at, &from);
                self.round_event(at, round::Event::Lost(&from), turn);
                self.grant_uploads(turn);
            }
        }
    }

    fn forget_contracts(&mut self) {
        let open = self.books.open_jobs().iter();
        let named = open.filter_map(|job| self.books.job(job).map(|entry| entry.request.contract));
        self.catalogue.forget_contracts(&named.collect());
    }

    fn adopt_roster(&mut self, signed: governance::SignedRoster, turn: &mut Turn) {
        let verified = signed.verify(&self.config.governance_key);
        let adopted = verified.and_then(|roster| roster.supersedes(&self.roster).map(|()| roster));
        let trusted = adopted.map_err(|error| error.to_string()).and_then(|roster| {
            let trust = governance::log::Trust::of(&roster).map_err(|error| error.to_string())?;
            Ok((roster, trust))
        });
        match trusted {
            Ok((roster, trust)) => {
                self.roster = roster;
                self.log.trusts(trust);
                self.roster_hash = signed.hash();
                self.config.roster = signed;
                self.log_roster(turn);
                let agents: Vec<AgentId> = self.catalogue.agents().map(|(id, _)| id.clone()).collect();
                for agent in agents {
                    turn.send(&agent, ToAgent::Roster(self.config.roster.clone()));
                }
                self.epochs.membership_changed(turn.now_ms);
            }
            Err(error) => {
                let refused = Refusal::new(codes::ROSTER, error);
                turn.step.reply = Some(Err(refused));
            }
        }
    }

    fn grant_uploads(&mut self, turn: &mut Turn) {
        while let Some((at, agent)) = self.uploads.grant() {
            turn.send(&agent, ToAgent::UploadGrant { at });
        }
    }

    /// Makes a record true now; the shell makes it durable before anything else of the step happens.
    fn record(&mut self, record: CoordinatorRecord, turn: &mut Turn) {
        // Unwrap safety: the callers write records of open jobs and fresh epochs only; a record that does not apply is a bug
        // that must not reach the disk.
        self.books
            .apply(&record)
            .expect("records of the running coordinator apply");
        turn.step.records.push(record);
    }

    fn fail_job(&mut self, job: JobId, refused: impl Into<Refused>, turn: &mut Turn) {
        let refused = refused.into();
        let at_ms = turn.now_ms;
        let request_hash = self.books.job(&job).map(|entry| entry.hash);
        turn.event(CoordinatorEvent::JobFailed {
            job,
            refused: refused.clone(),
        });
        self.record(CoordinatorRecord::JobFailed { job, refused, at_ms }, turn);
        self.jobs.ended(&job);
        if let Some(hash) = request_hash {
            self.tell_ended(job, hash.0, turn);
        }
    }

    fn tell_ended(&mut self, job: JobId, request_hash: [u8; 32], turn: &mut Turn) {
        let agents: Vec<AgentId> = self.catalogue.agents().map(|(id, _)| id.clone()).collect();
        for agent in agents {
            turn.send(&agent, ToAgent::JobEnded { job, request_hash });
        }
    }

    fn next_wake(&self, now_ms: u64) -> Option<u64> {
        let rounds = self.rounds.values().map(round::Round::deadline_ms).min();
        let times = [
            rounds,
            self.epochs.wake_at_ms(),
            self.jobs_wake(now_ms),
            self.log_wake(),
            self.feeds.beat_at_ms,
            self.retention.look_at_ms,
            self.trials.wake_at_ms(),
        ];
        times.into_iter().flatten().min()
    }
}

/// One call of `handle`: the time, and the step as it grows.
pub(crate) struct Turn {
    pub now_ms: u64,
    pub step: CoordinatorStep,
    /// Events of the coordinator's own, for the transaction of this step.
    pub leaves: Vec<governance::log::SignedEvent>,
}

impl Turn {
    pub(crate) fn send(&mut self, agent: &AgentId, message: ToAgent) {
        self.step.envelopes.push((agent.clone(), message));
    }

    pub(crate) fn event(&mut self, event: CoordinatorEvent) {
        self.step.events.push(event);
    }

    pub(crate) fn misbehaved(&mut self, agent: &AgentId, refusal: Refusal) {
        let agent = agent.clone();
        let refused = refusal.into();
        self.event(CoordinatorEvent::Misbehaved { agent, refused });
    }
}
