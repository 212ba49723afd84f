//! Exact laws in plain floating point, written apart from the crate: what claims are held against.
#![allow(dead_code)] // each test binary uses its own part

/// The discrete Gaussian of variance `variance` on `-reach..=reach`.
pub fn discrete_gaussian(variance: u64, reach: i64) -> Vec<f64> {
    let weight = |x: i64| (-(x as f64).powi(2) / (2.0 * variance as f64)).exp();
    let total: f64 = (-reach..=reach).map(weight).sum();
    (-reach..=reach).map(|x| weight(x) / total).collect()
}

/// The sum of `shares` independent discrete Gaussians, on `-m..=m`. Each is cut where doubles end (36 sd): a nearer cut would show up as
/// divergence at high orders, which look at points `order * shift` from the middle.
pub fn sum_of_shares(shares: u32, variance: u64) -> Vec<f64> {
    let reach = (36.0 * (variance as f64).sqrt()).ceil() as i64;
    let one = discrete_gaussian(variance, reach);
    let mut sum = vec![1.0];
    for _ in 0..shares {
        let mut next = vec![0.0; sum.len() + one.len() - 1];
        for (i, a) in sum.iter().enumerate() {
            for (j, b) in one.iter().enumerate() {
                next[i + j] += a * b;
            }
        }
        sum = next;
    }
    sum
}

/// `law` at `x`, counted from its middle; 0 outside.
pub fn at(law: &[f64], x: i64) -> f64 {
    usize::try_from(x + (law.len() / 2) as i64)
        .ok()
        .and_then(|i| law.get(i))
        .copied()
        .unwrap_or(0.0)
}

/// Points where a law and its shift by `shift` both have a mass worth counting (above 1e-250).
pub fn support(law: &[f64], shift: i64) -> impl Iterator<Item = i64> + '_ {
    let half = (law.len() / 2) as i64;
    (-half..=half + shift).filter(move |x| at(law, *x) > 1e-250 && at(law, x - shift) > 1e-250)
}

/// Whether doubles reach the points that decide the divergence of this order.
pub fn within_reach(shares: u32, variance: u64, shift: i64, alpha: f64) -> bool {
    alpha * shift as f64 / (f64::from(shares) * variance as f64).sqrt() < 20.0
}

/// Renyi divergence of order `alpha` of pairs (p, q).
pub fn renyi(pairs: impl Iterator<Item = (f64, f64)>, alpha: f64) -> f64 {
    let logs: Vec<f64> = pairs.map(|(p, q)| alpha * p.ln() + (1.0 - alpha) * q.ln()).collect();
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (most + logs.iter().map(|log| (log - most).exp()).sum::<f64>().ln()) / (alpha - 1.0)
}

/// Hockey-stick divergence of pairs (p, q).
pub fn hockey_stick(pairs: impl Iterator<Item = (f64, f64)>, epsilon: f64) -> f64 {
    pairs.map(|(p, q)| (p - epsilon.exp() * q).max(0.0)).sum()
}
