//! A participant beside its data: the sole authority over what it contributes. It believes the roster that governance signed, the request that
//! the analyst signed, its own configuration and its own ledger; the coordinator only suggests.
//!
//! A round moves `accept -> mask -> survive -> reveal`, a file each, mirrored by the coordinator's. Costs per round beside the masks: one
//! signature per message sent, about 2n verified, and one durable record.

mod acts;
mod asked;
mod books;
mod budget;
mod caps;
mod config;
mod consent;
mod epoch;
mod log;
mod mirror;
mod payer;
mod round;
mod shown;
mod trial;

use std::collections::{BTreeMap, BTreeSet};

use governance::act::{Layer, Subject};
use governance::{ContentHash, Roster, SignedRoster};
use secagg::Entropy;

pub use acts::Heard;
pub use books::{Books, Inconsistent, Tokens};
pub use caps::to_be_signed;
pub use config::{Budget, ComputeFailed, Config, Dataset, Input, Limits};
pub use consent::{Consent, ConsentTerms, NotAsked, Published, Stamp};
pub use log::{LogBooks, ReplayRefused};
pub use mirror::mirror;

use crate::approval::EVERYBODY;
use crate::codes;
use crate::ids::{EpochSeq, SlotId};
use crate::message::{BudgetView, Join, Offer, ToAgent, ToCoordinator};
use crate::record::ParticipantRecord;
use crate::step::{ParticipantEvent, ParticipantStep};
use crate::workload::Refusal;

/// The participant as a value.
pub struct Participant {
    config: Config,
    roster: Roster,
    roster_hash: ContentHash,
    books: Books,
    epochs: epoch::Epochs,
    rounds: BTreeMap<SlotId, round::Round>,
    runs: BTreeMap<ContentHash, round::Run>,
    /// Requests that ended and are not closed yet.
    ended: BTreeSet<ContentHash>,
    /// What is served, with the hash of each contract.
    datasets: Vec<(ContentHash, Dataset)>,
    budgets_aligned: bool,
    unapproved: Vec<Refusal>,
    log: log::Log,
    pulse: acts::Pulse,
    asked: asked::Asked,
    trials: trial::Trials,
}

/// Why a participant cannot start.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Roster(#[from] governance::RosterError),
    #[error("corrupt records: {0}")]
    Records(#[from] Inconsistent),
    #[error("the log that this witness remembers is not that of the roster's coordinator: {0}")]
    Log(#[from] governance::log::CheckpointError),
    #[error("agent `{0}` is not in the roster, or its signing key is another one")]
    NotInRoster(String),
}

impl Participant {
    /// A participant without a past.
    pub fn new(config: Config) -> Result<Self, StartError> {
        Self::recover(config, [])
    }

    /// A participant as its records describe it. It holds no epoch: a restart is a dropout.
    pub fn recover(config: Config, records: impl IntoIterator<Item = ParticipantRecord>) -> Result<Self, StartError> {
        let mut books = Books::default();
        for record in records {
            books.apply(&record)?;
        }
        let mut signed = config.roster.clone();
        let mut roster = signed.verify(&config.governance_key)?;
        if let Some(stored) = books.roster() {
            let verified = stored.verify(&config.governance_key)?;
            if verified.version > roster.version {
                (signed, roster) = (stored.clone(), verified);
            }
        }
        let own = config.signing_key.verifying_key().0;
        if roster
            .agent(config.agent.as_str())
            .is_none_or(|agent| agent.signing_key.0 != own)
        {
            return Err(StartError::NotInRoster(config.agent.to_string()));
        }
        let participant = Self {
            log: log::Log::new(&roster, books.log())?,
            roster,
            roster_hash: signed.hash(),
            books,
            epochs: epoch::Epochs::default(),
            rounds: BTreeMap::new(),
            runs: BTreeMap::new(),
            ended: BTreeSet::new(),
            datasets: hashed(&config.datasets),
            budgets_aligned: false,
            unapproved: Vec::new(),
            pulse: acts::Pulse::default(),
            asked: asked::Asked::default(),
            trials: trial::Trials::default(),
            config,
        };
        participant.speak();
        Ok(participant)
    }

    /// What to say in the handshake.
    pub fn join(&self, now_ms: u64) -> Join {
        Join {
            offers: self.offers(now_ms),
            epochs: self.epochs.held(),
            log_size: self.log_size(),
            acts: self.books.heard().place().count,
        }
    }

    /// What follows from one input. The caller does the step before it hands in the next input.
    pub fn handle(&mut self, now_ms: u64, entropy: &mut dyn Entropy, input: Input) -> ParticipantStep {
        let mut turn = Turn {
            now_ms,
            entropy,
            step: ParticipantStep::default(),
        };
        self.log_step();
        self.align_budgets(&mut turn);
        match input {
            Input::Message(message) => self.message(message, &mut turn),
            Input::Computed { at, result } => self.computed(at, result, &mut turn),
            Input::Pause { dataset, paused } => {
                if self.books.is_paused(&dataset) != paused {
                    if paused {
                        self.stop(&dataset, &mut turn);
                    }
                    self.record(ParticipantRecord::Paused { dataset, paused }, &mut turn);
                    self.send_offers(&mut turn);
                }
            }
            Input::Datasets(datasets) => {
                self.datasets = hashed(&datasets);
                self.config.datasets = datasets;
                self.send_offers(&mut turn);
            }
            Input::Roster(roster) => self.adopt_roster(roster, &mut turn),
            Input::Act(signed) => {
                let reply = self.make_act(signed, &mut turn);
                turn.step.reply = Some(reply);
            }
            Input::Replay { approval } => self.replay_or_say(&approval, &mut turn),
            Input::Connected => {
                self.log_connected(true, now_ms);
                self.connected(&mut turn);
            }
            Input::Disconnected => {
                self.log_connected(false, now_ms);
                self.forget_carried();
            }
            Input::Wake => {}
        }
        self.expire_rounds(&mut turn);
        self.expire_epochs(&mut turn);
        self.close_expired_requests(&mut turn);
        self.log_contributions_due(&mut turn);
        self.erase_payloads_due(&mut turn);
        self.send_events(&mut turn);
        self.carries(&turn);
        turn.step.wake_at_ms = self.next_wake(now_ms);
        turn.step
    }

    /// Durable state, for inspection and for the operator's `ledger` command.
    pub fn books(&self) -> &Books {
        &self.books
    }

    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// What this agent offers now.
    pub fn offers(&self, now_ms: u64) -> Vec<Offer> {
        let offer = |dataset: &Dataset| Offer {
            dataset: dataset.contract.name.clone(),
            contract_json: dataset.contract.canonical_json(),
            snapshot: self.snapshot(dataset),
            min_cohort: dataset.min_cohort,
            paused: self.is_paused(dataset),
            budget: dataset
                .show_budget
                .then(|| self.budget_view(&dataset.population, now_ms))
                .flatten(),
            left_for: match dataset.show_budget {
                true => self.left_for(&dataset.population, now_ms),
                false => BTreeMap::new(),
            },
            admitted: self.admitted_to(&dataset.contract),
        };
        self.config.datasets.iter().map(offer).collect()
    }

    /// What an answer is given again under: the state of the data, and of all rules that decide who may ask it. A signature keys it, so that
    /// nobody can try lists until one fits.
    fn snapshot(&self, dataset: &Dataset) -> String {
        let (register, own) = (self.books.heard().register(), self.organisation().to_owned());
        let layers = [Layer::Consortium, Layer::Owner(own)];
        let policies = layers.map(|layer| register.policy(&layer).map(|policy| policy.hash));
        let [consortium, owner] = policies
            .each_ref()
            .map(|hash| hash.as_ref().map_or(&[][..], |hash| &hash.0));
        let (stamp, vocabulary) = (self.config.rules.stamp(), register.vocabulary_version().to_le_bytes());
        let (data, noise) = (
            dataset.snapshot.as_bytes(),
            [u8::from(dataset.without_noise.is_empty())],
        );
        let parts = [data, &stamp.0, consortium, owner, &vocabulary, &noise];
        let state = ContentHash::of("snapshot and rules", &parts);
        let keyed = self.config.actor_key.sign("snapshot", &state.0);
        ContentHash::of("snapshot", &[&keyed]).to_string()
    }

    /// The datasets that are served now, the operator's own view.
    pub fn datasets(&self) -> &[Dataset] {
        &self.config.datasets
    }

    /// Epochs whose secrets this agent holds.
    pub fn epochs(&self) -> Vec<EpochSeq> {
        self.epochs.held()
    }

    /// By the configuration, by the operator since, or because somebody suspended it or this organisation.
    pub fn is_paused(&self, dataset: &Dataset) -> bool {
        let (register, own) = (self.books.heard().register(), self.organisation());
        let subjects = [
            Subject::Dataset(dataset.contract.name.clone()),
            Subject::Organisation(own.to_owned()),
        ];
        dataset.paused
            || self.books.is_paused(&dataset.contract.name)
            || subjects
                .iter()
                .any(|subject| register.suspension(own, subject).is_some())
    }

    /// What is left of a population's budget, shown to analysts or not.
    pub fn budget_view(&self, population: &str, now_ms: u64) -> Option<BudgetView> {
        let left = self.books.ledger(population)?.left(now_ms)?;
        Some(BudgetView {
            epsilon_left: left.epsilon,
            epsilon_cap: left.of_epsilon,
            delta_cap: left.delta,
        })
    }

    /// What is left of each analyst's part of a population's budget; of one that has not asked yet, what it would begin with.
    fn left_for(&self, population: &str, now_ms: u64) -> BTreeMap<String, f64> {
        let (Some(ledger), Some(budget)) = (self.books.ledger(population), self.config.budgets.get(population)) else {
            return BTreeMap::new();
        };
        let left = |analyst: &governance::Analyst| {
            let named = budget.analysts.contains_key(&analyst.id);
            let own = || ledger.left_for(&analyst.id, now_ms);
            let everybodys = || ledger.left_for(EVERYBODY, now_ms).filter(|_| !named);
            let known = named || budget.analysts.contains_key(EVERYBODY);
            let left = known.then(|| own().or_else(everybodys)).flatten();
            (analyst.id.clone(), left.map_or(0.0, |left| left.epsilon))
        };
        self.roster.analysts.iter().map(left).collect()
    }

    fn message(&mut self, message: ToAgent, turn: &mut Turn<'_>) {
        use ToAgent as M;
        match message {
            M::Roster(roster) => self.adopt_roster(roster, turn),
            M::Acts(acts) => self.acts(acts, turn),
            M::Heartbeat(cursor) => self.heartbeat(cursor, turn),
            M::EpochOpen(open) => self.epoch_open(open, turn),
            M::Setup(setup) => self.setup_message(setup, turn),
            M::EpochClosed { epoch } => self.epoch_closed(epoch),
            M::RoundStart(start) => self.round_start(start, turn),
            M::Cohort(cohort) => self.cohort(cohort, turn),
            M::UploadGrant { at } => self.upload_granted(at, turn),
            M::Receipt { at, receipt } => self.receipt(at, &receipt, turn),
            M::Survivors { at, survivors } => self.survivors(at, &survivors, turn),
            M::Certificate { at, certificate } => self.certificate(at, &certificate, turn),
            M::PathsWanted { at } => self.paths_wanted(at, turn),
            M::EdgesWanted { at } => self.edges_wanted(at, turn),
            M::RoundEnded { at, next } => {
                self.round_ended(at, turn);
                if let Some(next) = next {
                    self.round_start(*next, turn);
                }
            }
            M::JobEnded { request_hash, .. } => self.close_request(ContentHash(request_hash), turn),
            M::LogGrown(grown) => self.log_grown(*grown, turn),
            M::Trial(trial) => self.trial(&trial, turn),
        }
    }

    /// Only governance makes rosters, and versions only rise.
    fn adopt_roster(&mut self, signed: SignedRoster, turn: &mut Turn<'_>) {
        let hash = signed.hash();
        if hash == self.roster_hash {
            return;
        }
        let verified = signed.verify(&self.config.governance_key);
        let of_before = |roster: &Roster| roster.version <= self.roster.version && self.lacks_roster(&hash);
        if verified.as_ref().is_ok_and(of_before) {
            // An act was taken under it: nobody belongs by it today.
            self.record(ParticipantRecord::RosterKept { roster: signed }, turn);
            return self.acts_in_log(turn);
        }
        match verified.and_then(|roster| roster.supersedes(&self.roster).map(|()| roster)) {
            Ok(roster) => {
                turn.event(ParticipantEvent::RosterAdopted {
                    version: roster.version,
                });
                // One that came with the configuration is in no record yet, and acts were taken under it.
                if self.books.roster_of(&self.roster_hash).is_none() {
                    let roster = self.config.roster.clone();
                    self.record(ParticipantRecord::RosterKept { roster }, turn);
                }
                self.roster_hash = hash;
                self.roster = roster;
                self.forget_verified();
                self.record(ParticipantRecord::RosterAdopted { roster: signed }, turn);
                // Analysts came or went: who is admitted and what is left for whom is said anew.
                self.send_offers(turn);
            }
            Err(error) => turn.suspicious(None, Refusal::new(codes::ROSTER, error.to_string())),
        }
    }

    fn send_offers(&self, turn: &mut Turn<'_>) {
        turn.send(ToCoordinator::Offers(self.offers(turn.now_ms)));
    }

    /// Makes a record true now; the shell makes it durable before anything else of the step happens.
    fn record(&mut self, record: ParticipantRecord, turn: &mut Turn<'_>) {
        // Unwrap safety: ledger entries were built on the ledger's head a moment ago and the other records always apply; one that
        // does not is a bug that must not reach the disk.
        self.books
            .apply(&record)
            .expect("records of the running participant apply");
        // What was to wait comes first: a ledger's entries hang on one another.
        let waiting = std::mem::take(&mut turn.step.afterwards);
        turn.step.records.extend(waiting);
        turn.step.records.push(record);
    }

    /// The same for what nothing of this step depends on.
    fn record_afterwards(&mut self, record: ParticipantRecord, turn: &mut Turn<'_>) {
        // Unwrap safety: as above.
        self.books
            .apply(&record)
            .expect("records of the running participant apply");
        turn.step.afterwards.push(record);
    }

    fn next_wake(&self, now_ms: u64) -> Option<u64> {
        let rounds = self.rounds.values().map(round::Round::wake_at_ms).min();
        // Before the log was read to its end nothing is closed: then its head is the next step.
        let requests = self
            .log_current(now_ms)
            .is_ok()
            .then(|| self.runs.values().map(|run| run.expires_at_ms).min());
        let times = [
            rounds,
            requests.flatten(),
            self.epochs.wake_at_ms(),
            self.log_wake(now_ms),
            self.payload_due(now_ms),
        ];
        times.into_iter().flatten().min()
    }
}

fn hashed(datasets: &[Dataset]) -> Vec<(ContentHash, Dataset)> {
    datasets
        .iter()
        .map(|dataset| (dataset.contract.hash(), dataset.clone()))
        .collect()
}

/// One call of `handle`: the time, the randomness, and the step as it grows.
struct Turn<'a> {
    now_ms: u64,
    entropy: &'a mut dyn Entropy,
    step: ParticipantStep,
}

impl Turn<'_> {
    fn send(&mut self, message: ToCoordinator) {
        self.step.envelopes.push(message);
    }

    fn event(&mut self, event: ParticipantEvent) {
        self.step.events.push(event);
    }

    fn suspicious(&mut self, at: Option<SlotId>, refusal: Refusal) {
        let refused = refusal.into();
        self.event(ParticipantEvent::Suspicious { at, refused });
    }
}
