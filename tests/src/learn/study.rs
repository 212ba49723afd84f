//! Two studies: how fast each algorithm learns where sites see different classes, and what dropouts cost. Convergence
//! is measured without noise ("secure aggregation only"): it is the algorithms that are compared.

use super::bench::real;
use super::run::watched;
use super::{Bench, Encoded, Result, Summary, dirichlet, federated};
use engine::CohortTerms;
use std::time::Instant;
use workload::training::{Algorithm, LocalWork, TrainPlan, TrainTask, TrainedModel};

/// Metric on the test units after every `every` rounds, mean over seeds.
pub struct Convergence {
    pub algorithm: &'static str,
    pub alpha: f64,
    /// (rounds, mean metric).
    pub curve: Vec<(u32, f64)>,
    pub diverged: u64,
}

/// Every algorithm with settings that suit normalised features, and its server learning rate (`None`: the bench's).
pub fn algorithms() -> Result<Vec<(&'static str, Algorithm, Option<f64>)>> {
    let (mu, tau) = (real(0.1)?, real(0.01)?);
    let (beta1, beta2) = (real(0.9)?, real(0.99)?);
    let momentum = real(0.5)?;
    Ok(vec![
        ("dp-sgd", Algorithm::DpSgd, None),
        ("fedavg", Algorithm::FedAvg, Some(1.0)),
        ("fedprox", Algorithm::FedProx { mu }, Some(1.0)),
        ("fedavgm", Algorithm::FedAvgM { momentum }, Some(0.5)),
        ("fedadam", Algorithm::FedAdam { beta1, beta2, tau }, Some(0.03)),
        ("fedyogi", Algorithm::FedYogi { beta1, beta2, tau }, Some(0.03)),
        ("scaffold", Algorithm::Scaffold, Some(1.0)),
    ])
}

/// Curves of one algorithm over `sites` sites of skew `alpha`. Local work: ten steps on batches of 32.
pub fn convergence(
    bench: &Bench,
    encoded: &Encoded,
    (name, algorithm, rate): (&'static str, Algorithm, Option<f64>),
    alpha: f64,
    rounds: u32,
    seeds: u64,
) -> Result<Convergence> {
    let local = LocalWork {
        steps: 10,
        batch: 32,
        learning_rate: real(bench.open.1 / 2.0)?,
    };
    let unit_level = algorithm == Algorithm::DpSgd;
    let task = TrainTask {
        algorithm,
        rounds,
        non_private: true,
        local: (!unit_level).then_some(local),
        learning_rate: rate.map_or(Ok(bench.task.learning_rate), real)?,
        momentum: if unit_level { bench.task.momentum } else { real(0.0)? },
        sampling_rate: if unit_level {
            bench.task.sampling_rate
        } else {
            real(1.0)?
        },
        // A participant's update is not what is private here.
        clip_norm: if unit_level { bench.task.clip_norm } else { real(1e3)? },
        ..bench.task.clone()
    };
    let terms = CohortTerms { c: 0, ..bench.terms };
    // A skewed site may hold everybody.
    let plan = TrainPlan::new(task, &bench.roomy(encoded.units())?, &terms, 1.0, super::DELTA)?;
    let every = (rounds / 20).max(1);
    let mut curve: Vec<(u32, f64)> = (0..=rounds.div_ceil(every))
        .map(|i| ((i * every).min(rounds), 0.0))
        .collect();
    let mut diverged = 0;
    for seed in 1..=seeds {
        let dealt = dirichlet(encoded, terms.n as usize, alpha, seed);
        let split = dealt.split(seed);
        let sites = split
            .sites
            .iter()
            .map(|units| dealt.data(units))
            .collect::<Result<Vec<_>>>()?;
        let mut seen = Vec::new();
        let trained = watched(&plan, &sites, seed, 0.0, &mut |state, _| {
            if state.round % every == 0 {
                let model = TrainedModel::new(&plan, &state.parameters);
                seen.push(bench.metric.of(&model, &dealt, &split.test)?);
            }
            Ok(())
        })?;
        // The end; and a run that diverged keeps its last good model, so the rest of its curve is flat.
        seen.resize(curve.len(), bench.metric.of(&trained.model, &dealt, &split.test)?);
        curve
            .iter_mut()
            .zip(seen)
            .for_each(|((_, mean), value)| *mean += value / seeds as f64);
        diverged += u64::from(trained.diverged);
    }
    Ok(Convergence {
        algorithm: name,
        alpha,
        curve,
        diverged,
    })
}

pub struct Dropout {
    /// The probability that a site misses a round.
    pub rate: f64,
    pub summary: Summary,
    /// Rounds that were tried for each that ended.
    pub attempts_per_round: f64,
    /// Of all attempts, mean over seeds: a round that repeats is charged again.
    pub epsilon: f64,
    pub seconds: f64,
}

/// The bench's run at `epsilon` with sites that drop out.
pub fn dropout(bench: &Bench, encoded: &Encoded, epsilon: f64, rate: f64, seeds: u64) -> Result<Dropout> {
    let plan = bench.plan(epsilon)?;
    let (mut values, mut attempts, mut spent) = (Vec::new(), 0u32, 0.0);
    let began = Instant::now();
    for seed in 1..=seeds {
        let split = encoded.split(seed);
        let sites = split
            .sites
            .iter()
            .map(|units| encoded.data(units))
            .collect::<Result<Vec<_>>>()?;
        let trained = federated(&plan, &sites, seed, rate)?;
        values.push(bench.metric.of(&trained.model, encoded, &split.test)?);
        attempts += trained.attempts;
        spent += plan.epsilon_after(trained.attempts);
    }
    let seeds = seeds.max(1) as f64;
    Ok(Dropout {
        rate,
        summary: Summary::of(&values).ok_or("no seed: expected at least 1")?,
        attempts_per_round: f64::from(attempts) / (seeds * f64::from(plan.task.rounds)),
        epsilon: spent / seeds,
        seconds: began.elapsed().as_secs_f64() / seeds,
    })
}
