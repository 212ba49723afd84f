//! Every message between the coordinator and an agent, in protocol order.
//!
//! What secagg signs travels as its canonical signed bytes ([`Wire`]): the engine relays it unopened and secagg checks
//! it where it is used. The rest is routing. A message costs a few hundred bytes, one that carries everybody's signatures
//! as many for each member; the vector is moved, never cloned. With n agents a round is 7n messages: start, Accept, cohort,
//! vector, receipt, survivors, Reveal. Where somebody is missing a vote and its certificate add 2n, and where uploads wait
//! for a grant that adds 2n. Beside it an agent hands in two small batches of events and answers a checkpoint. The end of round r carries the start of round r + 1.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use governance::log::TreeHash;
use governance::{ContentHash, SignedAct, SignedRequest, SignedRoster, SignedTrial};

use crate::ids::{AgentId, EpochSeq, JobId, SlotId};
use crate::refused::Refused;
use crate::workload::CohortTerms;

/// A secagg message in canonical signed bytes: relayed unopened, cheap to clone.
pub type Wire = Arc<[u8]>;

/// From the coordinator to one agent.
#[derive(Clone)]
pub enum ToAgent {
    /// The newest roster, sent after joining and whenever it rises; an older one where the agent asks for it. The agent checks governance's
    /// signature itself.
    Roster(SignedRoster),
    /// Acts that concern this agent's organisation, in the order in which they were taken.
    Acts(Acts),
    /// At a fixed beat: how far the acts of this agent go. Silence means that it may not know of a revocation.
    Heartbeat(Cursor),
    /// A new epoch is proposed over these members; the agent answers with its Hello.
    EpochOpen(EpochOpen),
    /// The parts of a setup step that concern this agent.
    Setup(SetupToAgent),
    /// The epoch is void or spent: erase its secrets.
    EpochClosed { epoch: EpochSeq },
    /// A round begins.
    RoundStart(RoundStart),
    /// The signed Accepts of the cohort, this agent's among them.
    Cohort(Cohort),
    /// An agent that said Ready may upload now.
    UploadGrant { at: SlotId },
    /// The coordinator's signed receipt for a masked vector.
    Receipt { at: SlotId, receipt: Wire },
    /// Whose vectors arrived: the signed digest of each, goes to every member of the epoch.
    Survivors { at: SlotId, survivors: Wire },
    /// At least t equal votes.
    Certificate { at: SlotId, certificate: Wire },
    /// A secret did not open: members prove the shares that they revealed.
    PathsWanted { at: SlotId },
    /// A sealed bundle was bad: survivors reveal their edges with the certified dropped.
    EdgesWanted { at: SlotId },
    /// The round is over, erase the slot; in a job of many rounds the next one starts in the same breath.
    RoundEnded { at: SlotId, next: Option<Box<RoundStart>> },
    /// The job is over for good: whatever was reserved for it and never exposed can be voided.
    JobEnded { job: JobId, request_hash: [u8; 32] },
    /// The log as it grew since this agent last looked, to be examined and cosigned.
    LogGrown(Box<LogGrown>),
    /// An analyst asks how this owner would decide; nothing happens.
    Trial(Trial),
}

/// From one agent to the coordinator. The sender is the authenticated connection's, never a field.
pub enum ToCoordinator {
    /// Datasets that this agent serves from now on; replaces what it said before.
    Offers(Vec<Offer>),
    /// What this agent's own operator decided; said again at every beat until it comes back among the acts.
    Act(SignedAct),
    /// Acts from this one on, please: some are missing here.
    ActsWanted { from: u64 },
    /// A roster of before, please: an act was taken under it.
    RosterWanted { roster: ContentHash },
    /// This agent's message of a setup step.
    Setup(SetupToCoordinator),
    /// The agent cannot take part in this epoch (restart, dispute, timeout).
    EpochLeft {
        epoch: EpochSeq,
        refused: Refused,
        /// A peer's part did not hold: the evidence, to be judged by anybody.
        dispute: Option<Wire>,
    },
    /// The agent takes part in the round.
    Accept {
        at: SlotId,
        accept: Wire,
        /// The grant that the analyst is admitted by, where the owner's own list does not.
        grant: Option<ContentHash>,
    },
    /// The agent does not, for a reason that does not depend on data.
    Refuse { at: SlotId, refused: Refused },
    /// The masked vector is ready and larger than what may come unasked.
    Ready { at: SlotId },
    /// The contribution.
    MaskedInput(MaskedInput),
    /// One vote for a survivor set (slow path).
    Vote { at: SlotId, vote: Wire },
    /// Shares that open the sum.
    Reveal { at: SlotId, reveal: Wire },
    /// Merkle paths of the shares revealed before.
    Paths { at: SlotId, paths: Wire },
    /// Edge seeds with the certified dropped.
    Edges { at: SlotId, edges: Wire },
    /// The agent stopped at this round and revealed nothing more.
    Aborted { at: SlotId, refused: Refused },
    /// Leaves for the log, each signed by this agent. Said again until the log is shown to hold them.
    Events(Vec<String>),
    /// What the agent makes of a checkpoint.
    LogSeen(LogSeen),
    /// How it would decide.
    TrialAnswer { id: JobId, answer: TrialAnswer },
}

/// A question that is tried, and the round that it would be decided for.
#[derive(Clone)]
pub struct Trial {
    /// The first half of the trial's hash: names the answer.
    pub id: JobId,
    /// The analyst's signed words, unaltered.
    pub trial: Arc<SignedTrial>,
    pub epoch: EpochSeq,
    pub s_min: u32,
    pub timeout_ms: u64,
}

/// The way of one owner's decision. For people to read: it decides nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialAnswer {
    pub steps: Vec<governance::decision::path::Step>,
    /// None: a round would begin.
    pub refused: Option<Refused>,
}

/// A checkpoint, with all that one agent needs to examine it. Some 700 bytes a leaf: with all leaves at hand
/// the agent builds the tree itself, so its own events need no proofs beside them.
#[derive(Clone, Debug, PartialEq)]
pub struct LogGrown {
    /// Leaves that the agent has seen, by the coordinator's count: entries and proofs start here.
    pub from: u64,
    /// Leaves that the coordinator's log has; more than the checkpoint's while an agent catches up.
    pub head: u64,
    /// The signed note, with the cosignatures gathered so far.
    pub checkpoint: String,
    pub entries: Vec<Arc<str>>,
    pub consistency: Vec<TreeHash>,
}

/// An agent's answer to [`LogGrown`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogSeen {
    /// Leaves that it has accepted.
    pub size: u64,
    /// Its line for the checkpoint of that size.
    pub cosignature: Option<String>,
    pub refused: Option<Refused>,
}

/// What an agent says when its connection opens, beside the handshake.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Join {
    pub offers: Vec<Offer>,
    /// Epochs whose secrets it still holds: none after a restart.
    pub epochs: Vec<EpochSeq>,
    /// Leaves of the log that it has accepted.
    pub log_size: u64,
    /// Acts that it holds: what comes after them it has not heard.
    pub acts: u64,
}

/// A place in the list of acts that concern one organisation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Acts before it.
    pub count: u64,
    /// Hash over their hashes: two lists with one head are one list.
    pub head: [u8; 32],
}

impl Cursor {
    /// The place after one more act.
    pub fn after(self, act: &ContentHash) -> Self {
        Self {
            count: self.count + 1,
            head: secagg::Digest::of("sottovoce/engine/v1/acts", &[&self.head, &act.0]).0,
        }
    }
}

/// A stretch of that list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acts {
    pub from: Cursor,
    pub acts: Vec<SignedAct>,
}

/// One dataset as its owner offers it.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    pub dataset: String,
    /// Canonical JSON of the contract; its hash is recomputed on arrival.
    pub contract_json: String,
    /// Version of the data behind it: changes when files or consent change.
    pub snapshot: String,
    /// The owner's own minimum cohort.
    pub min_cohort: u32,
    /// A paused dataset is listed and not queried.
    pub paused: bool,
    /// What the owner shows of its budget, if anything.
    pub budget: Option<BudgetView>,
    /// Where it shows its budget: the epsilon left of each analyst's own part of it.
    pub left_for: BTreeMap<String, f64>,
    /// Where the contract does not show itself to everybody: the analysts who may read it all the same.
    pub admitted: BTreeSet<String>,
}

/// What is left of one owner's budget for a dataset, for people to read: it decides nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetView {
    pub epsilon_left: f64,
    pub epsilon_cap: f64,
    pub delta_cap: f64,
}

/// A proposed epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochOpen {
    pub epoch: EpochSeq,
    /// Hash of the signed roster that the members come from.
    pub roster_hash: [u8; 32],
    /// In order of name.
    pub members: Vec<AgentId>,
    pub slots: u16,
    /// A setup that is not live after this long is void.
    pub timeout_ms: u64,
}

/// The steps of epoch setup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SetupStep {
    Hello,
    PairCt,
    Deal,
    Ack,
}

/// Parts of one step as the coordinator relays them, in member order.
#[derive(Clone)]
pub struct SetupToAgent {
    pub epoch: EpochSeq,
    pub step: SetupStep,
    pub parts: Vec<Wire>,
}

/// One step as an agent sends it; the coordinator cuts it into what each recipient needs.
#[derive(Clone)]
pub struct SetupToCoordinator {
    pub epoch: EpochSeq,
    pub step: SetupStep,
    pub message: Wire,
}

/// What a round is about. Agents rebuild the context hash from it and from what they derive themselves.
#[derive(Clone)]
pub struct RoundStart {
    pub at: SlotId,
    pub job: JobId,
    /// The analyst's signed words, unaltered.
    pub request: Arc<SignedRequest>,
    /// Counted from 0.
    pub round: u32,
    /// Attempts of this job that failed before this one. `round + attempt` only rises.
    pub attempt: u32,
    /// What agents compare with the hash of the plan they derive.
    pub plan_hash: [u8; 32],
    /// The fewest contributions that may be summed.
    pub s_min: u32,
    /// What the round before left; none in round 0.
    pub previous: Option<Previous>,
    /// From receipt to the end of the round; data-independent.
    pub timeout_ms: u64,
}

/// The chain from one round to the next: every agent derives the state itself, or takes part in no round on top of it.
#[derive(Clone)]
pub struct Previous {
    /// Names the sum of the round before and its survivors.
    pub sum_hash: [u8; 32],
    /// Hash of the state after it. It is in every Accept: a cohort holds one state.
    pub state_hash: [u8; 32],
    /// The terms that the round before ran under: its sum is read by the plan that follows from them.
    pub terms: CohortTerms,
    pub carried: Carried,
}

/// How an agent comes by the state.
#[derive(Clone)]
pub enum Carried {
    /// It holds the state before: here is the sum (packed in the plan's ring), and it absorbs it like the coordinator.
    Sum { values: Wire, contributors: u32 },
    /// It was not there, so it has nothing to continue from: the state itself.
    State(Arc<[u8]>),
}

impl Previous {
    /// The hash of a state, as [`Previous::state_hash`] has it.
    pub fn hash_of(state: &[u8]) -> [u8; 32] {
        secagg::Digest::of("state", &[state]).0
    }
}

/// The cohort of a round.
#[derive(Clone)]
pub struct Cohort {
    pub at: SlotId,
    /// The signed Accepts of all cohort members.
    pub accepts: Wire,
    /// Vectors of this round are small: send without asking.
    pub upload_unasked: bool,
}

/// A masked vector: the signed head (context, id, digest) and the values themselves.
pub struct MaskedInput {
    pub at: SlotId,
    pub head: Wire,
    pub vector: secagg::RingVec,
}
