//! Quantile trees: counts of ever finer intervals, made consistent after the noise, and quantiles read from them.
//!
//! The bounds `low..=high` are cut into `branching^levels` leaves; every row is counted once on each level, so a row's vector has length
//! sqrt(levels). Noisy counts of parents and children disagree; ordinary least squares (\[HRMS10\] Hay et al., "Boosting the Accuracy of
//! Differentially Private Histograms Through Consistency", section 4) makes them agree in two passes and lowers the error of every range.
//! All of it is post-processing. `proofs/quantile-tree.md`. The tree has no root: the first level adds up to it.
//! Costs one pass up and one down, O(cells).

/// The shape of a tree over an interval of the lattice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeLayout {
    branching: usize,
    levels: u32,
    low: i64,
    high: i64,
}

impl TreeLayout {
    /// A tree of `branching^levels` leaves over the lattice points `low..=high`.
    pub fn new(branching: usize, levels: u32, low: i64, high: i64) -> Result<Self, TreeError> {
        let leaves = branching.checked_pow(levels).filter(|leaves| *leaves <= MOST_LEAVES);
        if branching < 2 || levels == 0 || leaves.is_none() {
            return Err(TreeError::Shape { branching, levels });
        }
        if low >= high {
            return Err(TreeError::Bounds { low, high });
        }
        Ok(Self {
            branching,
            levels,
            low,
            high,
        })
    }

    /// Counts on all levels: the number of components the tree takes in a vector, coarsest level first.
    pub fn cells(&self) -> usize {
        (1..=self.levels).map(|level| self.branching.pow(level)).sum()
    }

    /// Levels: the number of components of maximum 1 a row has here, for [`crate::sensitivity`].
    pub fn levels(&self) -> u32 {
        self.levels
    }

    pub fn leaves(&self) -> usize {
        self.branching.pow(self.levels)
    }

    /// The leaf of a value; values outside the bounds count at the ends.
    pub fn leaf(&self, value: i64) -> usize {
        let offset = (i128::from(value.clamp(self.low, self.high)) - i128::from(self.low)) as u128;
        // Below `leaves` because the offset is below the width.
        (offset * self.leaves() as u128 / self.width()) as usize
    }

    /// The cells a row of this value is counted in, one for each level.
    pub fn path(&self, value: i64) -> impl Iterator<Item = usize> {
        let (leaf, branching, levels) = (self.leaf(value), self.branching, self.levels);
        (1..=levels).map(move |level| {
            let before: usize = (1..level).map(|above| branching.pow(above)).sum();
            before + leaf / branching.pow(levels - level)
        })
    }

    /// The first lattice point (as a real number) of a leaf; `leaves()` gives the point after the last.
    pub fn edge(&self, leaf: usize) -> f64 {
        self.low as f64 + self.width() as f64 * leaf as f64 / self.leaves() as f64
    }

    /// Least-squares counts of the leaves from noisy counts of all cells with equal variance.
    pub fn consistent_leaves(&self, cells: &[f64]) -> Result<Vec<f64>, TreeError> {
        if cells.len() != self.cells() {
            return Err(TreeError::Cells {
                expected: self.cells(),
                found: cells.len(),
            });
        }
        let mut levels: Vec<Vec<f64>> = Vec::new();
        let mut rest = cells;
        for level in 1..=self.levels {
            let (here, below) = rest.split_at(self.branching.pow(level));
            levels.push(here.to_vec());
            rest = below;
        }
        self.blend_upwards(&mut levels);
        self.spread_downwards(&mut levels);
        Ok(levels.pop().unwrap_or_default())
    }

    /// Each inner count becomes the best mean of itself and the sum of its children (\[HRMS10\] equation 4).
    fn blend_upwards(&self, levels: &mut [Vec<f64>]) {
        let b = self.branching as f64;
        for upper in (0..levels.len() - 1).rev() {
            let height = (levels.len() - upper) as i32;
            let (own, below) = (b.powi(height), b.powi(height - 1));
            let (weight_own, weight_below) = ((own - below) / (own - 1.0), (below - 1.0) / (own - 1.0));
            let (above, children) = levels.split_at_mut(upper + 1);
            for (count, children) in above[upper].iter_mut().zip(children[0].chunks(self.branching)) {
                *count = weight_own * *count + weight_below * children.iter().sum::<f64>();
            }
        }
    }

    /// What a parent has more than its children is shared out among them (\[HRMS10\] theorem 3).
    fn spread_downwards(&self, levels: &mut [Vec<f64>]) {
        for upper in 0..levels.len() - 1 {
            let (above, children) = levels.split_at_mut(upper + 1);
            for (count, children) in above[upper].iter().zip(children[0].chunks_mut(self.branching)) {
                let share = (count - children.iter().sum::<f64>()) / self.branching as f64;
                children.iter_mut().for_each(|child| *child += share);
            }
        }
    }

    /// The quantile at `fraction` (0 to 1) with its 95 % interval, in lattice units, from consistent leaf counts
    /// whose cells had noise of standard deviation `sd`. `within` is how many leaves can hold rows: noise is all
    /// there is after.
    ///
    /// The rank of a leaf's edge is a sum of at most branching - 1 cells a level and one more leaf, and least squares
    /// is never worse than any such sum; so `rank - fraction * total` errs with at most `sd sqrt((branching - 1)
    /// levels + 1) max(fraction, 1 - fraction)`. The interval is every edge whose rank is within 1.96 of that of what
    /// is sought (Woodruff's interval), widened to whole leaves: it speaks of noise only.
    ///
    /// The value is where the ranks, made to rise by isotonic regression, meet what is sought. That lies between the
    /// first and the last edge where the noisy ranks cross it, and so inside the interval. (Counts below zero set to
    /// zero would also make ranks rise, but the noise left in a thousand empty leaves outweighs a hundred rows: the
    /// value would be pulled out of its interval.)
    pub fn quantile(&self, leaves: &[f64], within: usize, fraction: f64, sd: f64) -> Result<Quantile, TreeError> {
        if leaves.len() != self.leaves() || !(1..=leaves.len()).contains(&within) {
            return Err(TreeError::Cells {
                expected: self.leaves(),
                found: leaves.len().min(within),
            });
        }
        if !(0.0..=1.0).contains(&fraction) {
            return Err(TreeError::Fraction { found: fraction });
        }
        let cells = ((self.branching - 1) as f64 * f64::from(self.levels) + 1.0).sqrt();
        let margin = 1.959_963_984_540_054 * sd * cells * fraction.max(1.0 - fraction);
        let total: f64 = leaves.iter().sum();
        // Half a row from either end, so that 0 and 1 are the extremes of the rows and not of the bounds; and a
        // little more than rounding errors below it, so that a rank that is met exactly is met at the first such edge
        // every time.
        let half = 0.5_f64.min(total / 2.0);
        let wanted = (fraction * total).clamp(half, total - half) - 1e-9 * total.abs();
        let mut ranks = vec![0.0];
        for count in &leaves[..within] {
            ranks.push(ranks[ranks.len() - 1] + count);
        }
        // The edge up to which `wanted - rank` adds up to most is where isotonic regression crosses `wanted`.
        let (mut leaf, mut sum, mut most) = (0, 0.0, f64::NEG_INFINITY);
        for (edge, rank) in ranks[..within].iter().enumerate() {
            sum += wanted - rank;
            if sum > most {
                (leaf, most) = (edge, sum);
            }
        }
        let inside = ranks[leaf + 1] - ranks[leaf];
        let share = if inside > 0.0 {
            ((wanted - ranks[leaf]) / inside).clamp(0.0, 1.0)
        } else {
            0.5
        };
        let value = self.edge(leaf) + share * (self.edge(leaf + 1) - self.edge(leaf));
        // From the last edge that is surely too low to the first that is surely too high.
        let first = ranks.iter().position(|rank| *rank >= wanted - margin);
        let last = ranks.iter().rposition(|rank| *rank <= wanted + margin);
        let first = first.unwrap_or(within).saturating_sub(1).min(leaf);
        let last = last.map_or(0, |edge| (edge + 1).min(within)).max(leaf + 1);
        Ok(Quantile {
            leaf,
            value,
            low: self.edge(first),
            high: self.edge(last),
        })
    }

    fn width(&self) -> u128 {
        (i128::from(self.high) - i128::from(self.low)) as u128 + 1
    }
}

const MOST_LEAVES: usize = 1 << 20;

/// A quantile in lattice units and the interval noise leaves open, from the lower edge of a leaf to an upper edge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantile {
    /// The leaf that the value is in.
    pub leaf: usize,
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TreeError {
    #[error(
        "unsupported tree: expected a branching of at least 2, at least 1 level and at most 2^20 leaves, got {branching}^{levels}"
    )]
    Shape { branching: usize, levels: u32 },
    #[error("unordered tree bounds: low {low}, high {high}")]
    Bounds { low: i64, high: i64 },
    #[error("mismatched number of tree cells: expected {expected}, got {found}")]
    Cells { expected: usize, found: usize },
    #[error("quantile out of range: expected 0 to 1, got {found}")]
    Fraction { found: f64 },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(layout: &TreeLayout, values: impl Iterator<Item = i64>) -> Vec<f64> {
        let mut cells = vec![0.0; layout.cells()];
        for value in values {
            for cell in layout.path(value) {
                cells[cell] += 1.0;
            }
        }
        cells
    }

    #[test]
    fn every_row_is_counted_once_on_each_level() {
        let layout = TreeLayout::new(4, 3, -10, 1000).unwrap();
        for value in [-500, -10, 0, 17, 999, 1000, 5000] {
            let path: Vec<usize> = layout.path(value).collect();
            assert_eq!(path.len(), 3);
            assert!(path[0] < 4 && (4..20).contains(&path[1]) && (20..84).contains(&path[2]));
            assert_eq!(path[2] - 20, layout.leaf(value));
        }
        assert_eq!((layout.leaf(-10), layout.leaf(1000)), (0, 63));
        assert!(TreeLayout::new(2, 2, i64::MIN, i64::MAX).unwrap().leaf(i64::MAX) == 3);
    }

    #[test]
    fn without_noise_the_leaves_come_back_and_quantiles_are_right_to_a_leaf() {
        let layout = TreeLayout::new(4, 5, 0, 9_999).unwrap();
        let cells = counted(&layout, (0..10_000).map(|i| i * i / 10_000));
        let leaves = layout.consistent_leaves(&cells).unwrap();
        assert!(
            leaves
                .iter()
                .zip(&cells[layout.cells() - 1024..])
                .all(|(a, b)| (a - b).abs() < 1e-9)
        );
        for fraction in [0.0, 0.1, 0.5, 0.9, 1.0] {
            let quantile = layout.quantile(&leaves, 1_024, fraction, 0.0).unwrap();
            assert!(
                (quantile.value - 10_000.0 * fraction * fraction).abs() < 12.0,
                "{fraction}: {quantile:?}"
            );
            assert!(quantile.low <= quantile.value && quantile.value <= quantile.high);
        }
    }

    #[test]
    fn the_extremes_are_those_of_the_rows_and_a_value_is_inside_its_interval() {
        let layout = TreeLayout::new(2, 4, 0, 15).unwrap();
        let mut leaves = [0.0; 16];
        for at in [3, 3, 9, 12] {
            leaves[at] += 1.0;
        }
        let leaf = |fraction| layout.quantile(&leaves, 16, fraction, 0.0).unwrap().leaf;
        assert_eq!([0.0, 0.5, 0.75, 1.0].map(leaf), [3, 3, 9, 12]);
        // Noise of alternating sign adds up to nothing, however much of it is above zero.
        let noisy: Vec<f64> = (0..16).map(|i| leaves[i] + [5.0, -5.0][i % 2]).collect();
        let found = layout.quantile(&noisy, 16, 0.5, 5.0).unwrap();
        assert!(found.low < found.value && found.value < found.high, "{found:?}");
    }

    #[test]
    fn consistent_counts_are_the_least_squares_solution() {
        // The normal equations: at the optimum the residuals summed over each leaf's path vanish.
        let layout = TreeLayout::new(3, 3, 0, 26).unwrap();
        let cells: Vec<f64> = (0..layout.cells())
            .map(|i| ((i * 7919 + 13) % 101) as f64 - 50.0)
            .collect();
        let leaves = layout.consistent_leaves(&cells).unwrap();
        let mut fitted = vec![0.0; layout.cells()];
        for (leaf, count) in leaves.iter().enumerate() {
            for cell in layout.path(leaf as i64) {
                fitted[cell] += count;
            }
        }
        for leaf in 0..27 {
            let residual: f64 = layout.path(leaf).map(|cell| cells[cell] - fitted[cell]).sum();
            assert!(residual.abs() < 1e-9, "leaf {leaf}: {residual}");
        }
    }

    #[test]
    fn shapes_that_make_no_sense_are_refused() {
        assert!(TreeLayout::new(1, 4, 0, 1).is_err());
        assert!(TreeLayout::new(4, 0, 0, 1).is_err());
        assert!(TreeLayout::new(2, 21, 0, 1).is_err());
        assert!(TreeLayout::new(2, 2, 5, 5).is_err());
        let layout = TreeLayout::new(2, 2, 0, 3).unwrap();
        assert!(layout.consistent_leaves(&[0.0; 5]).is_err());
        assert!(layout.quantile(&[0.0; 4], 4, 1.5, 0.0).is_err());
        assert!(layout.quantile(&[0.0; 4], 5, 0.5, 0.0).is_err());
        assert!(layout.quantile(&[0.0; 4], 4, 0.5, 1.0).is_ok());
    }
}
