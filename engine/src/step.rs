//! What a shell must do after handing the engine an input, in the order in which it must happen.
//!
//! `records` durable in one transaction, then `envelopes` sent, then `spool` and `compute` started, then `afterwards` durable. If the records cannot
//! be made durable nothing else of the step may happen: the shell drops the step and the engine, and recovers. A step that
//! is dropped is a lost charge, so both types are `must_use`.

use std::sync::Arc;

use crate::ids::{AgentId, EpochSeq, JobId, SlotId};
use crate::message::{ToAgent, ToCoordinator};
use crate::record::{CoordinatorRecord, ParticipantRecord};
use crate::refused::Refused;
use crate::workload::{Plan, Refusal};

/// The coordinator's next acts.
#[derive(Default)]
#[must_use]
pub struct CoordinatorStep {
    /// First: durable, in one transaction.
    pub records: Vec<CoordinatorRecord>,
    /// Second: sent, in order per agent.
    pub envelopes: Vec<(AgentId, ToAgent)>,
    /// Third: kept for the audit window; losing one costs auditability, never privacy.
    pub spool: Vec<Spool>,
    /// Trials that are answered now: see `Input::Explain`.
    pub explained: Vec<crate::coordinator::Explained>,
    /// Answer to a `Submit`, `Explain`, `Cancel`, `Move` or `Act`; of an act, the first half of its hash.
    pub reply: Option<Result<JobId, Refusal>>,
    /// Call `handle(.., Input::Wake)` no later than this.
    pub wake_at_ms: Option<u64>,
    /// Log-safe notices.
    pub events: Vec<CoordinatorEvent>,
}

/// A participant's next acts.
#[derive(Default)]
#[must_use]
pub struct ParticipantStep {
    /// First: durable, in one transaction.
    pub records: Vec<ParticipantRecord>,
    /// Then, and before anything is sent: the connection ends with whatever it still holds, since something of what the operator stopped
    /// may be in it.
    pub sever: bool,
    /// Second: sent, in order.
    pub envelopes: Vec<ToCoordinator>,
    /// Third: touch the data.
    pub compute: Option<Compute>,
    /// Answer to an `Act` of this agent's operator, true once the records are durable and, with `sever`, no byte of the connection can leave.
    pub reply: Option<Result<(), Refusal>>,
    /// Last: durable, in one transaction, before the next input is handed in. Nothing of this step depends on them, so their disk
    /// write falls into the time in which the network works.
    pub afterwards: Vec<ParticipantRecord>,
    /// Call `handle(.., Input::Wake)` no later than this.
    pub wake_at_ms: Option<u64>,
    /// Log-safe notices.
    pub events: Vec<ParticipantEvent>,
}

/// One local computation. Its charge is durable when the shell sees it.
#[derive(Clone)]
pub struct Compute {
    /// To be handed back with the result.
    pub at: SlotId,
    pub job: JobId,
    pub round: u32,
    pub dataset: String,
    pub request: Arc<governance::Request>,
    pub contract: governance::ContentHash,
    pub plan: Arc<Plan>,
    /// What the round before left.
    pub state: Option<Arc<[u8]>>,
}

/// A masked vector after it was added to the sum.
pub struct Spool {
    pub job: JobId,
    pub at: SlotId,
    pub agent: AgentId,
    pub vector: secagg::RingVec,
}

/// What the coordinator's operator may read. Nothing in it depends on data, but for the figure of a sum that is released.
#[derive(Clone, Debug, PartialEq)]
pub enum CoordinatorEvent {
    EpochOpening {
        epoch: EpochSeq,
        members: usize,
    },
    EpochLive {
        epoch: EpochSeq,
        members: usize,
        slots: u16,
    },
    EpochVoid {
        epoch: EpochSeq,
        refused: Refused,
    },
    JobQueued {
        job: JobId,
    },
    /// A job waits: no epoch is live, or too few owners offer the dataset.
    JobWaiting {
        job: JobId,
        refused: Refused,
    },
    RoundStarted {
        job: JobId,
        round: u32,
        attempt: u32,
        at: SlotId,
    },
    RoundSummed {
        job: JobId,
        round: u32,
        at: SlotId,
        contributors: u32,
        cohort: u32,
        /// The workload's own, for the analyst who looks on: see `Outcome::Again`.
        figure: Option<f64>,
    },
    RoundFailed {
        job: JobId,
        round: u32,
        attempt: u32,
        at: SlotId,
        refused: Refused,
    },
    /// The job is answered; the answer waits for witnesses.
    Witnessing {
        job: JobId,
    },
    /// A quorum vouches for the answer: its analyst may see it.
    Released {
        job: JobId,
        repeated: bool,
    },
    /// An agent does not accept the log, or knows more of it than there is here.
    WitnessRefused {
        agent: AgentId,
        refused: Refused,
    },
    JobFailed {
        job: JobId,
        refused: Refused,
    },
    AgentRefused {
        agent: AgentId,
        at: SlotId,
        refused: Refused,
    },
    /// Somebody decided something, and it holds.
    ActTaken {
        act: governance::ContentHash,
        what: &'static str,
    },
    /// A message broke the protocol and was dropped.
    Misbehaved {
        agent: AgentId,
        refused: Refused,
    },
}

/// What a participant's operator may read. Nothing in it depends on data.
#[derive(Clone, Debug, PartialEq)]
pub enum ParticipantEvent {
    RosterAdopted {
        version: u64,
    },
    /// The configuration asks for a cap that the ledger does not grant.
    BudgetUnchanged {
        population: String,
        reason: String,
    },
    /// Two people signed it, and it holds; the first list of approvers nobody signs.
    Approved {
        what: String,
        by: Vec<String>,
    },
    /// The configuration lists others as approvers than the store, and two of those did not sign that.
    ApproversUnchanged {
        reason: String,
    },
    /// An act holds here: heard from the coordinator, or made by this agent's operator.
    ActHolds {
        act: governance::ContentHash,
        what: &'static str,
    },
    /// An act of somebody whom this agent's roster does not know, or that fits nothing here: it counts for nothing.
    ActPassedOver {
        act: governance::ContentHash,
        reason: String,
    },
    /// The next act of the stream cannot be judged before the log says more.
    ActWaits {
        act: governance::ContentHash,
        reason: String,
    },
    EpochJoining {
        epoch: EpochSeq,
        members: usize,
    },
    EpochLive {
        epoch: EpochSeq,
    },
    EpochLeft {
        epoch: EpochSeq,
        refused: Refused,
    },
    Accepted {
        job: JobId,
        round: u32,
        attempt: u32,
        at: SlotId,
    },
    Refused {
        job: JobId,
        at: SlotId,
        refused: Refused,
    },
    Charged {
        job: JobId,
        at: SlotId,
        population: String,
    },
    Sent {
        job: JobId,
        at: SlotId,
    },
    Revealed {
        at: SlotId,
    },
    /// The local computation failed. The reason stays here.
    ComputeFailed {
        at: SlotId,
        reason: String,
    },
    /// The coordinator receipted a vector and opened a sum without it; the proof convicts it before anybody.
    Excluded {
        at: SlotId,
        proof: Vec<u8>,
    },
    /// The coordinator, or a peer through it, broke the protocol: evidence.
    Suspicious {
        at: Option<SlotId>,
        refused: Refused,
    },
    Aborted {
        at: SlotId,
        refused: Refused,
    },
}
