//! The exact privacy of a Gaussian mechanism, as a second opinion on what a ledger adds up: delta(epsilon) of [BW18], Theorem 8, for
//! mu = sqrt(2 rho). Never above what the ledger says, and seldom a tenth below.

/// The smallest epsilon at `delta`.
pub fn epsilon(rho: f64, delta: f64) -> f64 {
    if rho <= 0.0 {
        return 0.0;
    }
    let mu = (2.0 * rho).sqrt();
    let (mut low, mut high) = (0.0, 1.0);
    while delta_at(mu, high) > delta {
        high *= 2.0;
    }
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        match delta_at(mu, middle) > delta {
            true => low = middle,
            false => high = middle,
        }
    }
    low
}

fn delta_at(mu: f64, epsilon: f64) -> f64 {
    normal(-epsilon / mu + mu / 2.0) - epsilon.exp() * normal(-epsilon / mu - mu / 2.0)
}

/// The standard normal law's distribution, to a relative 1.2e-7 (Chebyshev fit of erfc, [NR] 6.2).
fn normal(x: f64) -> f64 {
    let z = x.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * z);
    let terms = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let fit = terms.iter().rev().fold(0.0, |sum, term| sum * t + term);
    let half = 0.5 * t * (-z * z + fit).exp();
    if x > 0.0 { 1.0 - half } else { half }
}

#[cfg(test)]
mod tests {
    /// From a table of the analytic Gaussian mechanism: sensitivity 1, sigma 1, and the classical bound's own example.
    #[test]
    fn known_figures_come_out() {
        // sigma = 1 has delta(1) = 0.126937 (normal(-0.5) - e normal(-1.5)).
        assert!((super::delta_at(1.0, 1.0) - 0.126_937).abs() < 1e-6);
        let epsilon = super::epsilon(0.5, 0.126_937);
        assert!((epsilon - 1.0).abs() < 1e-4, "{epsilon}");
    }
}
