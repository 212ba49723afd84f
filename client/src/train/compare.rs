//! Two models side by side: every setting, cost and figure in which they differ, and how far apart their parameters lie.

use serde_json::Value;

use super::registry::Detailed;
use crate::Problem;
use crate::output::{Kind, Sheet, plain};

/// One row for each thing that is not the same.
pub fn differences(first: &Detailed, second: &Detailed) -> Result<Sheet, Problem> {
    let name = |of: &Detailed| format!("{}@{}", of.version.name, of.version.number);
    let (left, right) = (name(first), name(second));
    let mut sheet = Sheet::new([
        ("what", Kind::Text),
        (left.as_str(), Kind::Text),
        (right.as_str(), Kind::Text),
    ]);
    let (first_facts, second_facts) = (facts(first)?, facts(second)?);
    let names: std::collections::BTreeSet<&String> = first_facts.keys().chain(second_facts.keys()).collect();
    for name in names {
        let (a, b) = (first_facts.get(name), second_facts.get(name));
        if a != b {
            let cell = |fact: Option<&String>| fact.map_or("", String::as_str).into();
            sheet.push([name.as_str().into(), cell(a), cell(b)]);
        }
    }
    if let Some((distance, cosine)) = distance(first, second)? {
        let row = |what: &str, value: f64| [what.into(), "".into(), plain(value).into()];
        sheet.push(row("distance of the parameters", distance));
        sheet.push(row("cosine of the parameters", cosine));
    }
    Ok(sheet)
}

type Facts = std::collections::BTreeMap<String, String>;

/// Settings, privacy and the newest figures of a version, flat. Not the parameters themselves.
fn facts(of: &Detailed) -> Result<Facts, Problem> {
    let run = &of.trained.run;
    let value = |value: serde_json::Result<Value>| value.map_err(crate::released::unreadable);
    let mut facts = Facts::new();
    flatten("", &super::settings::as_json(&of.trained.task), &mut facts);
    flatten("privacy", &value(serde_json::to_value(&run.privacy))?, &mut facts);
    flatten("dataset", &Value::from(run.dataset.as_str()), &mut facts);
    flatten("rounds made", &Value::from(run.rounds), &mut facts);
    let parent = run.parent.map(|hash| hash.to_string());
    flatten("parent", &Value::from(parent), &mut facts);
    let contract = of.trained.released.request().contract.to_string();
    flatten("contract", &Value::from(contract), &mut facts);
    flatten("standing", &Value::from(of.version.standing.spelling()), &mut facts);
    if let Some(evaluated) = of.evaluations.first() {
        let overall = &evaluated.evaluation.overall;
        flatten("figures", &value(serde_json::to_value(overall))?, &mut facts);
    }
    Ok(facts)
}

fn flatten(path: &str, value: &Value, facts: &mut Facts) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                flatten(&path, value, facts);
            }
        }
        Value::Null => {}
        Value::String(text) => drop(facts.insert(path.to_owned(), text.clone())),
        other => drop(facts.insert(path.to_owned(), other.to_string())),
    }
}

/// Euclidean distance and cosine, where the models have one shape.
fn distance(first: &Detailed, second: &Detailed) -> Result<Option<(f64, f64)>, Problem> {
    let (a, b) = (&first.trained.run.model, &second.trained.run.model);
    if a.shape != b.shape {
        return Ok(None);
    }
    let (a, b) = (
        a.weights().map_err(super::refused)?,
        b.weights().map_err(super::refused)?,
    );
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let apart = dot(&a, &a) - 2.0 * dot(&a, &b) + dot(&b, &b);
    let cosine = dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt();
    Ok(Some((apart.max(0.0).sqrt(), cosine)).filter(|(_, cosine)| cosine.is_finite()))
}
