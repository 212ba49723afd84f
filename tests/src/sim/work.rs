//! What the participants of a simulated consortium hold, and what they make of it when a round asks.

use engine::Compute;
use engine::coordinator::Workloads;
use governance::Contract;
use privacy::{Clipped, NoiseBatch, Noised, Sampler};

use crate::plain;

/// The data of a world.
pub trait Work {
    fn contract(&self) -> Contract;
    fn workloads(&self) -> Workloads;

    /// One participant's vector. `serial` is a number that no other computation of this world has.
    fn compute(&mut self, agent: usize, compute: &Compute, serial: i64) -> Noised;
}

/// Contributions that betray every error: a one in the agent's own place, and the serial number.
pub struct Serials;

/// A sampler that draws zeros: the simulator looks at sums to find replays, and noise would hide them. Charges stay real.
struct Silence;

impl Sampler for Silence {
    fn fill(&mut self, _variance: u64, out: &mut [i64]) {
        out.fill(0);
    }
}

impl Work for Serials {
    fn contract(&self) -> Contract {
        plain::contract()
    }

    fn workloads(&self) -> Workloads {
        plain::workloads()
    }

    fn compute(&mut self, agent: usize, compute: &Compute, serial: i64) -> Noised {
        let mut values = vec![0; compute.plan.dim];
        if let [own @ .., last] = values.as_mut_slice() {
            own[agent] = 1;
            *last = serial;
        }
        silent(values, &compute.plan)
    }
}

/// Clamps to the plan's bounds and adds zeros where a participant adds noise: for worlds that look at their sums.
pub fn silent(values: Vec<i64>, plan: &engine::Plan) -> Noised {
    noised(values, plan, &mut Silence)
}

/// Clamps to the plan's bounds and adds a share of its noise.
pub(super) fn noised(values: Vec<i64>, plan: &engine::Plan, sampler: &mut dyn Sampler) -> Noised {
    let noise = match plan.variance {
        0 => NoiseBatch::none(plan.dim),
        variance => NoiseBatch::draw(plan.dim, variance, sampler).expect("a plan has noise"),
    };
    Clipped::clamp(values, &plan.bounds)
        .and_then(|clipped| clipped.add(noise))
        .expect("equal shapes")
}
