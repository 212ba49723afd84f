//! Centralised DP-SGD (Abadi et al., "Deep Learning with Differential Privacy", 2016) as a textbook has it: one trusted
//! server holds all units, clips in floats and adds one continuous Gaussian. Shares with the federated run only the
//! model and the server's step, so that agreement of the two says something about lattice, rounding and distributed
//! noise.

use super::{Encoded, Result, Trained};
use engine::PlainSum;
use ndarray::{Array2, Axis, concatenate};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use workload::training::model::clipped_float_sum;
use workload::training::{Network, State, Stepped, TrainPlan, step};

/// The same plan on pooled units, with as much noise as all members of the federation add together.
pub fn central(plan: &TrainPlan, encoded: &Encoded, units: &[usize], seed: u64) -> Result<Trained> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed ^ 0xce);
    let (clip, q) = (plan.task.clip_norm.get(), plan.task.sampling_rate.get());
    let members = plan.noise.members;
    let lattice = plan.lattice().ok_or("a lattice out of range")?;
    let deviation = (f64::from(members) * plan.noise.variance as f64).sqrt();
    let mut state = State::initial(plan);
    while state.round < plan.task.rounds {
        let batch: Vec<usize> = units
            .iter()
            .copied()
            .filter(|_| q >= 1.0 || rng.random::<f64>() < q)
            .collect();
        let (features, targets) = encoded.rows(&batch);
        let inputs = concatenate(Axis(1), &[features.view(), Array2::ones((features.nrows(), 1)).view()])?;
        let mut next = 0;
        let rows = |unit: &usize| {
            let start = next;
            next += encoded.units[*unit].rows.len();
            (start, next)
        };
        let units: Vec<(usize, usize)> = batch.iter().map(rows).collect();
        let network = Network::new(&plan.shape, &state.parameters).ok_or("a model of another shape")?;
        let mut sum = vec![0.0; plan.dim()];
        clipped_float_sum(&network, inputs.view(), &targets, &units, clip, lattice, &mut sum);
        // The step takes integers; this rounding is far below the noise.
        let noised = |x: &f64, z: f64| (x + deviation * z).round() as i64;
        let values = sum.iter().map(|x| noised(x, normal(&mut rng))).collect();
        let sum = PlainSum {
            values,
            contributors: members,
            variance: plan.noise.variance * u64::from(members),
        };
        match step(plan, &state, &sum)? {
            Stepped::Next(next) => state = next,
            Stepped::Diverged => return Ok(Trained::new(plan, &state, state.round + 1, true)),
        }
    }
    Ok(Trained::new(plan, &state, state.round, false))
}

/// A standard normal by Box and Muller: a yardstick, not a mechanism.
pub(super) fn normal(rng: &mut ChaCha20Rng) -> f64 {
    let (u, v) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
