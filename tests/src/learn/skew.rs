//! Sites that do not see the same world: each class is dealt by its own draw from a Dirichlet distribution, as in
//! Yurochkin et al., "Bayesian Nonparametric Federated Learning of Neural Networks" (2019). alpha 0.1 leaves a site
//! with a class or two, 100 deals about evenly.

use super::Encoded;
use super::central::normal;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::collections::BTreeMap;

/// The same units dealt to `sites` sites; a unit's class is its first row's. A site may come out empty.
pub fn dirichlet(encoded: &Encoded, sites: usize, alpha: f64, seed: u64) -> Encoded {
    let mut rng = ChaCha20Rng::seed_from_u64(seed ^ 0xd1);
    let mut shares: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    let mut dealt = encoded.clone();
    dealt.sites = (0..sites).map(|i| format!("{i:02}")).collect();
    for unit in &mut dealt.units {
        let class = encoded.targets[unit.rows.start] as i64;
        let share = shares.entry(class).or_insert_with(|| {
            let draws: Vec<f64> = (0..sites)
                .map(|_| gamma(alpha, &mut rng).max(f64::MIN_POSITIVE))
                .collect();
            let total: f64 = draws.iter().sum();
            draws.iter().map(|x| x / total).collect()
        });
        let mut left: f64 = rng.random();
        let chosen = share.iter().position(|share| {
            left -= share;
            left < 0.0
        });
        unit.site = chosen.unwrap_or(sites - 1);
    }
    dealt
}

/// Marsaglia and Tsang, "A Simple Method for Generating Gamma Variables" (2000), with its boost for a shape below 1.
fn gamma(shape: f64, rng: &mut ChaCha20Rng) -> f64 {
    if shape < 1.0 {
        let u = 1.0 - rng.random::<f64>();
        return gamma(shape + 1.0, rng) * u.powf(1.0 / shape);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(rng);
        let v = (1.0 + c * x).powi(3);
        let u = 1.0 - rng.random::<f64>();
        if v > 0.0 && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gamma_has_its_mean_and_variance() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for shape in [0.1, 1.0, 100.0] {
            let draws: Vec<f64> = (0..40_000).map(|_| gamma(shape, &mut rng)).collect();
            let mean = draws.iter().sum::<f64>() / 4e4;
            let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4e4;
            assert!(
                (mean / shape - 1.0).abs() < 0.06 && (variance / shape - 1.0).abs() < 0.1,
                "{mean} {variance}"
            );
        }
    }
}
