//! A table that proposes, and a comparison that decides: rejection sampling in integers, exact by construction.
//!
//! The half line is cut into blocks of `step` points (`step` about a sixteenth of the standard deviation) up to six standard deviations,
//! and a tail. Of 8192 equally likely slots, block k owns `weight[k] >= scale * exp(-(k step)^2 / 2v)` and the tail one. A proposed point x
//! is accepted with probability p(x) = scale * exp(-x^2 / 2v) / weight, so points come out in proportion to exp(-x^2 / 2v) whatever the
//! weights are, as long as p <= 1. "U < p(x)" is decided in three steps, each only when the one before could not:
//! 1. 50 bits of U against the least p of the block (one comparison; about 19 of 20 proposals end here);
//! 2. the same bits against p(x) in 64-bit fixed point, leaving a gap of 2^17 units of 2^-64 undecided;
//! 3. as many bits of U as it takes against ever closer bounds on p(x) ([`Between`]).
//!
//! Building the table costs about 20 microseconds, a sample about 11 nanoseconds. Corresponds to the target of \[CKS20\] Algorithm 3; the
//! proposal replaces its discrete Laplace. `proofs/sampler.md` has the argument.

use super::digits::Between;
use super::words::Words;

pub(super) const SLOT_BITS: u32 = 13;
pub(super) const SLOTS: usize = 1 << SLOT_BITS;
/// Of the first word: 13 bits of slot, 1 of sign, 50 of U.
pub(super) const UNIFORM_SHIFT: u32 = SLOT_BITS + 1;
const UNIFORM_BITS: u32 = 64 - UNIFORM_SHIFT;
/// Slot contents beyond block numbers (there are at most 192 blocks).
pub(super) const TAIL: u8 = 254;
pub(super) const EMPTY: u8 = 255;
/// What fixed point may be wrong by, in units of 2^-64, and a wide margin: the table is within 3, [`exp_neg_fixed`] within 2^15.
pub(super) const SLACK: u64 = 1 << 16;

pub(super) struct Envelope {
    pub(super) variance: u64,
    /// Points per block, and `2^64 mod step`.
    pub(super) step: u64,
    pub(super) step_excess: u64,
    pub(super) slots: Vec<u8>,
    pub(super) blocks: Vec<Block>,
    pub(super) scale: u64,
    pub(super) tail: Tail,
    /// `2v` shifted up to fill 64 bits, and `floor((2^127 - 1) / that)`.
    pub(super) shift: u32,
    pub(super) reciprocal: u64,
}

pub(super) struct Block {
    /// U below this (in units of 2^-50) is accepted wherever in the block the point lies.
    pub(super) quick: u64,
    /// Lower bound on scale * exp(-(k step)^2 / 2v) / weight in units of 2^-64; at most 3 units below.
    pub(super) first: u64,
    pub(super) weight: u64,
}

/// Points from `start` on, in blocks of `width = blocks * step` points; block j is proposed with probability 2^-(j+1).
pub(super) struct Tail {
    pub(super) start: u64,
    /// Slots; at least scale * blocks * 2 * exp(-start^2 / 2v).
    pub(super) weight: u64,
    pub(super) blocks: u64,
    pub(super) width: u64,
    pub(super) width_excess: u64,
    /// U from this on (in units of 2^-50) is rejected wherever in the tail the point lies.
    pub(super) hopeless: u64,
}

impl Envelope {
    pub(super) fn variance(&self) -> u64 {
        self.variance
    }

    pub(super) fn fill(&self, words: &mut Words, out: &mut [i64]) {
        for value in out {
            *value = self.sample(words);
        }
    }

    #[inline]
    fn sample(&self, words: &mut Words) -> i64 {
        loop {
            let word = words.next();
            let slot = self.slots[word as usize % SLOTS];
            let uniform = word >> UNIFORM_SHIFT;
            let magnitude = if let Some(block) = self.blocks.get(usize::from(slot)) {
                let offset = words.below(self.step, self.step_excess);
                let start = u64::from(slot) * self.step;
                if uniform < block.quick || self.decide(words, block, start, offset, uniform) {
                    start + offset
                } else {
                    continue;
                }
            } else {
                match self.sample_tail(words, slot, uniform) {
                    Some(magnitude) => magnitude,
                    None => continue,
                }
            };
            let negative = (word >> SLOT_BITS) & 1;
            // Zero has one sign only, else it would come twice as often as it should.
            if magnitude == 0 && negative == 1 {
                continue;
            }
            return (magnitude as i64 ^ -(negative as i64)) + negative as i64;
        }
    }

    /// Steps 2 and 3 for a point of a block.
    #[cold]
    pub(super) fn decide(&self, words: &mut Words, block: &Block, start: u64, offset: u64, uniform: u64) -> bool {
        match self.decide_fixed(block, start, offset, uniform) {
            Some(accepted) => accepted,
            None => self.decide_exactly(words, start + offset, self.scale, 0, block.weight, uniform),
        }
    }

    /// Step 2: p = first * exp(-offset (2 start + offset) / 2v), each factor within a few units of 2^-64 (or 2^-50 for the exponential).
    pub(super) fn decide_fixed(&self, block: &Block, start: u64, offset: u64, uniform: u64) -> Option<bool> {
        let p = high(block.first, exp_neg_fixed(self.exponent(start, offset)));
        let low = uniform << UNIFORM_SHIFT;
        if low.saturating_add((1 << UNIFORM_SHIFT) + SLACK) <= p {
            Some(true)
        } else if low >= p.saturating_add(SLACK) {
            Some(false)
        } else {
            None
        }
    }

    /// offset (2 start + offset) / 2v in units of 2^-64, at most 3 units low. Below 0.4: the table has a step of a sixteenth.
    pub(super) fn exponent(&self, start: u64, offset: u64) -> u64 {
        let numerator = offset * (2 * start + offset);
        let wide = u128::from(numerator << self.shift) * u128::from(self.reciprocal);
        (wide >> 63) as u64
    }

    /// Step 3: U < multiple 2^doublings exp(-x^2 / 2v) / weight, reading as much of U as it takes. Ends with probability 1.
    pub(super) fn decide_exactly(
        &self,
        words: &mut Words,
        x: u64,
        multiple: u64,
        doublings: u32,
        weight: u64,
        uniform: u64,
    ) -> bool {
        let mut digits = vec![uniform];
        let mut fraction = 2;
        loop {
            while digits.len() <= fraction {
                digits.push(words.next());
            }
            // In units of 2^-50, so that the first 50 bits of U are the whole part.
            let mut p = Between::exp_neg(u128::from(x) * u128::from(x), 2 * self.variance, fraction);
            p.multiply_small(multiple);
            for _ in 0..doublings {
                p.multiply_small(2);
            }
            p.divide_small(weight);
            p.multiply_small(1 << UNIFORM_BITS);
            // U lies in [digits, digits + 1 unit of the last digit).
            if digits < p.low {
                return true;
            }
            if digits >= p.high {
                return false;
            }
            fraction += 1;
        }
    }

    /// A point beyond six standard deviations, if the slot is the tail's and the point is accepted.
    #[cold]
    fn sample_tail(&self, words: &mut Words, slot: u8, uniform: u64) -> Option<u64> {
        if slot != TAIL || uniform >= self.tail.hopeless {
            return None;
        }
        let mut block = 0;
        loop {
            let ones = words.next().trailing_ones();
            block += ones;
            if ones < 64 {
                break;
            }
        }
        let offset = words.below(self.tail.width, self.tail.width_excess);
        let x = self.tail.start + u64::from(block) * self.tail.width + offset;
        let multiple = self.scale * self.tail.blocks;
        self.decide_exactly(words, x, multiple, block + 1, self.tail.weight, uniform)
            .then_some(x)
    }
}

/// exp(-x) for x below 0.4 in units of 2^-64, within 2^15 units: Horner's rule on 12 terms (the next is below 2^-49.5).
pub(super) fn exp_neg_fixed(x: u64) -> u64 {
    const TERMS: usize = 12;
    const INVERSE: [u64; TERMS + 1] = {
        let mut inverse = [u64::MAX; TERMS + 1];
        let mut i = 2;
        while i <= TERMS {
            inverse[i] = ((1u128 << 64) / i as u128) as u64;
            i += 1;
        }
        inverse
    };
    let mut sum = u64::MAX;
    for inverse in INVERSE[1..].iter().rev() {
        sum = u64::MAX - high(high(x, sum), *inverse);
    }
    sum
}

/// The upper half of a product: fixed-point multiplication in units of 2^-64, rounded down.
pub(super) fn high(a: u64, b: u64) -> u64 {
    ((u128::from(a) * u128::from(b)) >> 64) as u64
}
