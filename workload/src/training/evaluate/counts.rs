//! What one participant counts: each row of the asked part, at most so many of one unit, in the cells of its group. The
//! layout of a group is in [`EvaluatePlan::width`]; groups stand one after another.

use super::super::data::TrainingData;
use super::super::error::mismatched;
use super::super::model::Head;
use super::super::release::argmax;
use super::super::target::Target;
use super::{EvaluatePlan, Part};
use engine::Refusal;

/// The vector before noise. `groups` has the position of each row's group, aligned with the rows that `data` was made
/// of; a row whose group is missing or unknown goes to the last group if the plan has one for it, and is left out
/// otherwise.
pub fn counts(plan: &EvaluatePlan, data: &TrainingData, groups: &[Option<u32>]) -> Result<Vec<i64>, Refusal> {
    let model = &plan.task.model;
    if data.width() != model.encoder.width() {
        return Err(mismatched("features", model.encoder.width(), data.width()));
    }
    if plan.group.is_some() && groups.len() < data.source_rows() {
        return Err(mismatched("groups", data.source_rows(), groups.len()));
    }
    let mut out = vec![0i64; plan.dim()];
    let units: Vec<(usize, usize)> = match plan.task.part {
        Part::All => data.train().iter().chain(data.held()).copied().collect(),
        Part::Train => data.train().to_vec(),
        Part::Held => data.held().to_vec(),
    };
    let network = model.network()?;
    let weight = plan.weight as i64;
    let rows: Vec<usize> = units
        .iter()
        .flat_map(|(first, end)| *first..(*end).min(first.saturating_add(plan.rows_per_unit as usize)))
        .collect();
    for chunk in rows.chunks(256) {
        let (inputs, targets) = data.gather(chunk);
        let outputs = network.outputs(inputs.view());
        for ((row, y), found) in chunk.iter().zip(targets).zip(outputs.rows()) {
            let Some(group) = group_of(plan, groups, data.source_row(*row)) else {
                continue;
            };
            let base = group * plan.width();
            for cell in cells(plan, y, &found.to_vec()) {
                out[base + cell] += weight;
            }
        }
    }
    Ok(out)
}

fn group_of(plan: &EvaluatePlan, groups: &[Option<u32>], row: usize) -> Option<usize> {
    let Some((domain, missing)) = &plan.group else {
        return Some(0);
    };
    let known = groups[row].map(|g| g as usize).filter(|g| *g < domain.classes());
    known.or(missing.then(|| domain.classes()))
}

/// One cell of each block. A score that is not a number falls into the lowest bin.
fn cells(plan: &EvaluatePlan, y: f32, found: &[f64]) -> Vec<usize> {
    let bins = plan.task.bins as usize;
    let bin = |p: f64| ((p * bins as f64) as usize).min(bins - 1);
    let class = y as usize;
    match plan.task.model.shape.head {
        // Residuals within [-1, 1] of half the target's range.
        Head::Squared => vec![bin((found[0] - f64::from(y) + 1.0) / 2.0)],
        Head::Logistic => vec![class.min(1) * bins + bin(found[0])],
        Head::Softmax => {
            let classes = found.len();
            let best = argmax(found.iter().copied());
            let class = class.min(classes - 1);
            let start = classes * classes;
            let right = usize::from(best == class);
            vec![
                class * classes + best,
                start + right * bins + bin(found[best]),
                start + 2 * bins + bin(found[class]),
            ]
        }
    }
}

/// A group's name in reports.
pub(super) fn group_names(domain: &Target, missing: bool) -> Vec<String> {
    let mut names = domain.labels();
    if missing {
        names.push("missing".into());
    }
    names
}

/// Half the range of a number's target: what residuals are measured in.
pub(super) fn half_range(target: &Target) -> f64 {
    match target {
        Target::Number { low, high } => (high.get() - low.get()) / 2.0,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_halved() {
        let real = |x| governance::canonical::Real::new(x).unwrap();
        let target = Target::Number {
            low: real(-2.0),
            high: real(6.0),
        };
        assert_eq!(half_range(&target), 4.0);
    }
}
