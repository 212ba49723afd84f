//! What the suites share: a made-up contract and rows, and a whole run through the workload's own interface.

use engine::{CohortTerms, Outcome, PlainSum, Workload};
use governance::{ContentHash, Contract, Request, canonical::Real};
use ndarray::Array2;
use privacy::clip::{Clipped, NoiseBatch};
use privacy::sampler::ExactSampler;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use workload::training::{
    KIND, KeyedCoins, State, TrainPlan, TrainRelease, TrainTask, TrainWorkload, TrainingData, contribution,
};

/// Encoded rows of a site and their targets.
pub type Rows = (Array2<f32>, Vec<f32>);

pub const TERMS: CohortTerms = CohortTerms { n: 4, c: 1, s_min: 3 };

pub fn real(x: f64) -> Real {
    Real::new(x).unwrap()
}

/// Features a, b, c within [-1, 1]; targets `label` (boolean), `class` (0..=2) and `value` within [-10, 10].
pub fn points() -> Contract {
    let number = |name: &str, low: i32, high: i32, kind: &str| {
        format!(
            "[[schema.properties]]\nname = \"{name}\"\nlogicalType = \"{kind}\"\nrequired = true\n\
             logicalTypeOptions = {{ minimum = {low}, maximum = {high} }}\n"
        )
    };
    let mut text = "name = \"points\"\nversion = \"1\"\npurposes = [\"research\"]\n\
        [privacy]\nmaxRows = 400\ndelta = 1e-5\n"
        .to_owned();
    for name in ["a", "b", "c"] {
        text += &number(name, -1, 1, "number");
    }
    text += &number("value", -10, 10, "number");
    text += &number("class", 0, 2, "integer");
    text += "[[schema.properties]]\nname = \"label\"\nlogicalType = \"boolean\"\nrequired = true\n";
    Contract::parse(&text).unwrap()
}

/// `sites` sets of encoded rows whose targets follow from the features; sites differ in where their rows lie.
pub fn rows(seed: u64, sites: usize, each: usize, target: &str) -> Vec<Rows> {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    (0..sites)
        .map(|site| {
            let shift = site as f32 / sites as f32 - 0.5;
            let mut features = Array2::from_shape_fn((each, 3), |_| rng.random_range(-1.0f32..1.0));
            features.column_mut(0).mapv_inplace(|x| (x + shift).clamp(-1.0, 1.0));
            let of = |x: ndarray::ArrayView1<'_, f32>| match target {
                "label" => f32::from(u8::from(2.0 * x[0] - x[1] + 0.5 * x[2] > 0.1)),
                "ring" => f32::from(u8::from(x[0] * x[0] + x[1] * x[1] > 0.6)),
                "class" => f32::from(u8::from(x[0] > 0.0) + u8::from(x[1] > 0.0)),
                _ => 0.3 * x[0] - 0.2 * x[1] + 0.1 * x[2] + 0.05,
            };
            let targets = features.rows().into_iter().map(of).collect();
            (features, targets)
        })
        .collect()
}

pub fn data(rows: &[Rows]) -> Vec<TrainingData> {
    rows.iter().map(|(x, y)| TrainingData::rows(x, y).unwrap()).collect()
}

pub fn request(task: &TrainTask, contract: &Contract, epsilon: f64) -> Request {
    Request {
        nonce: ContentHash([1; 32]),
        analyst: "ada".into(),
        dataset: contract.name.clone(),
        contract: contract.hash(),
        purpose: "research".into(),
        kind: KIND.into(),
        task: task.to_task(),
        epsilon,
        delta: contract.delta.get(),
        max_attempts: 1,
        issued_at_ms: 0,
        expires_at_ms: 1,
    }
}

/// A run from request to release, with the noise the plan asks for and coins and noise from `seed`.
pub fn run(task: &TrainTask, contract: &Contract, epsilon: f64, sites: &[TrainingData], seed: u8) -> TrainRelease {
    let terms = CohortTerms {
        n: sites.len() as u32,
        ..TERMS
    };
    let plan = TrainWorkload
        .plan(&request(task, contract, epsilon), contract, &terms)
        .unwrap();
    let own = TrainPlan::from_bytes(&plan.bytes).unwrap();
    let mut state: Option<std::sync::Arc<[u8]>> = None;
    for round in 0..plan.rounds {
        let now = match &state {
            None => State::initial(&own),
            Some(bytes) => State::from_bytes(bytes, &own).unwrap(),
        };
        let mut values = vec![0i64; plan.dim];
        for (site, data) in sites.iter().enumerate() {
            let mut key = [seed; 32];
            key[..4].copy_from_slice(&round.to_le_bytes());
            key[4] = site as u8;
            let noise = match plan.variance {
                0 => NoiseBatch::none(plan.dim),
                variance => NoiseBatch::draw(plan.dim, variance, &mut ExactSampler::new(key)).unwrap(),
            };
            let found = contribution(&own, &now, data, &mut KeyedCoins::new(&key)).unwrap();
            assert_eq!(found.dropped, 0);
            let noised = Clipped::clamp(found.values, &plan.bounds).unwrap().add(noise).unwrap();
            values
                .iter_mut()
                .zip(noised.into_values())
                .for_each(|(sum, v)| *sum += v);
        }
        let sum = PlainSum {
            values,
            contributors: sites.len() as u32,
            variance: plan.variance * sites.len() as u64,
        };
        match TrainWorkload.absorb(&plan, round, state.as_deref(), &sum).unwrap() {
            Outcome::Again { state: next, .. } => state = Some(next),
            Outcome::Done { release } => return TrainRelease::from_json(&release).unwrap(),
        }
    }
    panic!("the run did not end")
}

/// Share of rows whose class the model finds.
pub fn accuracy(release: &TrainRelease, rows: &[Rows]) -> f64 {
    let (mut right, mut all) = (0, 0);
    for (features, targets) in rows {
        for (found, y) in release.model.predict(features).unwrap().iter().zip(targets) {
            let class = if release.model.shape.outputs == 1 {
                f64::from(u8::from(*found > 0.5))
            } else {
                *found
            };
            right += usize::from(class == f64::from(*y));
            all += 1;
        }
    }
    right as f64 / all as f64
}
