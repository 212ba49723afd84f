//! The noise of the real pipeline at its weakest: the fewest survivors, the colluder's share known, and a participant that
//! holds nothing. Samplers are seeded; the law itself has its tests in `privacy`.

use super::common::*;
use engine::Workload;
use governance::Request;
use privacy::{Clipped, ExactSampler, NoiseBatch};
use workload::query::{BoundingKey, KIND, QueryTask, QueryWorkload, evaluate};

const SQL: &str = "SELECT sex, COUNT(*) FROM heart GROUP BY sex";

/// The plan as the engine has it.
fn engine_plan() -> engine::Plan {
    let contract = heart();
    let request = Request {
        nonce: governance::ContentHash([1; 32]),
        analyst: "ada".into(),
        dataset: contract.name.clone(),
        contract: contract.hash(),
        purpose: "research".into(),
        kind: KIND.into(),
        task: QueryTask { sql: SQL.into() }.to_task(),
        epsilon: 1.0,
        delta: 1e-6,
        max_attempts: 1,
        issued_at_ms: 0,
        expires_at_ms: 1,
    };
    QueryWorkload.plan(&request, &contract, &TERMS).unwrap()
}

/// What leaves one participant, before masks: clipped, then noised by its own share.
fn share(plan: &engine::Plan, values: Vec<i64>, sampler: &mut ExactSampler) -> Vec<i64> {
    let noise = NoiseBatch::draw(plan.dim, plan.variance, sampler).unwrap();
    Clipped::clamp(values, &plan.bounds)
        .unwrap()
        .add(noise)
        .unwrap()
        .into_values()
}

#[test]
fn with_the_fewest_survivors_and_a_silent_colluder_the_noise_is_what_the_claim_counts_on() {
    let plan = engine_plan();
    let honest = TERMS.honest_shares();
    assert_eq!(honest, TERMS.s_min - TERMS.c);
    let mut sampler = ExactSampler::new([7; 32]);
    let draws = 30_000;
    let truth = 1_000i64;
    let mut sums: Vec<f64> = Vec::with_capacity(draws);
    for _ in 0..draws {
        // Of s_min survivors c conspire: they know their shares and subtract them, so only the honest ones' remain.
        let parts = (0..honest).map(|_| share(&plan, vec![truth; plan.dim], &mut sampler)[0]);
        sums.push((parts.sum::<i64>() - truth * i64::from(honest)) as f64);
    }
    let target = f64::from(honest) * plan.variance as f64;
    let mean = sums.iter().sum::<f64>() / draws as f64;
    let variance = sums.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws as f64;
    // Five standard errors: of the mean sd / sqrt(m), of the variance target * sqrt(2 / m).
    let error = (draws as f64).sqrt();
    assert!(mean.abs() < 5.0 * target.sqrt() / error, "mean {mean}");
    assert!(
        (variance / target - 1.0).abs() < 5.0 * 2f64.sqrt() / error,
        "{variance} of {target}"
    );
    // And of the law: how much lies within one, two and three deviations, each within five standard errors.
    for (deviations, expected) in [(1.0, 0.682_689), (2.0, 0.954_500), (3.0, 0.997_300)] {
        let within = sums.iter().filter(|x| x.abs() <= deviations * target.sqrt()).count() as f64 / draws as f64;
        let tolerance = 5.0 * (expected * (1.0 - expected) / draws as f64).sqrt() + 1e-4;
        assert!((within - expected).abs() < tolerance, "{within} within {deviations} sd");
    }
}

#[test]
fn a_participant_without_rows_sends_what_others_send() {
    let plan = engine_plan();
    let query = workload::query::QueryPlan::from_bytes(&plan.bytes).unwrap();
    let key = BoundingKey::new(&[3; 32]);
    let mut patients = rng(5);
    let rows: Vec<_> = (0..200).map(|_| patient(&mut patients)).collect();
    let mut sampler = ExactSampler::new([9; 32]);
    let full = share(&plan, evaluate(&query, &key, rows.into_iter()), &mut sampler);
    let empty = share(&plan, evaluate(&query, &key, std::iter::empty()), &mut sampler);
    // One length, one ring, noise everywhere: what is masked and sent differs in nothing but its values.
    assert_eq!((full.len(), empty.len()), (plan.dim, plan.dim));
    assert!(
        empty.iter().all(|value| *value != 0),
        "a zero would be a chance of one in millions: {empty:?}"
    );
}
