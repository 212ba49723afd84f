//! What is learnt: a number scaled by its bounds, or a class from a closed, public domain. A row whose target is
//! missing or outside the domain is not trained on.

use super::error::FEATURE;
use super::features::{Cells, EncodeError, scaled, usable};
use super::model::{Head, Shape};
use super::task::{ModelKind, TrainTask};
use engine::Refusal;
use governance::canonical::Real;
use governance::{Column, Contract, LogicalType};
use serde::{Deserialize, Serialize};

/// Classes of one target.
const MAX_CLASSES: usize = 1000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Target {
    /// Learnt on [-1, 1].
    Number { low: Real, high: Real },
    /// Class 1 is above the threshold.
    Above { threshold: Real },
    /// Class 1 is true.
    Boolean,
    /// Class by position.
    Categories(Vec<String>),
    /// Class is value - min.
    Integers { min: i64, max: i64 },
}

impl Target {
    /// The target that a model of this kind can learn, or why it cannot.
    pub fn new(task: &TrainTask, contract: &Contract) -> Result<Self, Refusal> {
        let column = usable(contract, &task.target, "target")?;
        if task.features.contains(&task.target) {
            let message = format!("target `{}` is also a feature", task.target);
            return Err(Refusal::new(FEATURE, message).remedy("leave it out of the features"));
        }
        let target = match task.positive_above {
            Some(threshold) => above(column, threshold)?,
            None if task.model == ModelKind::Linear => number(column)?,
            None => classes(column, &task.model)?,
        };
        target.fits(&task.model, &column.name)?;
        Ok(target)
    }

    /// The closed domain of a column, as classes.
    pub(super) fn classes_of(column: &Column) -> Result<Self, Refusal> {
        classes(column, &ModelKind::Softmax)
    }

    /// Whether the contract still defines this target on this column.
    pub(super) fn is_of(&self, name: &str, contract: &Contract) -> Result<bool, Refusal> {
        let column = usable(contract, name, "target")?;
        let now = match self {
            Target::Above { threshold } => above(column, *threshold)?,
            Target::Number { .. } => number(column)?,
            _ => classes(column, &ModelKind::Softmax)?,
        };
        Ok(now == *self)
    }

    /// The head of a shape, if it has an output for each of these classes or one for a number.
    pub(super) fn head_of(&self, shape: &Shape) -> Option<Head> {
        let fits = match (shape.head, self.classes()) {
            (Head::Squared, 0) | (Head::Logistic, 2) => shape.outputs == 1,
            (Head::Softmax, classes) => classes > 1 && shape.outputs as usize == classes,
            _ => false,
        };
        fits.then_some(shape.head)
    }

    /// What each class is called; none for a number.
    pub fn labels(&self) -> Vec<String> {
        match self {
            Target::Number { .. } => Vec::new(),
            Target::Above { threshold } => vec![format!("at most {threshold}"), format!("above {threshold}")],
            Target::Boolean => vec!["false".into(), "true".into()],
            Target::Categories(labels) => labels.clone(),
            Target::Integers { min, max } => (*min..=*max).map(|i| i.to_string()).collect(),
        }
    }

    /// Classes, or 0 for a number.
    pub fn classes(&self) -> usize {
        match self {
            Target::Number { .. } => 0,
            Target::Above { .. } | Target::Boolean => 2,
            Target::Categories(labels) => labels.len(),
            Target::Integers { min, max } => (max - min + 1) as usize,
        }
    }

    /// The head and the outputs of a model that learns this.
    pub(super) fn head(&self, model: &ModelKind) -> (Head, u32) {
        match (model, self.classes()) {
            (_, 0) => (Head::Squared, 1),
            (ModelKind::Logistic, _) | (ModelKind::Mlp { .. }, 2) => (Head::Logistic, 1),
            (_, classes) => (Head::Softmax, classes as u32),
        }
    }

    /// A scaled number or a class for each row; NaN where the row is not trained on.
    pub fn encode(&self, name: &str, cells: &Cells<'_>) -> Result<Vec<f32>, EncodeError> {
        let column = name.to_owned();
        let class = |index: Option<usize>| index.map_or(f32::NAN, |i| i as f32);
        match (self, cells) {
            (Target::Number { low, high }, Cells::Numbers(cells)) => {
                let value = |x: f64| scaled(x, low.get(), high.get()) as f32;
                let finite = |cell: &Option<f64>| cell.filter(|x| x.is_finite()).map_or(f32::NAN, value);
                Ok(cells.iter().map(finite).collect())
            }
            (Target::Above { threshold }, Cells::Numbers(cells)) => {
                let side = |cell: &Option<f64>| cell.filter(|x| !x.is_nan()).map(|x| usize::from(x > threshold.get()));
                Ok(cells.iter().map(|cell| class(side(cell))).collect())
            }
            (Target::Integers { min, max }, Cells::Numbers(cells)) => {
                let within = |x: &f64| x.fract() == 0.0 && *x >= *min as f64 && *x <= *max as f64;
                let index = |cell: &Option<f64>| cell.filter(within).map(|x| (x as i64 - min) as usize);
                Ok(cells.iter().map(|cell| class(index(cell))).collect())
            }
            (Target::Boolean, Cells::Booleans(cells)) => Ok(cells.iter().map(|b| class(b.map(usize::from))).collect()),
            (Target::Categories(labels), Cells::Categories(cells)) => {
                let known = |cell: &Option<u32>| cell.map(|c| c as usize).filter(|c| *c < labels.len());
                Ok(cells.iter().map(|cell| class(known(cell))).collect())
            }
            _ => Err(EncodeError::Kind { column }),
        }
    }

    fn fits(&self, model: &ModelKind, name: &str) -> Result<(), Refusal> {
        let classes = self.classes();
        let refuse = |message: String, remedy: &str| Err(Refusal::new(FEATURE, message).remedy(remedy));
        match model {
            ModelKind::Linear if classes > 0 => refuse(
                format!("target `{name}` has {classes} classes: a linear model learns a number"),
                "a logistic or softmax model, or no `positive_above`",
            ),
            ModelKind::Logistic if classes != 2 => refuse(
                format!("target `{name}` is not binary: expected 2 classes, got {classes}"),
                "`positive_above` makes two classes of a number; softmax learns several",
            ),
            _ if classes == 1 => refuse(
                format!("target `{name}` has one class"),
                "a column with at least two categories",
            ),
            _ if classes > MAX_CLASSES => refuse(
                format!("target `{name}` has {classes} classes: expected at most {MAX_CLASSES}"),
                "`positive_above`, or a column with fewer categories",
            ),
            _ => Ok(()),
        }
    }
}

fn number(column: &Column) -> Result<Target, Refusal> {
    match (column.logical_type, column.bounds) {
        (LogicalType::Integer | LogicalType::Number | LogicalType::Date, Some(b)) => Ok(Target::Number {
            low: b.min,
            high: b.max,
        }),
        _ => {
            let message = format!("target `{}` is not a bounded number", column.name);
            Err(Refusal::new(FEATURE, message).remedy("a linear model learns a column with minimum and maximum"))
        }
    }
}

fn above(column: &Column, threshold: Real) -> Result<Target, Refusal> {
    if !matches!(
        column.logical_type,
        LogicalType::Integer | LogicalType::Number | LogicalType::Date
    ) {
        let message = format!(
            "target `{}` is not a number: `positive_above` does not apply",
            column.name
        );
        return Err(Refusal::new(FEATURE, message).remedy("leave `positive_above` out"));
    }
    Ok(Target::Above { threshold })
}

/// Classes of a closed domain; an MLP also learns a bounded number that is no small range.
fn classes(column: &Column, model: &ModelKind) -> Result<Target, Refusal> {
    match (column.logical_type, column.bounds) {
        (LogicalType::Boolean, _) => Ok(Target::Boolean),
        (LogicalType::String, _) if !column.categories.is_empty() => Ok(Target::Categories(column.categories.clone())),
        (LogicalType::Integer, Some(b)) if b.max.get() - b.min.get() < MAX_CLASSES as f64 => Ok(Target::Integers {
            min: b.min.get() as i64,
            max: b.max.get() as i64,
        }),
        (LogicalType::Integer | LogicalType::Number | LogicalType::Date, Some(_))
            if matches!(model, ModelKind::Mlp { .. }) =>
        {
            number(column)
        }
        _ => {
            let message = format!(
                "target `{}` has no small, closed domain to make classes of",
                column.name
            );
            Err(Refusal::new(FEATURE, message)
                .remedy("a boolean, declared categories, a small integer range, or `positive_above`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heart() -> Contract {
        Contract::parse(include_str!("../../../governance/contracts/heart.toml")).unwrap()
    }

    #[test]
    fn a_target_is_a_class_or_a_scaled_number() {
        let mut task = TrainTask::dp_sgd(&["age"], "num", ModelKind::Logistic, 1);
        assert!(Target::new(&task, &heart()).unwrap_err().message.contains("not binary"));
        task.positive_above = Real::new(0.0);
        let above = Target::new(&task, &heart()).unwrap();
        let cells = [Some(0.0), Some(3.0), None];
        let found = above.encode("num", &Cells::Numbers(&cells)).unwrap();
        assert!(found[0] == 0.0 && found[1] == 1.0 && found[2].is_nan());
        task.model = ModelKind::Linear;
        assert!(Target::new(&task, &heart()).is_err());
        task.positive_above = None;
        let number = Target::new(&task, &heart()).unwrap();
        assert_eq!(
            number.encode("num", &Cells::Numbers(&[Some(2.0), Some(4.0)])).unwrap(),
            [0.0, 1.0]
        );
        task.model = ModelKind::Softmax;
        assert_eq!(
            Target::new(&task, &heart()).unwrap().labels(),
            ["0", "1", "2", "3", "4"]
        );
        task.features = vec!["num".into()];
        assert!(
            Target::new(&task, &heart())
                .unwrap_err()
                .message
                .contains("also a feature")
        );
    }
}
