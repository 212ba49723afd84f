//! Attacks on a trained model, beside what its plan claims.
//!
//! The one-run audit of \[SNJ23\] (`privacy::audit`): canaries (random signs as features, a random class: the hardest
//! to hide among others) each take part by a fair coin; whoever sees every released sum and knows everybody else's rows
//! guesses the coins. What he gets right beyond chance refutes every smaller epsilon with confidence 95 %. An audit can
//! only find a claim false: a bound of 0 proves nothing, a bound above the claim proves a bug.
//!
//! The membership attack of Yeom et al., "Privacy Risk in Machine Learning" (2018): is a row's loss lower if it was
//! trained on? An AUC of 0.5 is chance.
//!
//! Costs, each round, a gradient a canary and the product of each two; then a system of as many equations.

use super::bench::real;
use super::run::{key, watched};
use super::{Bench, Encoded, Result, auc};
use ndarray::{Array1, Array2, Axis};
use privacy::audit::one_run_lower_bound;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use workload::training::{Coins, KeyedCoins, State, TrainPlan, TrainedModel, TrainingData, contribution};

/// Of the audit: the chance of a bound above the truth.
const SIGNIFICANCE: f64 = 0.05;

#[derive(Clone, Copy, Debug)]
pub struct Audit {
    /// Of all rounds at the plan's delta; infinite without noise.
    pub epsilon_claimed: f64,
    pub epsilon_lower_bound: f64,
    pub canaries: u64,
    pub guesses: u64,
    pub right: u64,
    /// Of the loss-threshold membership attack on the table's own units.
    pub attack_auc: f64,
}

/// Trains once with `canaries` canaries and attacks what came out. `guesses` of them are guessed, those about which the
/// attacker is surest; the number is fixed beforehand, as the bound demands.
pub fn audit(
    bench: &Bench,
    encoded: &Encoded,
    epsilon: f64,
    (canaries, guesses): (usize, usize),
    seed: u64,
) -> Result<Audit> {
    if canaries == 0 || guesses > canaries {
        return Err(format!("guesses out of range: expected at most {canaries} of {canaries} canaries").into());
    }
    let plan = bench.plan(epsilon)?;
    // The attacker computes with everybody's rows, so at rate 1; sampling is a secret of the sites.
    let mut certain = plan.clone();
    certain.task.sampling_rate = real(1.0)?;
    let q = plan.task.sampling_rate.get();

    let mut rng = ChaCha20Rng::seed_from_u64(seed ^ 0xca);
    let width = plan.encoder.width();
    let features = Array2::from_shape_fn((canaries, width), |_| if rng.random() { 1.0f32 } else { -1.0 });
    let classes = plan.target.classes().max(2);
    let targets: Vec<f32> = (0..canaries).map(|_| rng.random_range(0..classes) as f32).collect();
    let included: Vec<bool> = (0..canaries).map(|_| rng.random()).collect();

    let split = encoded.split(seed);
    let (whole, first) = encoded.with(&features, &targets)?;
    let mut sites = split.sites.clone();
    for i in (0..canaries).filter(|i| included[*i]) {
        sites[i % encoded.sites.len()].push(first + i);
    }
    let sites = sites
        .iter()
        .map(|units| whole.data(units))
        .collect::<Result<Vec<_>>>()?;
    let others = encoded.data(&split.sites.concat())?;
    let each = (0..canaries)
        .map(|i| whole.data(&[first + i]))
        .collect::<Result<Vec<_>>>()?;

    let (mut gram, mut against) = (
        Array2::<f64>::zeros((canaries, canaries)),
        Array1::<f64>::zeros(canaries),
    );
    let radius = plan.radius as f64;
    let trained = watched(&plan, &sites, seed, 0.0, &mut |state, sum| {
        let gradients = each
            .iter()
            .map(|data| gradient(&certain, state, data))
            .collect::<Result<Vec<_>>>()?;
        let gradients = Array2::from_shape_vec((canaries, plan.dim()), gradients.concat())?;
        // What is left of the sum once the known part and the expected half of the canaries are taken away.
        let mut left: Array1<f64> = sum.values.iter().map(|x| *x as f64 / radius).collect();
        left -= &(Array1::from_vec(gradient(&certain, state, &others)?) * q);
        left -= &(gradients.sum_axis(Axis(0)) * (q / 2.0));
        gram += &gradients.dot(&gradients.t());
        against += &gradients.dot(&left);
        Ok(())
    })?;
    // The best linear guess of each coin (-1/2 or 1/2, so of variance 1/4) under the noise, with what the sampling of
    // other units adds spread over all directions.
    let noise = f64::from(plan.noise.members) * plan.noise.variance as f64 / (radius * radius);
    let sampling = q * (1.0 - q) * others.train_units() as f64 / plan.dim() as f64;
    let scores = ridge(gram * q, against, 4.0 * (noise + sampling) + 1e-9);

    let mut surest: Vec<usize> = (0..canaries).collect();
    surest.sort_by(|a, b| scores[*b].abs().total_cmp(&scores[*a].abs()));
    let right = surest[..guesses]
        .iter()
        .filter(|i| (scores[**i] > 0.0) == included[**i])
        .count() as u64;
    let (members, others) = (
        losses(&trained.model, encoded, &split.sites.concat())?,
        losses(&trained.model, encoded, &split.test)?,
    );
    let negated = |losses: Vec<f64>| losses.into_iter().map(|loss| -loss).collect::<Vec<_>>();
    let (canaries, guesses) = (canaries as u64, guesses as u64);
    Ok(Audit {
        epsilon_claimed: match plan.noise.variance {
            0 => f64::INFINITY,
            _ => plan.epsilon_after(trained.attempts),
        },
        epsilon_lower_bound: one_run_lower_bound(canaries, guesses, right, SIGNIFICANCE, plan.noise.delta.get()),
        canaries,
        guesses,
        right,
        attack_auc: auc(&negated(members), &negated(others)),
    })
}

/// The clipped sum of all units of `data`, in clip norms.
fn gradient(certain: &TrainPlan, state: &State, data: &TrainingData) -> Result<Vec<f64>> {
    let mut coins = KeyedCoins::new(&key("attack", 0, state.round, 0));
    let coins: &mut dyn Coins = &mut coins;
    let found = contribution(certain, state, data, coins)?;
    Ok(found.values.iter().map(|x| *x as f64 / certain.radius as f64).collect())
}

/// Solves `(a + weight I) x = b` by Cholesky's factorisation; `a` is symmetric and has no negative direction.
fn ridge(mut a: Array2<f64>, b: Array1<f64>, weight: f64) -> Vec<f64> {
    let n = b.len();
    a.diag_mut().mapv_inplace(|x| x + weight);
    for i in 0..n {
        for j in 0..=i {
            let inner: f64 = (0..j).map(|k| a[(i, k)] * a[(j, k)]).sum();
            let rest = a[(i, j)] - inner;
            a[(i, j)] = if i == j {
                rest.max(f64::MIN_POSITIVE).sqrt()
            } else {
                rest / a[(j, j)]
            };
        }
    }
    let mut x = b.to_vec();
    for i in 0..n {
        let inner: f64 = (0..i).map(|k| a[(i, k)] * x[k]).sum();
        x[i] = (x[i] - inner) / a[(i, i)];
    }
    for i in (0..n).rev() {
        let inner: f64 = (i + 1..n).map(|k| a[(k, i)] * x[k]).sum();
        x[i] = (x[i] - inner) / a[(i, i)];
    }
    x
}

/// The loss of each row that the class it has is given: minus the logarithm of its probability.
fn losses(model: &TrainedModel, encoded: &Encoded, units: &[usize]) -> Result<Vec<f64>> {
    let (features, targets) = encoded.rows(units);
    let outputs = model.outputs(&features)?;
    let probability = |(row, y): (usize, &f32)| match outputs.ncols() {
        1 if *y == 1.0 => outputs[(row, 0)],
        1 => 1.0 - outputs[(row, 0)],
        _ => outputs[(row, *y as usize)],
    };
    Ok(targets
        .iter()
        .enumerate()
        .map(|at| -probability(at).max(1e-300).ln())
        .collect())
}
