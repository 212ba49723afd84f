//! Decisions, decided again from what stands on an agent's disk: its acts, the request, its rules, its ledger. A yes must have been paid for
//! at the price of its plan and as the ledger's rules allow; a no must be said again in the same words.

use std::collections::BTreeMap;

use engine::participant::Books;
use engine::record::ParticipantRecord;
use engine::{CohortTerms, Plan, codes};
use governance::decision::{ColumnsRead, Question, Verdict};
use governance::log::event::{BudgetDelta, Decision, Price};
use governance::log::{Event, Kind, SignedEvent};
use governance::{ContentHash, Request};
use privacy::ReservationId;
use privacy::ledger::LedgerEvent;
use tests::plain;
use tests::sim::World;

use super::lived;

/// Noise so small, so many rounds: no owner's budget of [`BUDGET`] covers it.
const COSTLY: (u64, u32) = (1, 4);
/// In whole units of epsilon: enough for every ordinary question of a world.
const BUDGET: u32 = 3;

/// One agent's disk, read from its beginning.
struct Replay<'a> {
    world: &'a World,
    place: usize,
    books: Books,
    /// By the head of the ledger after it: the name, tokens and price of what was set aside.
    reserved: BTreeMap<ContentHash, (ReservationId, u32, privacy::Charge)>,
    /// Decisions by leaf.
    decisions: BTreeMap<String, Decision>,
    /// Refusals that were decided again, by their code.
    denied: BTreeMap<String, u32>,
}

impl Replay<'_> {
    fn of(world: &World, place: usize) -> Replay<'_> {
        Replay {
            world,
            place,
            books: Books::default(),
            reserved: BTreeMap::new(),
            decisions: BTreeMap::new(),
            denied: BTreeMap::new(),
        }
    }

    fn run(&mut self, requests: &BTreeMap<ContentHash, Request>) {
        for record in self.world.participants[self.place].records() {
            match &record {
                ParticipantRecord::Logged { leaf, payload } => {
                    let words = payload.as_ref().map(|payload| payload.text.as_str());
                    self.read(leaf, words, requests);
                }
                // Its words were erased; the decision stands.
                ParticipantRecord::PayloadErased { leaf, .. } => self.read(leaf, None, requests),
                ParticipantRecord::Ledger { entry, .. } => {
                    if let LedgerEvent::Reserved { id, charge, tokens, .. } = &entry.event {
                        let set_aside = (id.clone(), *tokens, charge.clone());
                        self.reserved.insert(ContentHash(entry.hash.0), set_aside);
                    }
                }
                _ => {}
            }
            // An entry that its ledger's rules forbid is refused here.
            self.books.apply(&record).expect("own records apply");
        }
    }

    fn read(&mut self, leaf: &str, words: Option<&str>, requests: &BTreeMap<ContentHash, Request>) {
        let signed = SignedEvent::parse(leaf.as_bytes()).expect("own events are signed");
        let event = signed.event();
        match (event.kind, &event.budget_delta) {
            (Kind::Decision, _) => {
                let request = &requests[&event.references["request"]];
                let said = event.decision.expect("a decision");
                match said {
                    Decision::Allow => self.allowed(event, request),
                    Decision::Deny => words.into_iter().for_each(|words| self.refused(event, request, words)),
                }
                self.decisions.insert(leaf.to_owned(), said);
            }
            (Kind::Charge, Some(delta)) if delta.tokens > 0 => {
                self.charged(event, &requests[&event.references["request"]], delta);
            }
            _ => {}
        }
    }

    fn allowed(&self, event: &Event, request: &Request) {
        match self.decided(request, event.at_ms) {
            Verdict::Allow { grant } => {
                assert_eq!(event.references.get("grant"), grant.as_ref(), "under another grant");
            }
            again => panic!("it was allowed and is not again: {again:?}"),
        }
        let hash = &event.references["request"];
        let mut names = self.reserved.values().map(|(id, ..)| id.as_str());
        assert!(
            names.any(|name| is_of(name, hash)),
            "allowed, and nothing was set aside"
        );
    }

    /// What a charge names is what the ledger set aside, at the price of a plan that follows from the request.
    fn charged(&self, event: &Event, request: &Request, delta: &BudgetDelta) {
        let (id, tokens, charge) = &self.reserved[&delta.ledger];
        assert!(is_of(id.as_str(), &event.references["request"]), "{}", id.as_str());
        assert_eq!(delta.tokens, i64::from(*tokens));
        assert!(
            self.plans(request).any(|plan| plan.charge == *charge),
            "of no plan of this request"
        );
        let Price::Private { epsilon, delta, rho } = delta.price else {
            panic!("charged as without noise");
        };
        assert_eq!(delta.get(), request.delta);
        assert_eq!(epsilon.get(), privacy::cost::epsilon(charge, request.delta));
        assert_eq!(rho.get(), privacy::cost::rho(charge));
    }

    fn refused(&mut self, event: &Event, request: &Request, words: &str) {
        let code = words.split(':').next().expect("a first part").to_owned();
        let again = self.decided(request, event.at_ms);
        match (code.as_str(), &again) {
            (codes::RULES | codes::NO_GRANT | codes::SUSPENDED_HERE, Verdict::Deny { rule, reason, remedy }) => {
                let again = format!("{reason} [{rule}] ({remedy})");
                assert!(words.ends_with(&again), "{words}\nagain: {again}");
            }
            (codes::BUDGET, Verdict::Allow { grant }) => {
                assert!(
                    self.is_beyond_budget(event, request, grant, words),
                    "the budget covers it: {words}"
                );
            }
            // What the coordinator told this agent is on no disk.
            (codes::OTHER_PLAN | codes::OTHER_STATE | codes::REPLAYED | codes::COHORT_TOO_SMALL, _) => return,
            (codes::REQUEST_REFUSED, _) => return,
            (_, again) => panic!("refused and not again: {words}\nagain: {again:?}"),
        }
        *self.denied.entry(code).or_default() += 1;
    }

    /// Whether the ledger of that moment refuses the first reservation of the request in these words.
    fn is_beyond_budget(&self, event: &Event, request: &Request, grant: &Option<ContentHash>, words: &str) -> bool {
        let line = match grant {
            Some(grant) => format!("grant/{grant}"),
            None => request.analyst.clone(),
        };
        let ledger = self.books.ledger(&self.world.consortium.population);
        let ledger = ledger.expect("caps are set before anything is asked");
        self.plans(request).any(|plan| {
            let id = ReservationId::new(format!("{}/again", event.references["request"]));
            let entry = ledger.reserve(event.at_ms, id, &line, &plan.charge, plan.rounds);
            entry.is_err_and(|refusal| words.contains(&refusal.to_string()))
        })
    }

    /// The plans of a request, by the smallest cohort that a round may have: which it was, is not on the disk.
    fn plans(&self, request: &Request) -> impl Iterator<Item = Plan> {
        let consortium = &self.world.consortium;
        let n = consortium.names.len() as u32;
        (consortium.roster.min_cohort..=n).map(move |s_min| {
            let c = consortium.roster.c;
            let terms = CohortTerms { n, c, s_min };
            let plan = consortium.workloads[&request.kind].plan(request, &consortium.contract, &terms);
            plan.unwrap_or_else(|refusal| panic!("{refusal}"))
        })
    }

    /// What this agent's rules say of a request, given the acts that it had heard.
    fn decided(&self, request: &Request, at_ms: u64) -> Verdict {
        let consortium = &self.world.consortium;
        let config = consortium.participant(self.place, &self.world.options);
        let analyst = consortium.roster.analyst(&request.analyst);
        let plan = self.plans(request).last().expect("all together are a cohort");
        config.rules.decide(&Question {
            request,
            contract: &consortium.contract,
            contract_hash: consortium.contract.hash(),
            organisation: &analyst.expect("an analyst of the roster").organisation,
            owner: &consortium.roster.agents[self.place].organisation,
            consortium: &consortium.roster.consortium,
            register: self.books.heard().register(),
            witnessed: self.books.log(),
            columns: &ColumnsRead::of(&consortium.contract, plan.columns.clone()),
            aggregates: &plan.aggregates,
            noise: true,
            s_min: consortium.names.len() as u32,
            now_ms: at_ms,
        })
    }
}

/// Whether a reservation is one of this request's.
fn is_of(name: &str, request: &ContentHash) -> bool {
    name.starts_with(&format!("{request}/"))
}

/// The requests of a world by their hash.
fn asked(world: &World) -> BTreeMap<ContentHash, Request> {
    let signed = world.requests.values();
    let read = signed.map(|signed| (signed.hash(), serde_json::from_slice(&signed.body).expect("a request")));
    read.collect()
}

/// Asks at some moment for more than anybody's budget covers.
fn costly(world: &mut World, after_ms: u64) {
    let (variance, rounds) = COSTLY;
    let task = plain::Task {
        dim: world.consortium.names.len() + 1,
        ring: "z64".to_owned(),
        rounds,
        variance,
    };
    let request = world.request(plain::KIND, task.to_json(), 1.0);
    world.ask(after_ms, request);
}

#[test]
fn every_decision_in_the_log_follows_again_from_the_acts_the_request_the_rules_and_the_budgets() {
    let (mut allowed, mut denied) = (0, BTreeMap::<String, u32>::new());
    for seed in 0..36 {
        let world = lived(seed, BUDGET, |world| {
            (1..4).for_each(|part| costly(world, world.options.faults_ms * part / 4));
        });
        let requests = asked(&world);
        let mut decisions = BTreeMap::new();
        for place in 0..world.participants.len() {
            let mut replay = Replay::of(&world, place);
            replay.run(&requests);
            decisions.extend(replay.decisions);
            replay
                .denied
                .into_iter()
                .for_each(|(code, times)| *denied.entry(code).or_default() += times);
        }
        let books = world.coordinator.engine.as_ref().expect("it is up").books();
        for leaf in books.log().leaves(0..books.log().size()) {
            let event = SignedEvent::peek(leaf.as_bytes()).expect("leaves are events");
            if event.kind == Kind::Decision {
                let own = decisions.get(&**leaf).copied();
                assert_eq!(own, event.decision, "seed {seed}: nobody decided {leaf}");
                allowed += u32::from(event.decision == Some(Decision::Allow));
            }
        }
    }
    let again = |code: &str| denied.get(code).copied().unwrap_or(0);
    assert!(
        allowed >= 50 && again(codes::NO_GRANT) >= 10 && again(codes::BUDGET) >= 10,
        "{allowed} allowed, refused again: {denied:?}"
    );
}
