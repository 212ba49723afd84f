//! The table of contract edits, in a simulated consortium whose owners serve both versions of a contract at once. A direction that its
//! verdict keeps: questions of the battery have the same answer under either version's hash, over rows that honour the version that
//! they were written for. One that it does not keep: where a question of one version does not compile under the other, it fails there
//! with the compiler's code and costs nothing, and is answered under its own beside it; other meanings are `compat.rs`'s to show.
//!
//! Costs a world of four agents per edit and direction, in which all questions are asked at once: a minute of one core, unoptimised.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use battery::{BATTERY, close, figures, honest};
use edits::{BASE, EDITS, edited};
use engine::coordinator::{self, JobState, Workloads};
use engine::participant::{Dataset, Input};
use engine::{CohortTerms, Compute, JobId, Plan, Refused, codes};
use governance::contract::compat::Claim;
use governance::{Contract, Request};
use privacy::Noised;
use tests::sim::work::silent;
use tests::sim::{Options, Story, Work, World};
use workload::query::{BoundingKey, KIND, QueryPlan, QueryTask, Row, SqlError, Table, compile, evaluate};

#[path = "../../workload/tests/query/battery.rs"]
mod battery;
#[path = "../../governance/tests/compat/edits.rs"]
mod edits;

/// Of a quiet world of four.
const TERMS: CohortTerms = CohortTerms { n: 4, c: 1, s_min: 3 };
/// A fine lattice, so that answers differ by what a contract says and not by rounding.
const EPSILON: f64 = 20.0;
const DELTA: f64 = 1e-7;

/// The plans that agents computed.
type Plans = Rc<RefCell<BTreeMap<JobId, Arc<Plan>>>>;

/// Participants that hold rows of one version of the clinic, and answer what they are asked without noise.
struct Clinics {
    from: Contract,
    rows: Vec<Vec<Row>>,
    plans: Plans,
}

impl Work for Clinics {
    fn contract(&self) -> Contract {
        self.from.clone()
    }

    fn workloads(&self) -> Workloads {
        workload::workloads()
    }

    fn compute(&mut self, agent: usize, compute: &Compute, _serial: i64) -> Noised {
        let plan = QueryPlan::from_bytes(&compute.plan.bytes).expect("a query's plan");
        let rows = self.rows[agent].iter().cloned();
        self.plans.borrow_mut().insert(compute.job, compute.plan.clone());
        silent(evaluate(&plan, &BoundingKey::new(&[3; 32]), rows), &compute.plan)
    }
}

/// Owners that hold rows of `from` and serve both versions.
struct Both {
    w: Story,
    plans: Plans,
}

impl Both {
    fn of(from: &Contract, to: &Contract) -> Self {
        let plans = Plans::default();
        let clinics = Clinics {
            from: from.clone(),
            rows: honest(from),
            plans: plans.clone(),
        };
        let mut options = Options::quiet(4, 1);
        options.budget = 1_000_000;
        let mut w = Story::told(World::of(7, options, Box::new(clinics)));
        for agent in 0..4 {
            let config = w.world.consortium.participant(agent, &w.world.options);
            let versions = [from, to].map(|contract| Dataset {
                contract: Arc::new(contract.clone()),
                ..config.datasets[0].clone()
            });
            w.world.tell_participant(agent, Input::Datasets(versions.into()));
        }
        w.wait(1_000);
        Self { w, plans }
    }

    /// The same words, about this version.
    fn request(&mut self, sql: &str, contract: &Contract) -> Request {
        let task = QueryTask { sql: sql.to_owned() };
        Request {
            dataset: contract.name.clone(),
            contract: contract.hash(),
            delta: DELTA,
            ..self.w.world.request(KIND, task.to_task(), EPSILON)
        }
    }

    fn ask(&mut self, sql: &str, contract: &Contract) -> JobId {
        let request = self.request(sql, contract);
        self.w.submit(request)
    }

    /// What became of a question about this version: a new sum of all four, or why there is none.
    fn answer(&self, job: JobId, contract: &Contract) -> Result<Table, Refused> {
        let engine = self.w.world.coordinator.engine.as_ref().expect("the coordinator is up");
        if let Some(JobState::Failed { refused, .. }) = engine.books().job(&job).map(|job| &job.state) {
            return Err(refused.clone());
        }
        let release = self.w.expect_released(job);
        assert_eq!(release.receipt.contract, contract.hash());
        assert_eq!((release.receipt.contributors, release.receipt.repeated), (4, None));
        Ok(serde_json::from_str(&release.body).expect("a table"))
    }

    /// Nobody looked at a row for this job, and nobody's ledger has a token of it.
    fn cost_nothing(&self, job: JobId) -> bool {
        !self.plans.borrow().contains_key(&job) && (0..4).all(|agent| self.w.tokens(agent, job) == 0)
    }
}

fn contract(text: &str) -> Contract {
    Contract::parse(text).unwrap()
}

fn compiled(sql: &str, contract: &Contract) -> Result<QueryPlan, SqlError> {
    compile(sql, contract, &TERMS, EPSILON, DELTA)
}

/// An edit seen from one side.
struct Way {
    what: &'static str,
    from: Contract,
    to: Contract,
    kept: bool,
    claim: Claim,
}

/// Every edit, from the old version to the new one and back.
fn ways() -> impl Iterator<Item = Way> {
    EDITS.iter().flat_map(|edit| {
        let (what, _, _, verdict, claim) = *edit;
        let (old, new) = (contract(BASE), contract(&edited(edit)));
        let there = (old.clone(), new.clone(), verdict.is_backward());
        let back = (new, old, verdict.is_forward());
        [there, back].map(|(from, to, kept)| Way {
            what,
            from,
            to,
            kept,
            claim,
        })
    })
}

/// The questions of `from` to ask under both versions: of the first edit all, of others the first and each whose plan differs by more
/// than the hash of its contract. The same plan over the same rows is the same answer, so that the first stands for the rest.
fn questions(way: &Way) -> impl Iterator<Item = &'static str> {
    BATTERY.iter().copied().filter(|sql| {
        let contract = way.from.hash();
        let before = compiled(sql, &way.from).ok();
        let after = compiled(sql, &way.to).ok().map(|plan| QueryPlan { contract, ..plan });
        before.is_some() && (way.what == EDITS[0].0 || *sql == BATTERY[0] || after != before)
    })
}

/// Asks them under both versions at once; what they lost by that.
fn lost(way: &Way) -> Vec<String> {
    let mut both = Both::of(&way.from, &way.to);
    let ask = |sql| (sql, both.ask(sql, &way.from), both.ask(sql, &way.to));
    let asked: Vec<_> = questions(way).map(ask).collect();
    both.w.run();
    let lost = asked.iter().filter_map(|(sql, before, after)| {
        let old = figures(&both.answer(*before, &way.from).expect("it compiles"));
        let new = match both.answer(*after, &way.to) {
            Ok(table) => figures(&table),
            Err(refused) => return Some(format!("{}: {sql}: {refused}", way.what)),
        };
        let gone = |(keys, row): &(&String, &Vec<_>)| !new.get(*keys).is_some_and(|now| close(row, now));
        if let Some((keys, row)) = old.iter().find(gone) {
            return Some(format!("{}: {sql}: {keys} {row:?}, now {:?}", way.what, new.get(keys)));
        }
        let plans = both.plans.borrow();
        let (old, new) = (&plans[before], &plans[after]);
        let planned = compiled(sql, &way.from).map(|plan| plan.to_bytes());
        assert_eq!(planned.as_deref().ok(), Some(&*old.bytes), "TERMS are the world's");
        let moved = (old.variance, &old.charge) != (new.variance, &new.charge);
        (way.claim == Claim::Same && moved).then(|| format!("{}: {sql}: another price", way.what))
    });
    lost.collect()
}

fn nothing_is_lost(ways: impl Iterator<Item = Way>) {
    let kept: Vec<Way> = ways.filter(|way| way.kept).collect();
    let lost: Vec<String> = kept.iter().flat_map(lost).collect();
    assert!(lost.is_empty(), "{}", lost.join("\n"));
    assert!(kept.len() >= 25, "{} ways are kept", kept.len());
}

#[test]
fn questions_of_an_old_version_are_answered_alike_under_a_new_one_that_is_backward() {
    nothing_is_lost(ways().step_by(2));
}

#[test]
fn questions_of_a_new_version_are_answered_alike_under_the_old_one_if_it_is_forward() {
    nothing_is_lost(ways().skip(1).step_by(2));
}

#[test]
fn what_a_verdict_does_not_keep_is_refused_under_one_version_and_answered_under_the_other() {
    let mut shown = 0;
    for way in ways().filter(|way| !way.kept) {
        let refusal = |sql: &&'static str| {
            compiled(sql, &way.from).ok()?;
            Some((*sql, compiled(sql, &way.to).err()?))
        };
        let found = BATTERY.iter().find_map(refusal);
        let Some((sql, error)) = found else { continue };
        let mut both = Both::of(&way.from, &way.to);
        let (answered, refused) = (both.ask(sql, &way.from), both.ask(sql, &way.to));
        both.w.run();
        assert!(both.answer(answered, &way.from).is_ok(), "{}: {sql}", way.what);
        assert_eq!(both.w.tokens(0, answered), 1, "{}: {sql}", way.what);
        let found = both.answer(refused, &way.to).expect_err("it does not compile");
        let typed = found.code == error.code && found.code.starts_with("SOTTO-");
        assert!(typed && both.cost_nothing(refused), "{}: {sql}: {found}", way.what);
        shown += 1;
    }
    assert!(shown >= 25, "{shown} ways are shown by a refusal");
}

#[test]
fn a_version_that_nobody_serves_is_refused_at_the_door() {
    let (old, new) = (contract(BASE), contract(&edited(&EDITS[0])));
    let mut both = Both::of(&old, &new);
    let sql = "SELECT COUNT(*) FROM clinic";
    let request = both.request(sql, &contract(&edited(&EDITS[1])));
    let signed = both.w.world.consortium.signed(&request);
    let reply = both.w.world.tell_coordinator(coordinator::Input::Submit(signed));
    assert_eq!(reply.unwrap().unwrap_err().code, codes::OTHER_CONTRACT);
    let asked = [old, new].map(|served| (both.ask(sql, &served), served));
    both.w.run();
    assert!(asked.iter().all(|(job, served)| both.answer(*job, served).is_ok()));
}
