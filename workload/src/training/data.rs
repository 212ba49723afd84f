//! A participant's rows as training reads them: encoded features with a 1 at the end of each row (the input of the
//! bias), targets, and which rows are one unit. Kept in memory for the run: four bytes a feature.

use governance::canonical::Real;
use ndarray::{Array2, ArrayView2, Axis, Slice};

/// Rows grouped by unit, those without a target left out. No `Debug`: it is data.
pub struct TrainingData {
    /// Rows of encoded features, then 1.
    inputs: Array2<f32>,
    targets: Vec<f32>,
    /// Where each row stood before those without a target were left out, and how many there were.
    source: Vec<usize>,
    source_rows: usize,
    /// First and end row of each unit that is trained on, and of each that is held out.
    train: Vec<(usize, usize)>,
    held: Vec<(usize, usize)>,
}

/// Shapes that do not belong together; never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    #[error("mismatched rows: expected {expected}, got {found}")]
    Rows { expected: usize, found: usize },
    #[error("malformed units: expected offsets that rise from 0 to {rows}, one more than units")]
    Units { rows: usize },
}

impl TrainingData {
    /// `offsets[i]..offsets[i + 1]` are the rows of unit i; `held[i]` says whether it is held out (see [`in_holdout`]).
    /// A row whose target is NaN is left out, and a unit with no row left with it.
    pub fn new(features: &Array2<f32>, targets: &[f32], offsets: &[usize], held: &[bool]) -> Result<Self, DataError> {
        let rows = features.nrows();
        if targets.len() != rows {
            return Err(DataError::Rows {
                expected: rows,
                found: targets.len(),
            });
        }
        let rises = offsets.windows(2).all(|w| w[0] <= w[1]);
        let ends = offsets.first() == Some(&0) && offsets.last() == Some(&rows);
        if !rises || !ends || offsets.len() != held.len() + 1 {
            return Err(DataError::Units { rows });
        }
        let known: Vec<usize> = (0..rows).filter(|row| !targets[*row].is_nan()).collect();
        let width = features.ncols();
        let mut inputs = Array2::ones((known.len(), width + 1));
        for (to, from) in known.iter().enumerate() {
            inputs
                .row_mut(to)
                .slice_axis_mut(Axis(0), Slice::from(..width))
                .assign(&features.row(*from));
        }
        let mut data = Self {
            inputs,
            targets: known.iter().map(|row| targets[*row]).collect(),
            source_rows: rows,
            train: Vec::new(),
            held: Vec::new(),
            source: Vec::new(),
        };
        for (unit, held) in offsets.windows(2).zip(held) {
            let place = |offset: usize| known.partition_point(|row| *row < offset);
            let (first, end) = (place(unit[0]), place(unit[1]));
            let part = if *held { &mut data.held } else { &mut data.train };
            if first < end {
                part.push((first, end));
            }
        }
        data.source = known;
        Ok(data)
    }

    /// Every row a unit, none held out.
    pub fn rows(features: &Array2<f32>, targets: &[f32]) -> Result<Self, DataError> {
        let rows = features.nrows();
        Self::new(features, targets, &(0..=rows).collect::<Vec<_>>(), &vec![false; rows])
    }

    /// Features of a row, without the 1.
    pub fn width(&self) -> usize {
        self.inputs.ncols() - 1
    }

    pub fn train_units(&self) -> usize {
        self.train.len()
    }

    pub fn held_units(&self) -> usize {
        self.held.len()
    }

    pub(super) fn inputs(&self) -> ArrayView2<'_, f32> {
        self.inputs.view()
    }

    pub(super) fn targets(&self) -> &[f32] {
        &self.targets
    }

    pub(super) fn train(&self) -> &[(usize, usize)] {
        &self.train
    }

    pub(super) fn held(&self) -> &[(usize, usize)] {
        &self.held
    }

    pub(super) fn source_rows(&self) -> usize {
        self.source_rows
    }

    pub(super) fn source_row(&self, row: usize) -> usize {
        self.source[row]
    }

    /// Copies these rows.
    pub(super) fn gather(&self, rows: &[usize]) -> (Array2<f32>, Vec<f32>) {
        let mut inputs = Array2::zeros((rows.len(), self.inputs.ncols()));
        for (mut to, row) in inputs.rows_mut().into_iter().zip(rows) {
            to.assign(&self.inputs.row(*row));
        }
        (inputs, rows.iter().map(|row| self.targets[*row]).collect())
    }

    /// Every row that is trained on.
    pub(super) fn train_rows(&self) -> Vec<usize> {
        self.train.iter().flat_map(|(first, end)| *first..*end).collect()
    }
}

/// Whether a unit is held out: by a hash of the unit (its key, or the content of a row that is its own unit) under a
/// key that stays here, so that it depends on that unit alone and is the same in every round of runs with this seed.
pub fn in_holdout(key: &[u8; 32], seed: u64, unit: &[u8], fraction: Real) -> bool {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher
        .update(b"sottovoce 1 holdout")
        .update(&seed.to_le_bytes())
        .update(unit);
    let mut word = [0; 8];
    hasher.finalize_xof().fill(&mut word);
    let threshold = (fraction.get() * 18_446_744_073_709_551_616.0) as u128;
    u128::from(u64::from_le_bytes(word)) < threshold
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_a_target_go_and_units_keep_together() {
        let features = Array2::from_shape_fn((5, 2), |(i, j)| (10 * i + j) as f32);
        let targets = [0.0, f32::NAN, 1.0, f32::NAN, 1.0];
        let data = TrainingData::new(&features, &targets, &[0, 3, 4, 5], &[false, false, true]).unwrap();
        assert_eq!((&data.train[..], &data.held[..]), (&[(0, 2)][..], &[(2, 3)][..]));
        assert_eq!(data.inputs().row(1).to_vec(), [20.0, 21.0, 1.0]);
        assert!(TrainingData::new(&features, &targets, &[0, 3], &[false]).is_err());
        assert!(TrainingData::new(&features, &targets[1..], &[0, 5], &[false]).is_err());
    }

    #[test]
    fn the_holdout_has_its_share_and_is_the_same_again() {
        let quarter = Real::new(0.25).unwrap();
        let held = |seed: u64, i: u32| in_holdout(&[1; 32], seed, &i.to_le_bytes(), quarter);
        let share = (0..10_000).filter(|i| held(1, *i)).count();
        assert!((2_250..2_750).contains(&share), "{share}");
        assert!((0..100).all(|i| held(2, i) == held(2, i)) && (0..100).any(|i| held(1, i) != held(2, i)));
    }
}
