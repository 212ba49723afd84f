//! Shamir's scheme over Z_l, the scalar field of Ed25519 (l is a prime near 2^252). Member i holds the value at x = i.
//!
//! Dealing costs no multiplication: a polynomial of degree t-1 is uniform given P(0) exactly if P(1)..P(t-1) are, so those
//! shares are drawn and the rest follow by forward differences, n*t additions in all. Opening costs t multiplications a
//! secret, once the Lagrange coefficients of a share set are known.

use curve25519_dalek::scalar::Scalar;
use zeroize::Zeroizing;

use crate::entropy::{Entropy, draw};

/// A uniform scalar.
pub(crate) fn draw_scalar(entropy: &mut dyn Entropy) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&draw::<64>(entropy))
}

/// Shares for x = 1..=n of which any `t` open `secret` and fewer say nothing.
pub(crate) fn deal(secret: &Scalar, t: usize, n: usize, entropy: &mut dyn Entropy) -> Zeroizing<Vec<Scalar>> {
    debug_assert!(t >= 1 && t <= n);
    // Values at 0..=t-1 fix the polynomial; turned in place into its backward differences at t-1.
    let mut differences = Zeroizing::new(Vec::with_capacity(t));
    let mut shares = Zeroizing::new(Vec::with_capacity(n));
    differences.push(*secret);
    for _ in 1..t {
        let share = draw_scalar(entropy);
        differences.push(share);
        shares.push(share);
    }
    // After this, differences[t-1-k] is the k-th backward difference at x = t-1.
    for order in 1..t {
        for i in 0..t - order {
            let (low, high) = (differences[i], differences[i + 1]);
            differences[i] = high - low;
        }
    }
    // The (t-1)-th difference is constant; each step adds every difference into the next lower one.
    while shares.len() < n {
        for i in 1..t {
            let higher = differences[i - 1];
            differences[i] += higher;
        }
        shares.push(differences[t - 1]);
    }
    shares
}

/// Lagrange coefficients at zero for one set of holders, computed once and used for every secret of a round.
pub(crate) struct Opener {
    coefficients: Vec<Scalar>,
}

impl Opener {
    /// `holders` are distinct and not zero.
    pub(crate) fn new(holders: &[u16]) -> Self {
        let xs: Vec<Scalar> = holders.iter().map(|x| Scalar::from(*x)).collect();
        let coefficients = xs
            .iter()
            .enumerate()
            .map(|(i, own)| {
                let (mut above, mut below) = (Scalar::ONE, Scalar::ONE);
                for (_, other) in xs.iter().enumerate().filter(|(j, _)| *j != i) {
                    above *= other;
                    below *= other - own;
                }
                above * below.invert()
            })
            .collect();
        Self { coefficients }
    }

    /// The secret of the shares, one per holder in the same order.
    pub(crate) fn open<'a>(&self, shares: impl Iterator<Item = &'a Scalar>) -> Scalar {
        self.coefficients.iter().zip(shares).map(|(l, s)| l * s).sum()
    }
}

/// Reads a share; an unreduced one is refused, since each value has one encoding.
pub(crate) fn read_scalar(bytes: &[u8; 32]) -> Option<Scalar> {
    Scalar::from_canonical_bytes(*bytes).into()
}

/// Secret bytes of a scalar, wiped after use.
pub(crate) fn scalar_bytes(scalar: &Scalar) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(scalar.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Seeded;

    #[test]
    fn any_t_shares_open_the_secret_and_t_minus_one_do_not() {
        let mut entropy = Seeded::new(1);
        for (n, t) in [(3, 2), (3, 3), (5, 4), (7, 5), (10, 6), (64, 43)] {
            let secret = draw_scalar(&mut entropy);
            let shares = deal(&secret, t, n, &mut entropy);
            assert_eq!(shares.len(), n);
            for skip in 0..=n - t {
                let holders: Vec<u16> = (0..t).map(|i| (i + skip + 1) as u16).collect();
                let chosen = holders.iter().map(|x| &shares[usize::from(*x) - 1]);
                assert_eq!(Opener::new(&holders).open(chosen), secret, "n = {n}, t = {t}");
            }
            let few: Vec<u16> = (1..t as u16).collect();
            assert_ne!(
                Opener::new(&few).open(few.iter().map(|x| &shares[usize::from(*x) - 1])),
                secret
            );
        }
    }

    #[test]
    fn shares_lie_on_one_polynomial_of_degree_t_minus_one() {
        // Horner's rule on the interpolated coefficients is the textbook scheme; the fast dealing must agree with it.
        let mut entropy = Seeded::new(2);
        let secret = draw_scalar(&mut entropy);
        let shares = deal(&secret, 4, 9, &mut entropy);
        for x in 5..=9u16 {
            // P(x) from P(1)..P(4) by Lagrange at x, written out.
            let at = Scalar::from(x);
            let mut value = Scalar::ZERO;
            for i in 1..=4u16 {
                let mut term = shares[usize::from(i) - 1];
                for j in (1..=4u16).filter(|j| *j != i) {
                    term *= (at - Scalar::from(j)) * (Scalar::from(i) - Scalar::from(j)).invert();
                }
                value += term;
            }
            assert_eq!(value, shares[usize::from(x) - 1]);
        }
    }
}
