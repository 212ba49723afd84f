//! What the suites share: the example contracts, rows made up from a seed, and a plan run without noise.

use engine::{CohortTerms, PlainSum};
use governance::Contract;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use workload::query::{BoundingKey, QueryPlan, Row, SqlError, Table, Value, compile, evaluate, read_back};

pub const TERMS: CohortTerms = CohortTerms { n: 4, c: 1, s_min: 3 };

pub fn heart() -> Contract {
    Contract::parse(include_str!("../../../governance/contracts/heart.toml")).unwrap()
}

pub fn hie() -> Contract {
    Contract::parse(include_str!("../../../governance/contracts/hie.toml")).unwrap()
}

pub fn plan(contract: &Contract, sql: &str) -> QueryPlan {
    compile(sql, contract, &TERMS, 1.0, 1e-6).unwrap_or_else(|e| panic!("{}", e.render(sql)))
}

pub fn refusal(contract: &Contract, sql: &str) -> SqlError {
    match compile(sql, contract, &TERMS, 1.0, 1e-6) {
        Ok(_) => panic!("accepted: {sql}"),
        Err(e) => e,
    }
}

/// The noiseless sum over several participants' rows.
pub fn sum(plan: &QueryPlan, participants: &[Vec<Row>]) -> PlainSum {
    let mut values = vec![0i64; plan.layout().dim()];
    for rows in participants {
        let key = BoundingKey::new(&[3; 32]);
        let one = evaluate(plan, &key, rows.iter().cloned());
        values.iter_mut().zip(one).for_each(|(a, b)| *a += b);
    }
    PlainSum {
        values,
        contributors: participants.len() as u32,
        variance: 0,
    }
}

pub fn answer(plan: &QueryPlan, participants: &[Vec<Row>]) -> Table {
    read_back(plan, &sum(plan, participants)).unwrap()
}

pub fn rng(seed: u64) -> ChaCha12Rng {
    ChaCha12Rng::seed_from_u64(seed)
}

pub fn row(values: &[(&str, Value)]) -> Row {
    values
        .iter()
        .map(|(name, value)| (name.to_string(), value.clone()))
        .collect()
}

/// A patient as the heart contract knows them; some values missing.
pub fn patient(rng: &mut impl Rng) -> Row {
    let maybe = |rng: &mut _, value| {
        if RngExt::random_bool(rng, 0.2) {
            Value::Null
        } else {
            value
        }
    };
    let cp = ["typical angina", "atypical angina", "non-anginal", "asymptomatic"][rng.random_range(0..4)];
    let chol = Value::Number(f64::from(rng.random_range(80..=620)));
    let thalch = Value::Number(f64::from(rng.random_range(60..=220)));
    let oldpeak = Value::Number(f64::from(rng.random_range(-30..=70)) / 10.0);
    row(&[
        ("age", Value::Number(f64::from(rng.random_range(20..=90)))),
        (
            "sex",
            Value::Text(if rng.random_bool(0.7) { "Male" } else { "Female" }.into()),
        ),
        ("cp", Value::Text(cp.into())),
        ("chol", maybe(rng, chol)),
        ("thalch", maybe(rng, thalch)),
        ("oldpeak", maybe(rng, oldpeak)),
        (
            "exang",
            if rng.random_bool(0.1) {
                Value::Null
            } else {
                Value::Boolean(rng.random_bool(0.4))
            },
        ),
        ("num", Value::Number(f64::from(rng.random_range(0..=4)))),
    ])
}

/// A person-year as the hie contract knows it.
pub fn person_year(rng: &mut impl Rng, person: u32) -> Row {
    row(&[
        ("zper", Value::Number(f64::from(person))),
        ("year", Value::Number(f64::from(rng.random_range(1..=5)))),
        ("female", Value::Number(f64::from(rng.random_range(0..=1)))),
        ("child", Value::Number(f64::from(rng.random_range(0..=1)))),
        ("xage", Value::Number(f64::from(rng.random_range(0..=70)))),
        ("mdvis", Value::Number(f64::from(rng.random_range(0..=80)))),
        ("meddol", Value::Number(rng.random_range(0.0..12_000.0))),
        (
            "ghindx",
            if rng.random_bool(0.3) {
                Value::Null
            } else {
                Value::Number(rng.random_range(0.0..=100.0))
            },
        ),
    ])
}

pub fn hospitals(seed: u64, patients: usize) -> Vec<Vec<Row>> {
    let mut rng = rng(seed);
    (0..4)
        .map(|_| (0..patients).map(|_| patient(&mut rng)).collect())
        .collect()
}
