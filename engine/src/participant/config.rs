//! What a participant is told by its own operator, and what can happen to it. The coordinator has no say in any of this.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use governance::decision::Decide;
use governance::{Contract, SignedAct, SignedRoster};

use super::consent::Consent;
use crate::approval::{Approval, Approvers};
use crate::coordinator::Workloads;
use crate::ids::{AgentId, SlotId};
use crate::message::ToAgent;

/// What the operator configured. Only the datasets change while the agent runs.
#[derive(Clone)]
pub struct Config {
    pub agent: AgentId,
    /// Signs everything this agent says; its public half is in the roster.
    pub signing_key: Arc<secagg::SigningKey>,
    /// The same key in the form that signs events and checkpoints.
    pub actor_key: Arc<governance::SigningKey>,
    pub governance_key: governance::VerifyingKey,
    /// The newest roster known when the configuration was written; a newer one in the books wins.
    pub roster: SignedRoster,
    pub workloads: Workloads,
    /// The owner's rules: grants and policy plug in here.
    pub rules: Arc<dyn Decide>,
    /// Who speaks for this organisation beside its operator. Governance says who belongs to the consortium; whose word over this data counts
    /// is the owner's to say, so a steward of this organisation whose key is not here grants, publishes and reinstates nothing.
    pub stewards: BTreeSet<governance::VerifyingKey>,
    /// Whether the rows behind a vector are still those that may be used.
    pub consent: Arc<dyn Consent>,
    pub datasets: Vec<Dataset>,
    /// What each population may spend. No entry, no budget.
    pub budgets: BTreeMap<String, Budget>,
    /// Who signs that a cap allows more; a store that has a list believes its own.
    pub approvers: Approvers,
    /// What they signed.
    pub approvals: Vec<Approval>,
    pub limits: Limits,
}

/// A dataset that this agent serves.
#[derive(Clone)]
pub struct Dataset {
    pub contract: Arc<Contract>,
    /// Changes when the files behind the dataset change and, where consent is asked, at fixed times; never with a consent.
    pub snapshot: String,
    /// The ledger key: everything over the same people shares it.
    pub population: String,
    pub min_cohort: u32,
    /// Paused by the configuration; the operator's `pause` is in the books, and either is enough.
    pub paused: bool,
    /// Local people who allow vectors without noise over this dataset ("secure aggregation only"); nobody: not allowed.
    pub without_noise: Vec<String>,
    /// Tell analysts what is left of the budget.
    pub show_budget: bool,
}

/// The caps of one population, from the owner's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    pub cap: privacy::Cap,
    /// Caps of single analysts inside it; `*` stands for everyone who is not named.
    pub analysts: BTreeMap<String, privacy::Cap>,
    /// The two local people behind the first caps. A later one that allows more takes signatures: [`Config::approvals`].
    pub approvals: Vec<String>,
}

/// Patience, and what leaves when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A masked vector leaves at a multiple of this, the second after its cohort was known, so that its time says nothing
    /// about data; none: at once, for trusted networks and benchmarks. A round shorter than two of them is refused.
    pub tick_ms: Option<u64>,
    /// Longest epoch setup and longest round that this agent waits for, whatever the coordinator says.
    pub epoch_timeout_ms: u64,
    pub round_timeout_ms: u64,
    /// How often the coordinator's beat is expected; after three without one, rounds are refused.
    pub beat_ms: u64,
    /// Requests that are answered of one analyst, and of all analysts of one organisation; a run is one request.
    pub requests_per_hour: u32,
    pub organisation_requests_per_hour: u32,
    /// How long the words of refusals are kept beside the log; none: for ever.
    pub keep_payloads_ms: Option<u64>,
    /// Epochs held at a time; a further proposal drops the oldest.
    pub epochs: usize,
    /// Trials of one analyst that are answered in a minute: each costs a plan and a decision.
    pub trials_per_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tick_ms: None,
            epoch_timeout_ms: 120_000,
            round_timeout_ms: 300_000,
            beat_ms: 5_000,
            requests_per_hour: 10_000,
            organisation_requests_per_hour: 50_000,
            keep_payloads_ms: None,
            epochs: 3,
            trials_per_minute: 20,
        }
    }
}

/// A computation failed; for the operator's eyes. The coordinator learns only that the agent dropped out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputeFailed(pub String);

/// What can happen to a participant.
pub enum Input {
    /// The stream to the coordinator opened; what to say is `Participant::join`.
    Connected,
    /// The stream ended.
    Disconnected,
    /// From the coordinator, which may lie.
    Message(ToAgent),
    /// The answer to a `Step.compute`. Only noised vectors exist here.
    Computed {
        at: SlotId,
        result: Result<privacy::Noised, ComputeFailed>,
    },
    /// The operator pauses or resumes a dataset.
    Pause { dataset: String, paused: bool },
    /// The operator suspends or revokes; the step's `reply` answers.
    Act(SignedAct),
    /// The datasets that can be served now: files came, went, or stopped matching their contract.
    Datasets(Vec<Dataset>),
    /// Two people replay what the ledger forgot; [`super::Participant::can_replay`] says whether they can.
    Replay { approval: Approval },
    /// A newer roster from a file.
    Roster(SignedRoster),
    /// Time passed.
    Wake,
}
