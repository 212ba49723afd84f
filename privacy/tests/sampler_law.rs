//! The public sampler, seeded: moments, Kolmogorov-Smirnov at large variances, and the law of a sum of shares.

mod common;

use common::sum_of_shares;
use privacy::{ExactSampler, NoiseBatch, Sampler};

const SAMPLES: usize = 1_000_000;

fn draw(variance: u64, key: u8) -> Vec<i64> {
    let mut out = vec![0; SAMPLES];
    ExactSampler::new([key; 32]).fill(variance, &mut out);
    out
}

#[test]
fn moments_are_those_of_the_law() {
    for variance in [1u64, 9, 100, 1_000_000, 1 << 50, 1 << 62] {
        let sample = draw(variance, 3);
        // Above variance 9 the discrete Gaussian's moments are the continuous one's; at 1 they differ by less than 1e-7.
        let sd = (variance as f64).sqrt();
        let n = SAMPLES as f64;
        let moment = |power: i32| sample.iter().map(|x| (*x as f64 / sd).powi(power)).sum::<f64>() / n;
        for (power, mean, variance_of) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
            let off = (moment(power) - mean) / (variance_of / n).sqrt();
            assert!(
                off.abs() < 4.5,
                "variance {variance}, moment {power}: {off} standard errors"
            );
        }
    }
}

#[test]
fn large_variances_pass_kolmogorov_and_smirnov() {
    for variance in [10_000_019u64, 1 << 40, (1 << 50) + 12_345, 1 << 62] {
        let mut sample = draw(variance, 17);
        sample.sort_unstable();
        let n = SAMPLES as f64;
        let sd = (variance as f64).sqrt();
        let distance = sample
            .iter()
            .enumerate()
            .map(|(i, x)| {
                let below = normal_cdf((*x as f64 - 0.5) / sd);
                (below - i as f64 / n).abs().max((below - (i + 1) as f64 / n).abs())
            })
            .fold(0.0, f64::max);
        // The 1 in 10,000 point is 2.23 / sqrt(n); the lattice and the approximation of the normal law add less than 1e-4.
        assert!(distance < 2.23 / n.sqrt() + 2e-4, "variance {variance}: {distance}");
    }
}

#[test]
fn neighbouring_values_and_signs_are_independent() {
    let sample = draw(10_000, 23);
    let n = SAMPLES as f64;
    for lag in [1, 2, 7] {
        let product: f64 = sample.windows(lag + 1).map(|w| (w[0] * w[lag]) as f64).sum::<f64>() / (n * 10_000.0);
        assert!(product.abs() < 4.5 / n.sqrt(), "lag {lag}: {product}");
    }
    let positive = sample.iter().filter(|x| **x > 0).count() as f64;
    let negative = sample.iter().filter(|x| **x < 0).count() as f64;
    assert!((positive - negative).abs() < 4.5 * n.sqrt());
}

#[test]
fn a_sum_of_shares_has_the_convolved_law() {
    // Three honest shares of variance 2, as a round with one silent colluder of four leaves them.
    let law = sum_of_shares(3, 2);
    let mut counts = vec![0f64; law.len()];
    let shares: Vec<Vec<i64>> = (0..3u8).map(|key| draw(2, 100 + key)).collect();
    for i in 0..SAMPLES {
        let sum: i64 = shares.iter().map(|share| share[i]).sum();
        counts[(sum + (law.len() / 2) as i64) as usize] += 1.0;
    }
    let (mut chi, mut bins) = (0.0, 0.0);
    for (p, count) in law.iter().zip(&counts).filter(|(p, _)| **p * SAMPLES as f64 >= 10.0) {
        let expected = p * SAMPLES as f64;
        chi += (count - expected).powi(2) / expected;
        bins += 1.0;
    }
    let surprise = (chi - bins) / (2.0f64 * bins).sqrt();
    assert!(surprise.abs() < 4.5, "{surprise}");
}

#[test]
fn a_sampler_goes_on_where_it_was_and_changes_variance_cleanly() {
    let mut sampler = ExactSampler::new([1; 32]);
    let (mut a, mut b, mut c) = ([0; 100], [0; 100], [0; 100]);
    sampler.fill(1_000_000, &mut a);
    sampler.fill(1, &mut b);
    sampler.fill(1_000_000, &mut c);
    assert_ne!(a, c);
    assert!(b.iter().all(|x| x.abs() < 8) && c.iter().any(|x| x.abs() > 100));
    let again = NoiseBatch::draw(100, 1_000_000, &mut ExactSampler::new([1; 32]));
    assert!(again.is_ok());
}

#[test]
#[should_panic(expected = "noise variance out of range")]
fn no_variance_is_no_noise_and_stops() {
    ExactSampler::new([0; 32]).fill(0, &mut [0]);
}

/// Abramowitz and Stegun 7.1.26, within 1.5e-7.
fn normal_cdf(x: f64) -> f64 {
    let z = x.abs() / 2f64.sqrt();
    let t = 1.0 / (1.0 + 0.3275911 * z);
    let poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    let erf = 1.0 - poly * (-z * z).exp();
    if x < 0.0 { 0.5 * (1.0 - erf) } else { 0.5 * (1.0 + erf) }
}
