//! What an evaluation says: overall figures, calibration, and per group with the gaps between groups.

use super::super::error::mismatched;
use super::super::model::Head;
use super::counts::{group_names, half_range};
use super::figures::Noisy;
use super::{EvaluatePlan, Part};
use engine::{PlainSum, Refusal};
use governance::ContentHash;
use governance::canonical::Real;
use serde::{Deserialize, Serialize};

/// A figure and its 95 % interval by the noise alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    pub value: Real,
    pub low: Real,
    pub high: Real,
}

/// `None` stands where noise left nothing to divide by, or where the figure is not of this kind of model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    pub dataset: String,
    pub model_hash: ContentHash,
    pub part: Part,
    pub overall: GroupFigures,
    /// Of models with classes: mean of |predicted - observed| over bins, weighed by rows.
    pub calibration_error: Option<Real>,
    pub calibration: Vec<CalibrationBin>,
    /// Rows of a class (outer) found as a class (inner).
    pub confusion: Vec<Vec<Real>>,
    pub groups: Vec<GroupFigures>,
    /// Greatest less least over the groups: accuracy, true and false positive rate. Groups whose share is lost in the noise are left out;
    /// `None` with fewer than two others.
    pub accuracy_gap: Option<Real>,
    pub true_positive_gap: Option<Real>,
    pub false_positive_gap: Option<Real>,
    pub unit: String,
    pub epsilon: Real,
    pub delta: Real,
    pub contributors: u32,
    pub shares: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupFigures {
    pub name: String,
    pub rows: Option<Estimate>,
    pub accuracy: Option<Estimate>,
    pub auc: Option<Estimate>,
    pub log_loss: Option<Estimate>,
    pub true_positive_rate: Option<Estimate>,
    pub false_positive_rate: Option<Estimate>,
    /// Of a number, in its own units.
    pub rmse: Option<Real>,
    pub mean_error: Option<Estimate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationBin {
    /// The bin's middle: what the model said.
    pub predicted: Real,
    /// What was so: the share of class 1, or of right answers.
    pub observed: Option<Estimate>,
    pub rows: Option<Estimate>,
}

impl Estimate {
    /// Of a share: the noise left it anything from 0 to 1, so its value says nothing.
    pub fn is_lost_share(&self) -> bool {
        self.low.get() <= 0.0 && self.high.get() >= 1.0
    }

    /// `None` if a number is not finite.
    pub(super) fn new(value: f64, half: f64, (least, most): (f64, f64)) -> Option<Self> {
        let inside = |x: f64| Real::new(x.max(least).min(most));
        Some(Self {
            value: inside(value)?,
            low: inside(value - half)?,
            high: inside(value + half)?,
        })
    }
}

pub(super) fn report(plan: &EvaluatePlan, sum: &PlainSum) -> Result<Evaluation, Refusal> {
    if sum.values.len() != plan.dim() {
        return Err(mismatched("sum", plan.dim(), sum.values.len()));
    }
    let weight = plan.weight as f64;
    let cells: Vec<f64> = sum.values.iter().map(|v| *v as f64 / weight).collect();
    let sd = (sum.variance as f64).sqrt() / weight;
    let width = plan.width();
    let groups = plan.groups();
    // A sum over groups carries the noise of each.
    let pooled: Vec<f64> = (0..width).map(|i| cells.iter().skip(i).step_by(width).sum()).collect();
    let all = Noisy {
        cells: &pooled,
        sd: sd * (groups as f64).sqrt(),
    };
    let named = plan
        .group
        .as_ref()
        .map_or(Vec::new(), |(domain, missing)| group_names(domain, *missing));
    let each: Vec<GroupFigures> = named
        .into_iter()
        .zip(cells.chunks(width))
        .map(|(name, cells)| figures(plan, name, &Noisy { cells, sd }))
        .collect();
    let gap = |of: fn(&GroupFigures) -> Option<Estimate>| {
        // A share that may be anything would make a gap out of nothing but noise.
        let known = each.iter().filter_map(of).filter(|share| !share.is_lost_share());
        let values: Vec<f64> = known.map(|share| share.value.get()).collect();
        let (low, high) = values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(*x), h.max(*x)));
        Real::new(high - low).filter(|_| values.len() > 1)
    };
    let calibration = calibration(plan, &all);
    Ok(Evaluation {
        dataset: plan.dataset.clone(),
        model_hash: plan.task.model.hash()?,
        part: plan.task.part,
        overall: figures(plan, "all".into(), &all),
        calibration_error: calibration_error(&calibration),
        calibration,
        confusion: confusion(plan, &pooled),
        accuracy_gap: gap(|g| g.accuracy),
        true_positive_gap: gap(|g| g.true_positive_rate),
        false_positive_gap: gap(|g| g.false_positive_rate),
        groups: each,
        unit: plan
            .unit
            .as_ref()
            .map_or("one row".into(), |unit| format!("all rows of one `{unit}`")),
        epsilon: plan.epsilon,
        delta: plan.delta,
        contributors: sum.contributors,
        shares: plan.shares,
    })
}

fn figures(plan: &EvaluatePlan, name: String, noisy: &Noisy<'_>) -> GroupFigures {
    let bins = plan.task.bins as usize;
    let middle = |bin: usize| (bin as f64 + 0.5) / bins as f64;
    let inside = |yes: bool| f64::from(u8::from(yes));
    let mut figures = GroupFigures {
        name,
        rows: None,
        accuracy: None,
        auc: None,
        log_loss: None,
        true_positive_rate: None,
        false_positive_rate: None,
        rmse: None,
        mean_error: None,
    };
    let positive = (0.0, f64::INFINITY);
    match plan.task.model.shape.head {
        Head::Logistic => {
            let (class, above) = (|i: usize| i / bins, |i: usize| i % bins >= bins / 2);
            figures.rows = noisy.total(|_| 1.0);
            figures.accuracy = noisy.ratio(|i| inside((class(i) == 1) == above(i)), |_| 1.0, (0.0, 1.0));
            figures.auc = noisy.auc();
            let loss = |i: usize| {
                let p = middle(i % bins);
                -(if class(i) == 1 { p } else { 1.0 - p }).ln()
            };
            figures.log_loss = noisy.ratio(loss, |_| 1.0, positive);
            let rate = |of: usize| {
                noisy.ratio(
                    |i| inside(class(i) == of && above(i)),
                    |i| inside(class(i) == of),
                    (0.0, 1.0),
                )
            };
            (figures.true_positive_rate, figures.false_positive_rate) = (rate(1), rate(0));
        }
        Head::Softmax => {
            let classes = plan.task.model.target.classes();
            let (table, likelihood) = (classes * classes, classes * classes + 2 * bins);
            let counted = |i: usize| inside(i < table);
            figures.rows = noisy.total(counted);
            let right = |i: usize| inside(i < table && i / classes == i % classes);
            figures.accuracy = noisy.ratio(right, counted, (0.0, 1.0));
            let loss = |i: usize| {
                if i < likelihood {
                    0.0
                } else {
                    -middle(i - likelihood).ln()
                }
            };
            figures.log_loss = noisy.ratio(loss, |i| inside(i >= likelihood), positive);
        }
        Head::Squared => {
            let half = half_range(&plan.task.model.target);
            let residual = |i: usize| (2.0 * middle(i) - 1.0) * half;
            figures.rows = noisy.total(|_| 1.0);
            let squared = noisy.ratio(|i| residual(i).powi(2), |_| 1.0, positive);
            figures.rmse = squared.and_then(|s| Real::new(s.value.get().sqrt()));
            figures.mean_error = noisy.ratio(residual, |_| 1.0, (f64::NEG_INFINITY, f64::INFINITY));
        }
    }
    figures
}

fn calibration(plan: &EvaluatePlan, noisy: &Noisy<'_>) -> Vec<CalibrationBin> {
    let bins = plan.task.bins as usize;
    let start = match plan.task.model.shape.head {
        Head::Squared => return Vec::new(),
        Head::Logistic => 0,
        Head::Softmax => plan.task.model.target.classes().pow(2),
    };
    let of = |bin: usize| {
        let (no, yes) = (start + bin, start + bins + bin);
        let inside = |yes: bool| f64::from(u8::from(yes));
        let either = |i: usize| inside(i == no || i == yes);
        Some(CalibrationBin {
            predicted: Real::new((bin as f64 + 0.5) / bins as f64)?,
            observed: noisy.ratio(|i| inside(i == yes), either, (0.0, 1.0)),
            rows: noisy.total(either),
        })
    };
    (0..bins).filter_map(of).collect()
}

fn calibration_error(bins: &[CalibrationBin]) -> Option<Real> {
    let (mut error, mut all) = (0.0, 0.0);
    for bin in bins {
        if let (Some(observed), Some(rows)) = (bin.observed, bin.rows) {
            error += rows.value.get() * (observed.value.get() - bin.predicted.get()).abs();
            all += rows.value.get();
        }
    }
    Real::new(error / all)
}

/// Rows of a class found as a class; of two classes, found by which side of one half.
fn confusion(plan: &EvaluatePlan, pooled: &[f64]) -> Vec<Vec<Real>> {
    let bins = plan.task.bins as usize;
    let real = |x: f64| Real::new(x);
    match plan.task.model.shape.head {
        Head::Squared => Vec::new(),
        Head::Logistic => pooled
            .chunks(bins)
            .map(|class| {
                class
                    .chunks(bins / 2)
                    .filter_map(|half| real(half.iter().sum()))
                    .collect()
            })
            .collect(),
        Head::Softmax => {
            let classes = plan.task.model.target.classes();
            pooled[..classes * classes]
                .chunks(classes)
                .map(|row| row.iter().filter_map(|x| real(*x)).collect())
                .collect()
        }
    }
}
