//! The exact epsilon of a single count: the hockey-stick divergence of the true sum of noises, 7 to 8 % below what the curve says.
//!
//! For reports only; the curve is what is charged. The law of a sum of `shares` discrete Gaussians is computed by repeated convolution
//! (all terms positive, so relative errors stay near 1e-13), cut where less than 1e-20 is left, and what is cut counts as lost.
//! Small noises only (a share's standard deviation up to 64, at most 4096 shares and some 3000 cells); larger ones have no exact figure here.

use super::round::UP;

/// The smallest epsilon at which one integer of sensitivity `sensitivity` with `shares` shares of `variance` is (epsilon, delta) private,
/// rounded up; `None` if the computation would be too large or no such epsilon below 100 exists.
pub fn single_count_epsilon(shares: u32, variance: u64, sensitivity: u64, delta: f64) -> Option<f64> {
    if shares == 0 || shares > 4096 || variance == 0 || variance > 4096 || !(delta > 0.0 && delta < 1.0) {
        return None;
    }
    let cells = 10.0 * (f64::from(shares) * variance as f64).sqrt() + sensitivity as f64;
    if cells > 3000.0 {
        return None;
    }
    let law = sum_of_gaussians(shares, variance);
    let delta_at = |epsilon: f64| hockey_stick(&law, sensitivity as usize, epsilon) * UP + CUT;
    let (mut low, mut high) = (0.0, 1.0);
    while delta_at(high) > delta {
        high *= 2.0;
        if high > 100.0 {
            return None;
        }
    }
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if delta_at(middle) <= delta {
            high = middle
        } else {
            low = middle
        }
    }
    Some(high * UP)
}

/// Above everything that was cut off: each of at most 24 convolutions cuts below 1e-20, counted once for every doubling after it.
const CUT: f64 = 1e-14;

/// `sum_x max(0, P[x] - e^epsilon P[x - shift])`; the law is symmetric, so one direction stands for both.
pub(super) fn hockey_stick(law: &[f64], shift: usize, epsilon: f64) -> f64 {
    let factor = epsilon.exp();
    let shifted = |x: usize| {
        if x >= shift {
            law.get(x - shift).copied().unwrap_or(0.0)
        } else {
            0.0
        }
    };
    law.iter()
        .enumerate()
        .map(|(x, p)| (p - factor * shifted(x)).max(0.0))
        .sum()
}

/// The law of the sum on `-m..=m`, an odd number of cells.
pub(super) fn sum_of_gaussians(shares: u32, variance: u64) -> Vec<f64> {
    let one = discrete_gaussian(variance);
    let mut sum: Option<Vec<f64>> = None;
    let mut power = one;
    let mut left = shares;
    loop {
        if left & 1 == 1 {
            sum = Some(match sum {
                Some(sum) => convolve(&sum, &power),
                None => power.clone(),
            });
        }
        left >>= 1;
        if left == 0 {
            return sum.unwrap_or_else(|| vec![1.0]);
        }
        power = convolve(&power, &power);
    }
}

/// exp(-x^2 / 2v) normalised, to where it falls below 1e-24 of its middle.
fn discrete_gaussian(variance: u64) -> Vec<f64> {
    let reach = (11.0 * (variance as f64).sqrt()).ceil() as i64;
    let weights: Vec<f64> = (-reach..=reach)
        .map(|x| (-(x * x) as f64 / (2.0 * variance as f64)).exp())
        .collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}

fn convolve(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut sum = vec![0.0; a.len() + b.len() - 1];
    for (i, a) in a.iter().enumerate() {
        for (j, b) in b.iter().enumerate() {
            sum[i + j] += a * b;
        }
    }
    // Symmetric about its middle, so the same number of cells goes from both ends.
    let tail = sum.iter().scan(0.0, |total, p| {
        *total += p;
        Some(*total)
    });
    let cut = tail.take_while(|total| *total < 1e-20).count();
    let len = sum.len();
    sum[cut..len - cut].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_law_of_a_sum_has_the_variance_of_its_parts() {
        let law = sum_of_gaussians(5, 9);
        let middle = (law.len() / 2) as f64;
        let total: f64 = law.iter().sum();
        let variance: f64 = law
            .iter()
            .enumerate()
            .map(|(x, p)| p * (x as f64 - middle).powi(2))
            .sum();
        assert!(
            (total - 1.0).abs() < 1e-12 && (variance - 45.0).abs() < 1e-6,
            "{total} {variance}"
        );
    }

    #[test]
    fn too_large_a_computation_is_declined() {
        assert_eq!(single_count_epsilon(3, 1 << 30, 1, 1e-6), None);
        assert_eq!(single_count_epsilon(0, 4, 1, 1e-6), None);
        assert!(single_count_epsilon(10, 400, 1, 1e-6).is_some());
    }
}
