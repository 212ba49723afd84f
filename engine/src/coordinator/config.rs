//! What a coordinator is told once, and what it can be told later. Every duration is in milliseconds and data-independent.

use std::collections::BTreeMap;
use std::sync::Arc;

use governance::{SignedAct, SignedMove, SignedRequest, SignedRoster, SignedTrial};

use crate::ids::{AgentId, JobId};
use crate::message::{Join, ToCoordinator};
use crate::workload::Workload;

/// Workloads by the `kind` of the requests that they answer: the same on every machine.
pub type Workloads = BTreeMap<String, Arc<dyn Workload>>;

/// Everything that does not change while the coordinator runs.
#[derive(Clone)]
pub struct Config {
    /// Signs releases and sums; its public half is in the roster.
    pub signing_key: Arc<secagg::SigningKey>,
    /// The same key in the form that signs events and checkpoints.
    pub actor_key: Arc<governance::SigningKey>,
    pub governance_key: governance::VerifyingKey,
    pub roster: SignedRoster,
    pub workloads: Workloads,
    pub limits: Limits,
}

/// Patience and capacity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rounds that run at the same time, each on a slot and for a job of its own.
    pub open_jobs: usize,
    /// Jobs that may wait; beyond it an organisation with less than its share is still let in.
    pub queued_jobs: usize,
    /// Jobs of one organisation that have not ended; its next one is refused.
    pub organisation_jobs: usize,
    /// What one agent may hand in: a bucket that holds an hour's amount and fills evenly.
    pub agent_events_per_hour: u32,
    pub agent_acts_per_hour: u32,
    /// Vectors on their way at the same time, over all rounds: the engine's memory stays O(4d).
    pub uploads: usize,
    /// Vectors up to this size come unasked: a grant would cost more than it saves.
    pub unasked_bytes: usize,
    /// Slots of an epoch; none: `clamp(4096 / n, 4, 256)`.
    pub slots: Option<u16>,
    /// The membership must hold still this long before a new epoch is opened for it, or ten times as long in all if it never does.
    pub epoch_settle_ms: u64,
    /// From proposal to live.
    pub epoch_timeout_ms: u64,
    /// A member that spoilt an epoch by silence stays out this long, longer each time; reconnecting helps once.
    pub bench_ms: u64,
    /// A job whose dataset has too few owners online waits this long, then fails.
    pub patience_ms: u64,
    /// Between a failed attempt and the next, doubled with each.
    pub retry_ms: u64,
    pub accept_ms: u64,
    /// For the vectors of a first round; later ones wait as long as the run has shown to need, and at least `least_collect_ms`.
    pub collect_ms: u64,
    pub least_collect_ms: u64,
    pub survive_ms: u64,
    pub unmask_ms: u64,
    /// How long releases are kept; none: for ever.
    pub keep_releases_ms: Option<u64>,
    /// Between two beats, which tell agents that they miss no act.
    pub beat_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            open_jobs: 4,
            queued_jobs: 1024,
            organisation_jobs: 256,
            agent_events_per_hour: 72_000,
            agent_acts_per_hour: 600,
            uploads: 4,
            unasked_bytes: 256 * 1024,
            slots: None,
            epoch_settle_ms: 500,
            epoch_timeout_ms: 20_000,
            bench_ms: 30_000,
            patience_ms: 30_000,
            retry_ms: 250,
            accept_ms: 5_000,
            collect_ms: 60_000,
            least_collect_ms: 2_000,
            survive_ms: 5_000,
            unmask_ms: 10_000,
            keep_releases_ms: None,
            beat_ms: 5_000,
        }
    }
}

impl Limits {
    /// Slots of an epoch of `n` members: the deals of one epoch stay near 4096 slot-members.
    pub(crate) fn slots_for(&self, n: usize) -> u16 {
        match self.slots {
            Some(slots) => slots.clamp(1, 256),
            None => (4096 / n.max(1)).clamp(4, 256) as u16,
        }
    }

    /// The longest a round can take: what agents are told to wait for.
    pub(crate) fn round_ms(&self) -> u64 {
        self.accept_ms + self.collect_ms + self.survive_ms + self.unmask_ms
    }
}

/// What can happen to a coordinator.
pub enum Input {
    /// An authenticated agent opened its stream.
    AgentJoined { agent: AgentId, join: Join },
    /// Its stream ended.
    AgentLeft { agent: AgentId },
    /// `from` is the authenticated identity of the stream, never a field of the message.
    Message { from: AgentId, message: ToCoordinator },
    /// An authenticated analyst submits; the step's `reply` answers.
    Submit(SignedRequest),
    /// The analyst gives up; the step's `reply` answers.
    Cancel { job: JobId, analyst: String },
    /// An authenticated analyst asks how a question would be decided; the step's `reply` names the trial, a later step's `explained` answers.
    Explain(SignedTrial),
    /// An authenticated analyst moves a version of a model; the step's `reply` answers with its release.
    Move(SignedMove),
    /// Somebody decides something, and the door saw that the connection is its signer's; the step's `reply` answers.
    Act(SignedAct),
    /// A new roster from governance.
    Roster(SignedRoster),
    /// Time passed.
    Wake,
}
