//! What a participant says in the log: what it decided, what its ledger was charged, what left.
//!
//! An event is durable here before it leaves. Decisions and charges go into the transaction of the reservation that they tell of. A
//! contribution is written down after its vector has left, and handed in with the next message; a training run's are counted and said
//! once a second, so that a round costs an addition. Each event costs 60 us, most of it two Ed25519 operations.

use std::collections::BTreeSet;

use governance::ContentHash;
use governance::act::Layer;
use governance::canonical::Real;
use governance::log::event::{Actor, BudgetDelta, Decision, POLICY, Price, Role, SEEN};
use governance::log::{Event, Kind, Payload};
use privacy::Charge;

use super::SOON_MS;
use super::books::Kept;
use crate::participant::payer::Payer;
use crate::participant::{Participant, Turn};
use crate::record::ParticipantRecord;
use crate::refused::Refused;

/// How long a run's contributions are gathered.
const GATHER_MS: u64 = 1_000;
/// Payloads that are erased at a time, and how long until the next. Each says so in the log, and that is half of what a coordinator takes
/// of one agent: however many are due at once, what else this agent says still gets in.
const PAYLOADS: usize = 10;
const ERASE_MS: u64 = 1_000;

/// Vectors of a run that left and were not logged yet.
#[derive(Default)]
pub(in crate::participant) struct Contributions {
    vectors: u32,
    /// Names the newest of them.
    round: Option<ContentHash>,
    /// The newest act that had been seen in the log when it left.
    seen: Option<ContentHash>,
    due_ms: u64,
    /// If the last word on the request that was logged is a yes: the grant that admitted it, or none for the owner's own list.
    allowed: Option<Option<ContentHash>>,
    /// Codes of refusals that were logged: each once, so that nobody can fill the log by asking again.
    denied: BTreeSet<String>,
}

impl Participant {
    /// Yes to a request, said once for each grant that admits it in turn.
    pub(in crate::participant) fn log_allow(&mut self, hash: ContentHash, payer: Payer<'_>, turn: &mut Turn<'_>) {
        let said = &mut self.runs.entry(hash).or_default().contributions;
        if said.allowed.replace(payer.grant) != Some(payer.grant) {
            self.log_decision(hash, payer, Decision::Allow, None, turn);
        }
    }

    /// No to a request that its analyst signed. Why is beside the log, and here alone.
    pub(in crate::participant) fn log_deny(&mut self, hash: ContentHash, refused: &Refused, turn: &mut Turn<'_>) {
        // A closed request is over: asking for it again adds nothing.
        if self.books.tokens(&hash).closed {
            return;
        }
        let Some(run) = self.runs.get_mut(&hash) else { return };
        let Some(request) = run.request.clone() else {
            return; // nobody asked, or nobody knows who
        };
        // Whoever asks too often is not written about as often.
        if refused.code == crate::codes::TOO_OFTEN {
            return;
        }
        if crate::codes::is_transient(&refused.code) || !run.contributions.denied.insert(refused.code.clone()) {
            return;
        }
        run.contributions.allowed = None;
        // What left before stands before the no in the log, too.
        self.say_contributions(hash, true, turn);
        let mut salt = [0; 32];
        turn.entropy.fill(&mut salt);
        let payload = Payload {
            salt: ContentHash(salt),
            text: refused.to_string(),
        };
        let payer = Payer {
            request: &request,
            grant: None,
        };
        self.log_decision(hash, payer, Decision::Deny, Some(payload), turn);
    }

    fn log_decision(
        &mut self,
        hash: ContentHash,
        Payer { request, grant }: Payer<'_>,
        decision: Decision,
        payload: Option<Payload>,
        turn: &mut Turn<'_>,
    ) {
        let consent = self.config.consent.published(&request.dataset);
        let event = Event {
            contract: Some(request.contract),
            consent: consent.map(|published| published.root),
            consent_version: consent.map(|published| published.version),
            decision: Some(decision),
            payload: payload.as_ref().map(Payload::commitment),
            ..self.event(Kind::Decision, turn.now_ms)
        };
        let event = self.under(event.refers("request", hash), grant);
        let event = self.by_policies(event);
        self.log_event(event, payload, true, turn);
    }

    /// The policies in force, by their layers: the published ones as the register has them, the local one as the rules say.
    fn by_policies(&self, event: Event) -> Event {
        let register = self.books.heard().register();
        let owner = Layer::Owner(self.organisation().to_owned());
        let published = |layer: &Layer| register.policy(layer).map(|policy| policy.hash);
        let layers = [
            ("consortium", published(&Layer::Consortium)),
            ("owner", published(&owner)),
            ("local", self.config.rules.local_policy()),
        ];
        let named = layers.into_iter().filter_map(|(layer, hash)| Some((layer, hash?)));
        named.fold(event, |event, (layer, hash)| {
            event.refers(&format!("{POLICY}{layer}"), hash)
        })
    }

    /// The grant that admits a request, and this owner's line of it, which the owner may end alone.
    fn under(&self, event: Event, grant: Option<ContentHash>) -> Event {
        match grant {
            Some(grant) => {
                let line = governance::grant::line_hash(&grant, self.organisation());
                event.refers("grant", grant).refers("line", line)
            }
            None => event,
        }
    }

    /// Tokens that were set aside for a request, or came back (below zero).
    pub(in crate::participant) fn log_charge(
        &mut self,
        hash: ContentHash,
        (contract, payer): (ContentHash, Option<Payer<'_>>),
        population: &str,
        (tokens, price): (i64, Price),
        turn: &mut Turn<'_>,
    ) {
        let Some(ledger) = self
            .books
            .ledger(population)
            .map(|ledger| ContentHash(ledger.head().1.0))
        else {
            return;
        };
        let event = Event {
            contract: Some(contract),
            budget_delta: Some(BudgetDelta { tokens, price, ledger }),
            ..self.event(Kind::Charge, turn.now_ms)
        };
        let event = event.refers("request", hash);
        let event = match payer {
            Some(payer) => {
                let event = event.refers("analyst", analyst_hash(&payer.request.analyst));
                self.under(event, payer.grant)
            }
            None => event,
        };
        self.log_event(event, None, true, turn);
    }

    /// A vector left; `head` are the signed bytes that it left under. Of a run it is counted and said later.
    pub(in crate::participant) fn contributed(
        &mut self,
        hash: ContentHash,
        payer: Payer<'_>,
        of_run: bool,
        head: &[u8],
        turn: &mut Turn<'_>,
    ) {
        // It was decided again a moment ago: a no to another attempt meanwhile is not the last word.
        self.log_allow(hash, payer, turn);
        let seen = self.books.log().newest();
        let contributions = &mut self.runs.entry(hash).or_default().contributions;
        if contributions.vectors == 0 {
            contributions.due_ms = if of_run { turn.now_ms + GATHER_MS } else { turn.now_ms };
        }
        contributions.vectors += 1;
        contributions.round = Some(ContentHash::of("contribution", &[head]));
        contributions.seen = seen;
        if contributions.due_ms <= turn.now_ms {
            self.log_contributions(hash, turn);
        }
    }

    /// Says what was counted for a request.
    pub(in crate::participant) fn log_contributions(&mut self, hash: ContentHash, turn: &mut Turn<'_>) {
        self.say_contributions(hash, false, turn);
    }

    /// `first`: in this step, since their vectors left in one before.
    fn say_contributions(&mut self, hash: ContentHash, first: bool, turn: &mut Turn<'_>) {
        let Some(run) = self.runs.get_mut(&hash) else { return };
        let (vectors, round, seen) = (
            std::mem::take(&mut run.contributions.vectors),
            run.contributions.round.take(),
            run.contributions.seen.take(),
        );
        let Some(round) = round.filter(|_| vectors > 0) else {
            return;
        };
        let event = Event {
            vectors: (vectors > 1).then_some(vectors),
            ..self.event(Kind::Contribution, turn.now_ms)
        };
        let event = event.refers("request", hash).refers("round", round);
        let event = match seen {
            Some(seen) => event.refers(SEEN, seen),
            None => event,
        };
        self.log_event(event, None, first, turn);
    }

    /// Runs whose second is over.
    pub(in crate::participant) fn log_contributions_due(&mut self, turn: &mut Turn<'_>) {
        let due =
            |run: &super::super::round::Run| run.contributions.vectors > 0 && run.contributions.due_ms <= turn.now_ms;
        let due: Vec<ContentHash> = self
            .runs
            .iter()
            .filter(|(_, run)| due(run))
            .map(|(hash, _)| *hash)
            .collect();
        due.into_iter().for_each(|hash| self.log_contributions(hash, turn));
    }

    pub(super) fn contributions_due(&self) -> Option<u64> {
        let counted = self.runs.values().filter(|run| run.contributions.vectors > 0);
        counted.map(|run| run.contributions.due_ms).min()
    }

    fn event(&self, kind: Kind, at_ms: u64) -> Event {
        let actor = Actor {
            role: Role::Agent,
            id: self.config.agent.to_string(),
            key: self.config.actor_key.public(),
        };
        Event::new(kind, at_ms, actor)
    }

    /// Erases payloads whose time is over, in the store and here, and says so in the log. Their leaves and commitments stay.
    pub(in crate::participant) fn erase_payloads_due(&mut self, turn: &mut Turn<'_>) {
        let Some(keep_ms) = self.config.limits.keep_payloads_ms else {
            return;
        };
        if turn.now_ms < self.log.erase_at_ms {
            return;
        }
        let kept = self.books.log().payloads();
        let due = kept.take_while(|(at_ms, _)| at_ms.saturating_add(keep_ms) <= turn.now_ms);
        let due: Vec<Kept> = due.take(PAYLOADS).map(|(_, kept)| kept.clone()).collect();
        if !due.is_empty() {
            self.log.erase_at_ms = turn.now_ms + ERASE_MS;
        }
        for Kept { leaf, commitment, salt } in due {
            let salt = Some(salt);
            self.record(ParticipantRecord::PayloadErased { leaf, salt }, turn);
            let event = self.event(Kind::Deletion, turn.now_ms);
            self.log_event(event.refers("deleted", commitment), None, true, turn);
        }
    }

    pub(in crate::participant) fn payload_due(&self, now_ms: u64) -> Option<u64> {
        let keep_ms = self.config.limits.keep_payloads_ms?;
        let (at_ms, _) = self.books.log().payloads().next()?;
        let due_ms = at_ms.saturating_add(keep_ms).max(self.log.erase_at_ms);
        Some(due_ms.max(now_ms + SOON_MS))
    }

    /// Signs an event and writes it down: with this step's records, or when its messages have left.
    fn log_event(&mut self, event: Event, payload: Option<Payload>, first: bool, turn: &mut Turn<'_>) {
        // Unwrap safety: events of this file are complete for their kind, and the key is the actor's.
        let signed = event.sign(&self.config.actor_key).expect("own events are complete");
        self.log.witness.handed_in(&signed, turn.now_ms);
        let leaf = signed.leaf().to_owned();
        let record = ParticipantRecord::Logged { leaf, payload };
        match first {
            true => self.record(record, turn),
            false => {
                self.record_afterwards(record, turn);
                self.log.held.insert(signed.hash());
            }
        }
        self.log.unsent.insert(signed.hash());
    }
}

/// How an analyst is named in a charge: a hash, which whoever holds the roster can read.
pub(super) fn analyst_hash(analyst: &str) -> ContentHash {
    ContentHash::of("analyst", &[analyst.as_bytes()])
}

/// What one token costs, for everybody who adds charges up.
pub(in crate::participant) fn price(charge: &Charge, delta: f64, without_noise: bool) -> Price {
    // A release that hides everything may cost nothing; an event of a charge says that there was one.
    let above_zero = |figure: f64| Real::new(figure.max(1e-12));
    let (epsilon, rho) = (privacy::cost::epsilon(charge, delta), privacy::cost::rho(charge));
    match (above_zero(epsilon), Real::new(delta), above_zero(rho)) {
        (Some(epsilon), Some(delta), Some(rho)) if !without_noise => Price::Private { epsilon, delta, rho },
        // What has no finite figures protects nobody.
        _ => Price::WithoutNoise,
    }
}
