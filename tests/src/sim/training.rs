//! The real training in a simulated world: a table per participant, contributions and noise as a participant makes them,
//! and a whole run recomputed outside from the vectors that participants handed out and the sums on the coordinator's disk.
//! A round of five participants and a few dozen rows costs a millisecond besides the engine.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use engine::coordinator::Workloads;
use engine::record::CoordinatorRecord;
use engine::{Compute, JobId, PlainSum, Plan, Release, SlotId};
use governance::Contract;
use ndarray::Array2;
use privacy::Noised;
use privacy::sampler::ExactSampler;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use secagg::RingVec;
use workload::training::{
    KeyedCoins, State, Stepped, TrainPlan, TrainRelease, TrainedModel, TrainingData, contribution, step,
};

use super::work::{Work, noised};

/// Encoded rows of a site and their targets.
pub type Rows = (Array2<f32>, Vec<f32>);

/// A vector as it went to the engine of a participant.
pub struct Vector {
    pub agent: usize,
    job: JobId,
    at: SlotId,
    round: u32,
    plan: Arc<Plan>,
    values: Vec<i64>,
}

/// Everything that participants computed.
pub type Vectors = Rc<RefCell<Vec<Vector>>>;

/// Participants that train.
pub struct Sites {
    tables: Vec<TrainingData>,
    seed: u64,
    vectors: Vectors,
}

/// What a run must have ended with.
pub struct Recomputed {
    pub state: State,
    pub diverged: bool,
}

impl Sites {
    pub fn new(rows: &[Rows], seed: u64) -> Self {
        let tables = rows
            .iter()
            .map(|(x, y)| TrainingData::rows(x, y).expect("rows and targets"));
        Self {
            tables: tables.collect(),
            seed,
            vectors: Vectors::default(),
        }
    }

    pub fn vectors(&self) -> Vectors {
        self.vectors.clone()
    }

    fn key(&self, what: &str, agent: usize, serial: i64) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("sottovoce 1 simulated training");
        hasher.update(&self.seed.to_le_bytes()).update(&agent.to_le_bytes());
        hasher.update(&serial.to_le_bytes()).update(what.as_bytes());
        *hasher.finalize().as_bytes()
    }
}

/// Features `a` and `b`, targets `label` (true where a is above b) and `value`.
pub fn contract() -> Contract {
    let number = |name: &str| {
        format!(
            "[[schema.properties]]\nname = \"{name}\"\nlogicalType = \"number\"\nrequired = true\n\
             logicalTypeOptions = {{ minimum = -1, maximum = 1 }}\n"
        )
    };
    let text = format!(
        "name = \"points\"\nversion = \"1\"\npurposes = [\"research\"]\n[privacy]\nmaxRows = 400\ndelta = 1e-6\n{}{}{}\
         [[schema.properties]]\nname = \"label\"\nlogicalType = \"boolean\"\nrequired = true\n",
        number("a"),
        number("b"),
        number("value"),
    );
    Contract::parse(&text).expect("the contract of the simulated training is valid")
}

/// Rows of one site for the target `label`.
pub fn rows(seed: u64, count: usize) -> Rows {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let features = Array2::from_shape_fn((count, 2), |_| rng.random_range(-1.0f32..1.0));
    let targets = features
        .rows()
        .into_iter()
        .map(|x| f32::from(u8::from(x[0] > x[1])))
        .collect();
    (features, targets)
}

impl Work for Sites {
    fn contract(&self) -> Contract {
        contract()
    }

    fn workloads(&self) -> Workloads {
        workload::workloads()
    }

    fn compute(&mut self, agent: usize, compute: &Compute, serial: i64) -> Noised {
        let plan = TrainPlan::from_bytes(&compute.plan.bytes).expect("a training plan");
        let state = match &compute.state {
            None => State::initial(&plan),
            Some(bytes) => State::from_bytes(bytes, &plan).expect("a state of its plan"),
        };
        let mut coins = KeyedCoins::new(&self.key("coins", agent, serial));
        let found = contribution(&plan, &state, &self.tables[agent], &mut coins).expect("shapes of the plan");
        let vector = || {
            let mut sampler = ExactSampler::new(self.key("noise", agent, serial));
            noised(found.values.clone(), &compute.plan, &mut sampler)
        };
        self.vectors.borrow_mut().push(Vector {
            agent,
            job: compute.job,
            at: compute.at,
            round: compute.round,
            plan: compute.plan.clone(),
            values: vector().into_values(),
        });
        vector()
    }
}

/// The end of a run that released this, from the vectors and the records, or what does not add up: every sum is one of
/// vectors that were computed for one slot of its round, each once, and every state follows from the one before.
pub fn recompute(
    release: &Release,
    records: &[CoordinatorRecord],
    vectors: &Vectors,
) -> Result<(Recomputed, TrainPlan), String> {
    let run = TrainRelease::from_json(release.body.as_bytes()).map_err(|e| e.to_string())?;
    let vectors = vectors.borrow();
    let mut state: Option<State> = None;
    for round in 0.. {
        let of_round = |v: &&Vector| v.job == release.id && v.round == round;
        let advanced = records.iter().find_map(|record| match record {
            CoordinatorRecord::Advanced {
                job,
                round: of,
                contributors,
                state,
                sum,
                ..
            } if *job == release.id && *of == round => Some((*contributors, state, sum)),
            _ => None,
        });
        let contributors = advanced.map_or(release.receipt.contributors, |(contributors, ..)| contributors);
        let mut slots: Vec<SlotId> = vectors.iter().filter(of_round).map(|v| v.at).collect();
        slots.dedup();
        for slot in slots {
            let cohort: Vec<&Vector> = vectors.iter().filter(of_round).filter(|v| v.at == slot).collect();
            let plan = TrainPlan::from_bytes(&cohort[0].plan.bytes).map_err(|e| e.to_string())?;
            let before = state.clone().unwrap_or_else(|| State::initial(&plan));
            for sum in sums(&cohort, contributors) {
                let plain = PlainSum::new(&sum, contributors, &cohort[0].plan);
                let stepped = step(&plan, &before, &plain).map_err(|e| e.to_string())?;
                match (advanced, stepped) {
                    (Some((_, after, recorded)), Stepped::Next(next)) if **recorded == *sum.as_bytes() => {
                        if next.to_bytes() != **after {
                            return Err(format!("the state after round {round} does not follow from its sum"));
                        }
                        state = Some(next);
                    }
                    (None, stepped) => {
                        let (last, diverged) = match stepped {
                            Stepped::Next(next) => (next, false),
                            Stepped::Diverged => (before.clone(), true),
                        };
                        if TrainedModel::new(&plan, &last.parameters) == run.model && diverged == run.diverged {
                            let state = last;
                            return Ok((Recomputed { state, diverged }, plan));
                        }
                    }
                    _ => {}
                }
            }
        }
        if state.as_ref().map_or(0, |state| state.round) != round + 1 {
            return Err(format!(
                "the sum of round {round} is of no vectors that were computed for it"
            ));
        }
    }
    Err("a run has an end".to_owned())
}

/// The sums of every `count` of these vectors.
fn sums(cohort: &[&Vector], count: u32) -> Vec<RingVec> {
    let chosen = (0u32..1 << cohort.len()).filter(|set| set.count_ones() == count);
    let sum = |set: u32| {
        let plan = &cohort[0].plan;
        let mut sum = RingVec::zero(plan.ring, plan.dim);
        for (_, vector) in cohort.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1) {
            sum.add_assign(&RingVec::from_i64s(plan.ring, &vector.values))
                .expect("vectors of one plan");
        }
        sum
    };
    chosen.map(sum).collect()
}
