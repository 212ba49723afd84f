//! Figures of noisy cells with their 95 % intervals: shares of linear forms, and the area under the ROC curve of two
//! histograms, with error propagation to first order. The noise alone is in the interval, not the sampling of patients.

use super::report::Estimate;

/// 97.5 % point of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Rows, each cell with noise of standard deviation `sd` rows.
pub(super) struct Noisy<'a> {
    pub cells: &'a [f64],
    pub sd: f64,
}

impl Noisy<'_> {
    /// `sum top_i x_i / sum bottom_i x_i`, within `low..=high`; `None` if noise left nothing to divide by.
    pub fn ratio(
        &self,
        top: impl Fn(usize) -> f64,
        bottom: impl Fn(usize) -> f64,
        within: (f64, f64),
    ) -> Option<Estimate> {
        let sum = |f: &dyn Fn(usize) -> f64| self.cells.iter().enumerate().map(|(i, x)| f(i) * x).sum::<f64>();
        let (n, d) = (sum(&top), sum(&bottom));
        if d <= 0.0 {
            return None;
        }
        let value = n / d;
        let spread: f64 = (0..self.cells.len())
            .map(|i| (top(i) - value * bottom(i)).powi(2))
            .sum();
        Estimate::new(value, Z * self.sd * spread.sqrt() / d, within)
    }

    /// `sum weight_i x_i`.
    pub fn total(&self, weight: impl Fn(usize) -> f64) -> Option<Estimate> {
        let value: f64 = self.cells.iter().enumerate().map(|(i, x)| weight(i) * x).sum();
        let spread: f64 = (0..self.cells.len()).map(|i| weight(i).powi(2)).sum();
        Estimate::new(value, Z * self.sd * spread.sqrt(), (f64::NEG_INFINITY, f64::INFINITY))
    }

    /// The chance that a row of class 1 scores above one of class 0, ties counted half. The first half of the cells is
    /// the histogram of class 0.
    pub fn auc(&self) -> Option<Estimate> {
        let (negative, positive) = self.cells.split_at(self.cells.len() / 2);
        let (n, p): (f64, f64) = (negative.iter().sum(), positive.iter().sum());
        if n <= 0.0 || p <= 0.0 {
            return None;
        }
        // Class 0 below each bin, class 1 above it, the bin itself half.
        let (mut below, mut above) = (0.0, p);
        let (mut pairs, mut beaten, mut beating) = (0.0, Vec::new(), Vec::new());
        for (x0, x1) in negative.iter().zip(positive) {
            beaten.push(below + x0 / 2.0);
            beating.push(above - x1 / 2.0);
            pairs += x1 * (below + x0 / 2.0);
            below += x0;
            above -= x1;
        }
        let auc = pairs / (n * p);
        let in_positive: f64 = beaten.iter().map(|b| (b / (n * p) - auc / p).powi(2)).sum();
        let in_negative: f64 = beating.iter().map(|b| (b / (n * p) - auc / n).powi(2)).sum();
        Estimate::new(auc, Z * self.sd * (in_positive + in_negative).sqrt(), (0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_counts_pairs_and_its_spread_follows_small_steps() {
        let cells = [30.0, 10.0, 5.0, 5.0, 10.0, 35.0];
        let noisy = Noisy { cells: &cells, sd: 1.0 };
        let found = noisy.auc().unwrap();
        let pairs = 5.0 * 15.0 + 10.0 * (30.0 + 5.0) + 35.0 * (40.0 + 2.5);
        let exact: f64 = pairs / (45.0 * 50.0);
        assert!((found.value.get() - exact).abs() < 1e-12);
        let mut spread = 0.0;
        for i in 0..6 {
            let mut moved = cells;
            moved[i] += 1e-4;
            let other = Noisy { cells: &moved, sd: 1.0 }.auc().unwrap();
            spread += ((other.value.get() - exact) / 1e-4).powi(2);
        }
        let half = found.high.get() - found.value.get();
        assert!(
            (half - Z * spread.sqrt()).abs() < 1e-4,
            "{half} against {}",
            Z * spread.sqrt()
        );
    }
}
