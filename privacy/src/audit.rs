//! What an attack proves: a lower bound on epsilon from one run of a mechanism with canaries.
//!
//! \[SNJ23\] Steinke, Nasr, Jagielski, "Privacy Auditing with One (1) Training Run", appendix D. m canaries are each included by a fair coin; the
//! auditor guesses r of the coins and gets v right. If the bound exceeds a claimed epsilon, the claim is false with confidence 1 - p.
//! Costs about 60 passes over r terms.

/// The largest epsilon (rounded down to what 40 halvings find) that v right guesses of r refute at significance `p`; 0 if they refute none.
pub fn one_run_lower_bound(canaries: u64, guesses: u64, right: u64, p: f64, delta: f64) -> f64 {
    if right > guesses || guesses > canaries || !(p > 0.0 && p < 1.0 && (0.0..=1.0).contains(&delta)) {
        return 0.0;
    }
    let refuted = |epsilon: f64| p_value(canaries, guesses, right, epsilon, delta) < p;
    if !refuted(0.0) {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    while refuted(high) {
        low = high;
        high *= 2.0;
        if high > 128.0 {
            return low;
        }
    }
    for _ in 0..40 {
        let middle = (low + high) / 2.0;
        if refuted(middle) { low = middle } else { high = middle }
    }
    low
}

/// How likely at least `right` right guesses are under an (epsilon, delta) private mechanism, at most.
fn p_value(canaries: u64, guesses: u64, right: u64, epsilon: f64, delta: f64) -> f64 {
    // The accuracy of randomised response.
    let q = 1.0 / (1.0 + (-epsilon).exp());
    let pmf = binomial(guesses, q);
    let beta: f64 = pmf[right as usize..].iter().rev().sum();
    let mut sum = 0.0;
    let mut alpha = 0.0f64;
    for i in 1..=right {
        sum += pmf[(right - i) as usize];
        alpha = alpha.max(sum / i as f64);
    }
    (beta + 2.0 * alpha * delta * canaries as f64).min(1.0)
}

fn binomial(n: u64, q: f64) -> Vec<f64> {
    let (ln_q, ln_rest) = (q.ln(), (-q).ln_1p());
    let mut ln_choose = 0.0f64;
    (0..=n)
        .map(|k| {
            if k > 0 {
                ln_choose += ((n - k + 1) as f64).ln() - (k as f64).ln();
            }
            // k = n has no failures: 0 * ln 0 would be no number.
            let failures = if k == n { 0.0 } else { (n - k) as f64 * ln_rest };
            (ln_choose + k as f64 * ln_q + failures).exp()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_refutes_nothing_and_nonsense_neither() {
        assert_eq!(one_run_lower_bound(1000, 1000, 500, 0.05, 1e-5), 0.0);
        assert_eq!(one_run_lower_bound(10, 20, 20, 0.05, 1e-5), 0.0);
        assert_eq!(one_run_lower_bound(10, 5, 6, 0.05, 1e-5), 0.0);
    }

    #[test]
    fn more_right_guesses_refute_more() {
        let bound = |right| one_run_lower_bound(1000, 400, right, 0.05, 1e-5);
        assert!(bound(260) < bound(300) && bound(300) < bound(399));
    }
}
