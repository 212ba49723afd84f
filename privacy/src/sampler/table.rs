//! Builds the table behind [`Envelope`]: integer weights above the true ones, and bounds on what is accepted.
//!
//! Everything here is integer arithmetic rounded to the side that keeps the claim: weights up, thresholds down. About 20 microseconds.

use super::digits::Between;
use super::envelope::{Block, EMPTY, Envelope, SLACK, SLOTS, TAIL, Tail, UNIFORM_SHIFT, exp_neg_fixed, high};
use super::words::excess;

/// The table stops at this many standard deviations; the tail begins there.
const CUT: u32 = 6;

impl Envelope {
    pub(super) fn new(variance: u64) -> Self {
        Self::cut_at(variance, CUT)
    }

    /// The table up to `cut` standard deviations, from 2 to 6. Tests cut early to see the tail at work.
    pub(super) fn cut_at(variance: u64, cut: u32) -> Self {
        let step = (variance.isqrt() / 16).max(1);
        let starts = block_starts(variance, step, cut);
        let count = starts.len() - 1;
        // A tail block is as wide as a standard deviation: then from one to the next the true weight falls by more than exp(-2.5), the
        // proposal's by 2 only.
        let root = variance.isqrt();
        let sd = if root * root == variance { root } else { root + 1 };
        let blocks = sd.div_ceil(step);
        let (scale, weights, tail_weight) = weigh(&starts, blocks);
        let width = blocks * step;
        // p is greatest at the start of the tail: 2 scale blocks exp(..) / weight.
        let greatest = 2 * u128::from(scale * blocks) * above(starts[count]) / u128::from(tail_weight);
        let tail = Tail {
            start: count as u64 * step,
            weight: tail_weight,
            blocks,
            width,
            width_excess: excess(width),
            hopeless: (greatest >> UNIFORM_SHIFT) as u64 + 1,
        };
        let shift = (2 * variance).leading_zeros();
        let mut envelope = Self {
            variance,
            step,
            step_excess: excess(step),
            slots: Vec::with_capacity(SLOTS),
            blocks: Vec::with_capacity(count),
            scale,
            tail,
            shift,
            // The divisor is at least 2^63, so the quotient fits 64 bits.
            reciprocal: ((u128::MAX >> 1) / u128::from((2 * variance) << shift)) as u64,
        };
        for (k, weight) in weights.into_iter().enumerate() {
            envelope.slots.resize(envelope.slots.len() + weight as usize, k as u8);
            // 112 bits of the exponential times 13 bits of scale fit; the quotient is below 2^112 because the weight is the greater.
            let first = (((starts[k] >> 16) * u128::from(scale) / u128::from(weight)) >> 48) as u64;
            let last = exp_neg_fixed(envelope.exponent(k as u64 * step, step - 1)).saturating_sub(SLACK);
            let quick = high(first, last) >> UNIFORM_SHIFT;
            envelope.blocks.push(Block { quick, first, weight });
        }
        envelope.slots.resize(envelope.slots.len() + tail_weight as usize, TAIL);
        envelope.slots.resize(SLOTS, EMPTY);
        envelope
    }
}

/// exp(-(k step)^2 / 2v) for k = 0, 1, .. up to and including the first at or beyond `cut` standard deviations, in units of 2^-128, each at
/// most 2^32 units low (the first, 1, is one unit low).
fn block_starts(variance: u64, step: u64, cut: u32) -> Vec<u128> {
    let squared = u128::from(step) * u128::from(step);
    let fixed = |denominator| {
        // Below 1, as the exponent is above 0: the whole part is empty.
        let digits = Between::exp_neg(squared, denominator, 3).low;
        (u128::from(digits[1]) << 64) | u128::from(digits[2])
    };
    // exp(-(k+1)^2 a) = exp(-k^2 a) ratio, and ratio = exp(-(2k+1) a) falls by exp(-2a) each time.
    let mut ratio = fixed(2 * variance);
    let fall = fixed(variance);
    let mut starts = vec![u128::MAX];
    let mut at = u128::MAX;
    let mut k = 0u128;
    while k * k * squared < u128::from(cut * cut) * u128::from(variance) {
        at = high_wide(at, ratio);
        ratio = high_wide(ratio, fall);
        starts.push(at);
        k += 1;
    }
    starts
}

/// The greatest integer scale whose weights, rounded up, fit the slots; the weights of the blocks, and that of the tail.
fn weigh(starts: &[u128], tail_blocks: u64) -> (u64, Vec<u64>, u64) {
    let weights = |scale: u64| -> Vec<u64> {
        let up = |factor: u64, start: u128| ((above(start) * u128::from(factor)) >> 64) as u64 + 1;
        let mut weights: Vec<u64> = starts.iter().map(|start| up(scale, *start)).collect();
        // The last start is where the tail begins.
        if let Some(last) = weights.last_mut() {
            *last = up(2 * scale * tail_blocks, starts[starts.len() - 1]);
        }
        weights
    };
    let fits = |scale: u64| weights(scale).iter().sum::<u64>() <= SLOTS as u64;
    let (mut low, mut high) = (1, SLOTS as u64);
    while high - low > 1 {
        let middle = (low + high) / 2;
        if fits(middle) { low = middle } else { high = middle }
    }
    let mut weights = weights(low);
    let tail = weights.pop().unwrap_or(1);
    (low, weights, tail)
}

/// A start in units of 2^-64, not below the truth: it is at most 2^32 units of 2^-128 low.
fn above(start: u128) -> u128 {
    (start >> 64) + 2
}

/// A product in units of 2^-128, at most 3 units low.
fn high_wide(a: u128, b: u128) -> u128 {
    let (a1, a0, b1, b0) = (a >> 64, a & u128::from(u64::MAX), b >> 64, b & u128::from(u64::MAX));
    a1 * b1 + ((a1 * b0) >> 64) + ((a0 * b1) >> 64)
}
