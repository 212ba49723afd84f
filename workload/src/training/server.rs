//! The server's step: from a released sum to the next model. Elementwise, in fixed order, with + - * / and sqrt alone,
//! all of which IEEE 754 fixes to the last bit; so every agent recomputes the same model on any CPU.
//! The two figures at the end of a sum, loss and count, join the curve and never a parameter.
//! Nothing here costs privacy: it is post-processing of the sum and public constants.

use super::model::FIGURES;
use super::plan::TrainPlan;
use super::state::State;
use super::task::{Algorithm, Schedule};
use engine::{PlainSum, Refusal};

/// A model with a parameter beyond this has exploded: features lie in [-1, 1], and the noise alone never goes this far.
const EXPLODED: f64 = 1e6;

/// What a sum made of a state.
#[derive(Clone, Debug, PartialEq)]
pub enum Stepped {
    Next(State),
    /// The step left the finite numbers, or grew beyond all use; the state before it is the last good model.
    Diverged,
}

/// Vectors of optimiser memory that this plan's state carries.
pub(super) fn memories(plan: &TrainPlan) -> usize {
    match plan.task.algorithm {
        Algorithm::FedAvg | Algorithm::FedProx { .. } => 0,
        Algorithm::DpSgd | Algorithm::FedAvgM { .. } => 1,
        Algorithm::FedAdam { .. } | Algorithm::FedYogi { .. } | Algorithm::Scaffold => 2,
    }
}

pub(super) fn initial_memory(plan: &TrainPlan, parameters: &[f64]) -> Vec<Vec<f64>> {
    let fill = |x: f64| vec![x; parameters.len()];
    match plan.task.algorithm {
        // [RCZ+21]: the second moment starts at tau^2.
        Algorithm::FedAdam { tau, .. } | Algorithm::FedYogi { tau, .. } => {
            vec![fill(0.0), fill(tau.get() * tau.get())]
        }
        Algorithm::Scaffold => vec![fill(0.0), parameters.to_vec()],
        _ => vec![fill(0.0); memories(plan)],
    }
}

/// Absorbs a sum.
pub fn step(plan: &TrainPlan, state: &State, sum: &PlainSum) -> Result<Stepped, Refusal> {
    if sum.values.len() != plan.dim() {
        return Err(super::error::mismatched("sum", plan.dim(), sum.values.len()));
    }
    if sum.contributors == 0 {
        return Err(super::error::mismatched("contributors", "at least 1", 0));
    }
    // One multiplication a component: lattice to reals, and the sum to a mean, by public constants.
    let unit = plan.task.clip_norm.get() / plan.radius as f64;
    let scale = unit / (f64::from(sum.contributors) * plan.weight_per_participant());
    let own = &sum.values[..sum.values.len() - FIGURES];
    let mean: Vec<f64> = own.iter().map(|v| *v as f64 * scale).collect();
    let rate = rate(plan, state.round);
    let mut next = state.clone();
    next.curve.push(plan, state.round, sum);
    next.round += 1;
    let d = next.parameters.len();
    let (x, memory) = (&mut next.parameters, &mut next.memory);
    match (plan.task.algorithm, memory.as_mut_slice()) {
        (Algorithm::DpSgd, [velocity]) => {
            let (momentum, decay) = (plan.task.momentum.get(), plan.task.weight_decay.get());
            if decay > 0.0 {
                for layer in plan.shape.layers() {
                    // Biases do not decay; the gradient of the decay joins the momentum's.
                    for i in layer.weights() {
                        velocity[i] = momentum * velocity[i] + (mean[i] + decay * x[i]);
                    }
                    for i in layer.biases() {
                        velocity[i] = momentum * velocity[i] + mean[i];
                    }
                }
            } else {
                for i in 0..d {
                    velocity[i] = momentum * velocity[i] + mean[i];
                }
            }
            for i in 0..d {
                x[i] -= rate * velocity[i];
            }
        }
        (Algorithm::FedAvg | Algorithm::FedProx { .. }, []) => {
            for i in 0..d {
                x[i] += rate * mean[i];
            }
        }
        (Algorithm::FedAvgM { momentum }, [velocity]) => {
            for i in 0..d {
                velocity[i] = momentum.get() * velocity[i] + mean[i];
                x[i] += rate * velocity[i];
            }
        }
        (Algorithm::FedAdam { beta1, beta2, tau }, [first, second]) => {
            let (beta1, beta2, tau) = (beta1.get(), beta2.get(), tau.get());
            for i in 0..d {
                let squared = mean[i] * mean[i];
                first[i] = beta1 * first[i] + (1.0 - beta1) * mean[i];
                second[i] = beta2 * second[i] + (1.0 - beta2) * squared;
                x[i] += rate * first[i] / (second[i].sqrt() + tau);
            }
        }
        (Algorithm::FedYogi { beta1, beta2, tau }, [first, second]) => {
            let (beta1, beta2, tau) = (beta1.get(), beta2.get(), tau.get());
            for i in 0..d {
                let squared = mean[i] * mean[i];
                first[i] = beta1 * first[i] + (1.0 - beta1) * mean[i];
                let towards = (1.0 - beta2) * squared;
                if second[i] > squared {
                    second[i] -= towards;
                } else if second[i] < squared {
                    second[i] += towards;
                }
                x[i] += rate * first[i] / (second[i].sqrt() + tau);
            }
        }
        (Algorithm::Scaffold, [control, measured_at]) => {
            measured_at.copy_from_slice(x);
            let weight = plan.control_weight();
            for i in 0..d {
                x[i] += rate * mean[i];
                control[i] = mean[d + i] / weight;
            }
        }
        (_, memory) => {
            return Err(super::error::mismatched(
                "optimiser memory",
                memories(plan),
                memory.len(),
            ));
        }
    }
    let sound = |v: &Vec<f64>| v.iter().all(|x| x.is_finite());
    let kept = next.parameters.iter().all(|x| x.abs() <= EXPLODED) && next.memory.iter().all(sound);
    Ok(if kept { Stepped::Next(next) } else { Stepped::Diverged })
}

/// The learning rate of round `round`, counted from 0.
fn rate(plan: &TrainPlan, round: u32) -> f64 {
    let rate = plan.task.learning_rate.get();
    match plan.task.schedule {
        Schedule::Constant => rate,
        Schedule::Cosine => {
            let turn = f64::from(round) / f64::from(plan.task.rounds);
            rate * (1.0 + cosine(std::f64::consts::PI * turn)) / 2.0
        }
        Schedule::Step { every, factor } => {
            let mut rate = rate;
            for _ in 0..(round / every).min(10_000) {
                rate *= factor.get();
            }
            rate
        }
    }
}

/// Cosine on [0, pi] by its series around pi/2: the platform's own may differ in the last bit from another platform's.
fn cosine(x: f64) -> f64 {
    let y = std::f64::consts::FRAC_PI_2 - x;
    let square = y * y;
    let mut sum = 1.0;
    for k in (1..=10).rev() {
        let k = f64::from(k);
        sum = 1.0 - square / ((2.0 * k) * (2.0 * k + 1.0)) * sum;
    }
    y * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_is_a_cosine() {
        for i in 0..=1000 {
            let x = std::f64::consts::PI * f64::from(i) / 1000.0;
            assert!((cosine(x) - x.cos()).abs() < 1e-14);
        }
    }
}
