//! What one participant computes in a round: sampled, clipped and rounded unit gradients, or its clipped update.
//! The last two integers are the loss at the model that was received, and a count, under the same bound as the rest.
//! Integers come out; noise is added by the shell from a batch drawn before this ran.
//!
//! Costs one private step over the sampled batch, or the local steps. The time depends on the size of the sampled
//! batch, and so a little on the coins: an agent's tick (PRIVACY.md, "time is a channel") is what hides it. A
//! participant without rows answers zeros of full length.

use super::coins::{Bernoulli, Coins, below};
use super::data::TrainingData;
use super::error::mismatched;
use super::model::{Network, clipped_float_sum, clipped_sum};
use super::plan::TrainPlan;
use super::state::State;
use super::task::{Algorithm, LocalWork};
use engine::Refusal;

/// The vector, and a count that stays here. No `Debug`: it is data.
pub struct Contribution {
    /// `plan.dim()` integers.
    pub values: Vec<i64>,
    /// Units (or the one update) that were left out because they came out as no finite number. For the owner alone.
    pub dropped: u64,
}

/// The contribution on top of a state. Refusals are about shapes and never about data.
pub fn contribution(
    plan: &TrainPlan,
    state: &State,
    data: &TrainingData,
    coins: &mut dyn Coins,
) -> Result<Contribution, Refusal> {
    if data.width() != plan.shape.inputs as usize {
        return Err(mismatched("features", plan.shape.inputs, data.width()));
    }
    if plan.task.is_unit_level() {
        unit_gradients(plan, state, data, coins)
    } else {
        update(plan, state, data, coins)
    }
}

/// Poisson-sampled units, each clipped on its own.
fn unit_gradients(
    plan: &TrainPlan,
    state: &State,
    data: &TrainingData,
    coins: &mut dyn Coins,
) -> Result<Contribution, Refusal> {
    let network = network(plan, &state.parameters)?;
    let lattice = plan
        .lattice()
        .ok_or_else(|| mismatched("radius", "a lattice", plan.radius))?;
    let coin = Bernoulli::new(plan.task.sampling_rate);
    // At rate 1 the coins are tossed too: the same work for every rate.
    let units: Vec<(usize, usize)> = data.train().iter().copied().filter(|_| coin.toss(coins)).collect();
    let clip = plan.task.clip_norm.get();
    let contiguous = units.windows(2).all(|w| w[0].1 == w[1].0);
    let (gathered, targets, local);
    let (inputs, targets, units) = if contiguous {
        (data.inputs(), data.targets(), &units)
    } else {
        let rows: Vec<usize> = units.iter().flat_map(|(first, end)| *first..*end).collect();
        (gathered, targets) = data.gather(&rows);
        let mut next = 0;
        let place = |(first, end): &(usize, usize)| {
            let start = next;
            next += end - first;
            (start, next)
        };
        local = units.iter().map(place).collect::<Vec<_>>();
        (gathered.view(), &targets[..], &local)
    };
    let mut values = vec![0i64; plan.dim()];
    if !plan.task.non_private {
        let dropped = clipped_sum(&network, inputs, targets, units, clip, lattice, &mut values);
        return Ok(Contribution { values, dropped });
    }
    let mut sum = vec![0.0; plan.dim()];
    let dropped = clipped_float_sum(&network, inputs, targets, units, clip, lattice, &mut sum);
    values
        .iter_mut()
        .zip(&sum)
        .for_each(|(v, x)| *v = x.round_ties_even() as i64);
    Ok(Contribution { values, dropped })
}

/// Local steps from the global model; what is sent is the clipped difference, and the mean loss at the global model.
fn update(
    plan: &TrainPlan,
    state: &State,
    data: &TrainingData,
    coins: &mut dyn Coins,
) -> Result<Contribution, Refusal> {
    let mut values = vec![0i64; plan.dim()];
    let lattice = plan
        .lattice()
        .ok_or_else(|| mismatched("radius", "a lattice", plan.radius))?;
    let rows = data.train_rows();
    let Some(local) = plan.task.local.filter(|_| !rows.is_empty()) else {
        return Ok(Contribution { values, dropped: 0 });
    };
    let x = &state.parameters;
    let mut correction = vec![0.0; x.len()];
    let mut own = Vec::new();
    if let (Algorithm::Scaffold, [control, measured_at]) = (plan.task.algorithm, state.memory.as_slice()) {
        // [KKM+20] option I: a client's control variate is its gradient at the model it was sent. The one of the round
        // before is computed again at that round's model, so an agent keeps nothing between rounds and may rejoin at
        // any.
        own = mean_gradient(plan, x, data, &rows)?;
        if state.round > 0 {
            let before = mean_gradient(plan, measured_at, data, &rows)?;
            correction
                .iter_mut()
                .zip(control)
                .zip(&before)
                .for_each(|((to, c), c_i)| *to = c - c_i);
        }
    }
    let y = train_locally(plan, x, data, &rows, local, &correction, coins)?;
    let mut vector: Vec<f64> = y.iter().zip(x).map(|(y, x)| y - x).collect();
    let weight = plan.control_weight();
    vector.extend(own.iter().map(|c| c * weight));
    let loss = mean_loss(plan, x, data, &rows)?;
    let share = loss / plan.shape.loss_bound();
    let kept = lattice.add(&vector, plan.task.clip_norm.get(), share, &mut values);
    Ok(Contribution {
        values,
        dropped: u64::from(!kept),
    })
}

fn train_locally(
    plan: &TrainPlan,
    x: &[f64],
    data: &TrainingData,
    rows: &[usize],
    local: LocalWork,
    correction: &[f64],
    coins: &mut dyn Coins,
) -> Result<Vec<f64>, Refusal> {
    let (rate, decay) = (local.learning_rate.get(), plan.task.weight_decay.get());
    let mu = match plan.task.algorithm {
        Algorithm::FedProx { mu } => mu.get(),
        _ => 0.0,
    };
    let batch = match local.batch as usize {
        0 => rows.len(),
        size => size.min(rows.len()),
    };
    let mut order = rows.to_vec();
    let mut used = order.len();
    let mut y = x.to_vec();
    for _ in 0..local.steps {
        if used + batch > order.len() {
            if batch < order.len() {
                (1..order.len()).rev().for_each(|i| order.swap(i, below(i + 1, coins)));
            }
            used = 0;
        }
        let mut step = mean_gradient(plan, &y, data, &order[used..used + batch])?;
        used += batch;
        for layer in plan.shape.layers().iter().filter(|_| decay > 0.0) {
            layer.weights().for_each(|i| step[i] += decay * y[i]);
        }
        for i in 0..y.len() {
            y[i] -= rate * (step[i] + mu * (y[i] - x[i]) + correction[i]);
        }
    }
    Ok(y)
}

/// The mean of the rows' gradients, in chunks.
fn mean_gradient(plan: &TrainPlan, at: &[f64], data: &TrainingData, rows: &[usize]) -> Result<Vec<f64>, Refusal> {
    let network = network(plan, at)?;
    let mut sum = vec![0.0; at.len()];
    for chunk in rows.chunks(256) {
        let (inputs, targets) = data.gather(chunk);
        let (gradient, _) = network.gradient(inputs.view(), &targets);
        sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += f64::from(g));
    }
    sum.iter_mut().for_each(|g| *g /= rows.len() as f64);
    Ok(sum)
}

/// The mean of the rows' losses, in chunks.
fn mean_loss(plan: &TrainPlan, at: &[f64], data: &TrainingData, rows: &[usize]) -> Result<f64, Refusal> {
    let network = network(plan, at)?;
    let losses = rows.chunks(256).map(|chunk| {
        let (inputs, targets) = data.gather(chunk);
        network.loss(inputs.view(), &targets)
    });
    Ok(losses.sum::<f64>() / rows.len() as f64)
}

fn network(plan: &TrainPlan, parameters: &[f64]) -> Result<Network, Refusal> {
    Network::new(&plan.shape, parameters)
        .ok_or_else(|| mismatched("parameters", plan.shape.parameters(), parameters.len()))
}
