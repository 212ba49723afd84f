//! How good a model is on rows that it never saw: the area under the ROC curve, or the share of right classes.

use super::Result;
use super::table::Encoded;
use workload::training::TrainedModel;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    Auc,
    Accuracy,
}

impl Metric {
    pub fn name(self) -> &'static str {
        match self {
            Metric::Auc => "auc",
            Metric::Accuracy => "accuracy",
        }
    }

    /// Of these units' rows.
    pub fn of(self, model: &TrainedModel, encoded: &Encoded, units: &[usize]) -> Result<f64> {
        let (features, targets) = encoded.rows(units);
        let outputs = model.outputs(&features)?;
        let score = |row: usize| outputs[(row, outputs.ncols().min(2) - 1)];
        Ok(match self {
            Metric::Auc => {
                let (above, below): (Vec<usize>, Vec<usize>) = (0..targets.len()).partition(|row| targets[*row] == 1.0);
                let scores = |rows: Vec<usize>| rows.into_iter().map(score).collect::<Vec<f64>>();
                auc(&scores(above), &scores(below))
            }
            Metric::Accuracy => {
                let found: Vec<f64> = match outputs.ncols() {
                    1 => (0..targets.len())
                        .map(|row| f64::from(u8::from(score(row) > 0.5)))
                        .collect(),
                    _ => model.predict(&features)?,
                };
                let right = found
                    .iter()
                    .zip(&targets)
                    .filter(|(found, y)| **found == f64::from(**y))
                    .count();
                right as f64 / targets.len().max(1) as f64
            }
        })
    }
}

/// How often a positive scores above a negative, ties counted half: the Mann-Whitney statistic, n log n. Half if there
/// is nothing to compare.
pub fn auc(positives: &[f64], negatives: &[f64]) -> f64 {
    if positives.is_empty() || negatives.is_empty() {
        return 0.5;
    }
    let mut sorted = negatives.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let wins = |x: &f64| {
        let (below, up_to) = (sorted.partition_point(|y| y < x), sorted.partition_point(|y| y <= x));
        (below + up_to) as f64 / 2.0
    };
    positives.iter().map(wins).sum::<f64>() / (positives.len() * sorted.len()) as f64
}

/// Over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    pub mean: f64,
    pub min: f64,
    pub max: f64,
}

impl Summary {
    /// `None` of nothing.
    pub fn of(values: &[f64]) -> Option<Self> {
        let (first, rest) = values.split_first()?;
        Some(Self {
            mean: values.iter().sum::<f64>() / values.len() as f64,
            min: rest.iter().copied().fold(*first, f64::min),
            max: rest.iter().copied().fold(*first, f64::max),
        })
    }
}
