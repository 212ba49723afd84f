//! exp(-n/d) between two fixed-point numbers, as close as asked for.
//!
//! Plain long arithmetic on 64-bit digits, most significant first: digit 0 is the whole part, the rest the fraction. Every operation rounds
//! the lower bound down and the upper bound up, so the true value is always between them. Slow (microseconds) and seldom needed: tables are
//! built from it, and the sampler asks it once in about 2^46 samples.

/// A real number known to lie in `[low, high]`.
#[derive(Clone)]
pub(super) struct Between {
    pub(super) low: Vec<u64>,
    pub(super) high: Vec<u64>,
}

impl Between {
    /// exp(-numerator/denominator) to about `64 * fraction` bits (`fraction >= 2`, `denominator` from 1).
    pub(super) fn exp_neg(numerator: u128, denominator: u64, fraction: usize) -> Self {
        let whole = numerator / u128::from(denominator);
        // The remainder is below `denominator` and so fits 64 bits.
        let rest = (numerator % u128::from(denominator)) as u64;
        let mut result = Self::exp_neg_fraction(rest, denominator, fraction);
        let inverse_e = Self::exp_neg_fraction(1, 1, fraction);
        for _ in 0..whole {
            result.multiply(&inverse_e);
        }
        result
    }

    /// Taylor series of exp(-n/d) for n <= d: alternating with falling terms, so what is left out is below the last term taken.
    fn exp_neg_fraction(numerator: u64, denominator: u64, fraction: usize) -> Self {
        let mut one = vec![0; fraction + 1];
        one[0] = 1;
        let mut sum = Self {
            low: one.clone(),
            high: one.clone(),
        };
        let mut term = sum.clone();
        for i in 1u64.. {
            term.multiply_small(numerator);
            term.divide_small(denominator);
            term.divide_small(i);
            if i % 2 == 1 {
                subtract(&mut sum.low, &term.high);
                subtract(&mut sum.high, &term.low);
            } else {
                add(&mut sum.low, &term.low);
                add(&mut sum.high, &term.high);
            }
            // Upper bounds round up and so never reach 0: a last digit of 1 or 2 is as small as a term gets.
            let (last, rest) = (term.high[fraction], &term.high[..fraction]);
            if last <= 2 && rest.iter().all(|digit| *digit == 0) {
                break;
            }
        }
        subtract(&mut sum.low, &term.high);
        add(&mut sum.high, &term.high);
        sum
    }

    /// Stops at the greatest number there is: bounds too far apart to say anything stay bounds.
    pub(super) fn multiply_small(&mut self, factor: u64) {
        for digits in [&mut self.low, &mut self.high] {
            let mut carry = 0u128;
            for digit in digits.iter_mut().rev() {
                let wide = u128::from(*digit) * u128::from(factor) + carry;
                *digit = wide as u64;
                carry = wide >> 64;
            }
            if carry > 0 {
                digits.fill(u64::MAX);
            }
        }
    }

    pub(super) fn divide_small(&mut self, divisor: u64) {
        divide(&mut self.low, divisor);
        if divide(&mut self.high, divisor) != 0 {
            add_one(&mut self.high);
        }
    }

    fn multiply(&mut self, other: &Self) {
        self.low = product(&self.low, &other.low);
        self.high = product(&self.high, &other.high);
        add_one(&mut self.high);
    }
}

/// Divides in place, rounding down; gives the remainder.
fn divide(digits: &mut [u64], divisor: u64) -> u64 {
    let mut remainder = 0u128;
    for digit in digits {
        let wide = (remainder << 64) | u128::from(*digit);
        *digit = (wide / u128::from(divisor)) as u64;
        remainder = wide % u128::from(divisor);
    }
    remainder as u64
}

/// The product of two numbers of equal length, cut off (rounded down) at that length.
fn product(a: &[u64], b: &[u64]) -> Vec<u64> {
    let len = a.len();
    // Digit i of a and j of b meet at place i + j; one more place in front takes the carry.
    let mut wide = vec![0u64; 2 * len];
    for i in (0..len).rev() {
        let mut carry = 0u128;
        for j in (0..len).rev() {
            let sum = u128::from(a[i]) * u128::from(b[j]) + u128::from(wide[i + j + 1]) + carry;
            wide[i + j + 1] = sum as u64;
            carry = sum >> 64;
        }
        wide[i] = carry as u64;
    }
    wide[1..=len].to_vec()
}

fn add(digits: &mut [u64], other: &[u64]) {
    let mut carry = false;
    for (digit, other) in digits.iter_mut().zip(other).rev() {
        (*digit, carry) = digit.carrying_add(*other, carry);
    }
}

/// Stops at 0: every caller subtracts from a number known to be larger, up to rounding.
fn subtract(digits: &mut [u64], other: &[u64]) {
    if *digits < *other {
        digits.fill(0);
        return;
    }
    let mut borrow = false;
    for (digit, other) in digits.iter_mut().zip(other).rev() {
        (*digit, borrow) = digit.borrowing_sub(*other, borrow);
    }
}

fn add_one(digits: &mut [u64]) {
    for digit in digits.iter_mut().rev() {
        let (next, carry) = digit.overflowing_add(1);
        *digit = next;
        if !carry {
            break;
        }
    }
}
