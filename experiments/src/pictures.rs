//! `redraw`: pictures from results. A measurement draws its pictures the same way, from the JSON that it just wrote, so
//! that a picture never shows anything that is not in the file beside it. Nothing is measured here.

use std::path::{Path, PathBuf};

use ::tests::learn::{DELTA, Result};
use serde_json::{Value, json};
use sottovoce::plot::{Axis, Figure, Mark, Panel, Point, Series};

const AUDIT: &str = "privacy-audit-";

#[derive(clap::Args)]
pub struct Arguments {
    /// Folder of results; pictures go beside them
    #[arg(default_value = "experiments/results")]
    results: PathBuf,
}

pub fn run(arguments: &Arguments) -> Value {
    redraw(&arguments.results).unwrap_or_else(|error| panic!("{error}"))
}

fn redraw(folder: &Path) -> Result<Value> {
    let mut pictures = Vec::new();
    for name in names(folder)? {
        pictures.extend(draw(folder, &name)?);
    }
    pictures.sort();
    pictures.dedup();
    Ok(json!({ "pictures": pictures }))
}

/// Draws what the results of this name show, if they are of a kind that has pictures; says which files those are.
pub fn draw(folder: &Path, name: &str) -> Result<Vec<String>> {
    let read = || read(folder, name);
    let figures = match name.split_once('-') {
        Some(("accuracy", model)) => vec![(name.to_owned(), accuracy(model, &read()?)?)],
        Some(("dropout", model)) => vec![(name.to_owned(), dropout(model, &read()?)?)],
        Some(("convergence", model)) => convergence(model, &read()?)?,
        _ => audits(folder, name)?.into_iter().collect(),
    };
    let mut written = Vec::new();
    for (name, figure) in figures {
        for (ending, bytes) in [("svg", figure.svg()?.into_bytes()), ("png", figure.png()?)] {
            let file = format!("{name}.{ending}");
            std::fs::write(folder.join(&file), bytes)?;
            written.push(file);
        }
    }
    Ok(written)
}

/// Results in a folder, in order.
fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        names.extend(file.strip_suffix(".json").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

fn read(folder: &Path, name: &str) -> Result<Value> {
    let path = folder.join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut kept: Value = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(kept["figures"].take())
}

/// The metric against epsilon; what is not private is a level line, and of the sites only the best one is drawn.
fn accuracy(model: &str, found: &Value) -> Result<Figure> {
    let results = list(found, "results")?;
    let settings: Vec<&str> = results.iter().map(|one| word(one, "setting")).collect::<Result<_>>()?;
    let mut epsilons = Vec::new();
    for one in results {
        epsilons.push(number(one, "epsilon")?);
    }
    epsilons.retain(|epsilon| epsilon.is_finite());
    epsilons.sort_by(f64::total_cmp);
    epsilons.dedup();
    let mut series = Vec::new();
    for setting in ["federated-dp", "central-dp"] {
        let points = of(results, setting)
            .map(|one| spread(number(one, "epsilon")?, one))
            .collect::<Result<Vec<_>>>()?;
        series.push(Series::new(setting, Mark::Line, sorted(points)));
    }
    let best = settings
        .iter()
        .zip(results)
        .filter(|(setting, _)| setting.starts_with("site:"));
    let best = best.max_by(|a, b| {
        number(a.1, "mean")
            .unwrap_or(0.0)
            .total_cmp(&number(b.1, "mean").unwrap_or(0.0))
    });
    let levels = ["federated-non-private", "pooled"]
        .into_iter()
        .chain(best.map(|(setting, _)| *setting));
    for setting in levels {
        for one in of(results, setting) {
            let mean = number(one, "mean")?;
            let level = epsilons.iter().map(|epsilon| Point::new(*epsilon, mean)).collect();
            series.push(Series::new(
                setting.replace("site:", "best site: "),
                Mark::Reference,
                level,
            ));
        }
    }
    let metric = results.first().map_or(Ok(""), |one| word(one, "metric"))?;
    let seeds = results.first().map_or(Ok(0.0), |one| number(one, "seeds"))?;
    let panel = Panel {
        x: Axis::new(epsilon_name())
            .log()
            .ticks(epsilons.iter().map(|e| (*e, e.to_string())).collect()),
        y: Axis::new(metric_name(metric)),
        series,
    };
    let note = format!("mean of {seeds} seeds; bands: least to greatest; dashed: not private");
    Ok(Figure::new(format!("{model}: {} against epsilon", metric_name(metric)), panel).note(note))
}

fn of<'a>(results: &'a [Value], setting: &'a str) -> impl Iterator<Item = &'a Value> {
    results.iter().filter(move |one| one["setting"] == *setting)
}

/// One picture a skew: the metric against rounds, a line an algorithm.
fn convergence(model: &str, found: &Value) -> Result<Vec<(String, Figure)>> {
    let results = list(found, "results")?;
    let metric = metric_name(word(found, "metric")?);
    let mut alphas: Vec<f64> = results.iter().map(|one| number(one, "alpha")).collect::<Result<_>>()?;
    alphas.sort_by(f64::total_cmp);
    alphas.dedup();
    let mut figures = Vec::new();
    for alpha in alphas {
        let mut series = Vec::new();
        for one in results
            .iter()
            .filter(|one| number(one, "alpha").is_ok_and(|own| own == alpha))
        {
            let pairs = list(one, "rounds")?.iter().zip(list(one, "mean")?);
            let point = |(round, mean): (&Value, &Value)| Some(Point::new(round.as_f64()?, mean.as_f64()?));
            let points = pairs
                .map(point)
                .collect::<Option<Vec<_>>>()
                .ok_or("convergence: expected numbers")?;
            series.push(Series::new(word(one, "algorithm")?, Mark::Line, points));
        }
        let panel = Panel {
            x: Axis::new("rounds"),
            y: Axis::new(metric),
            series,
        };
        let title = format!("{model}: {metric} where sites see different classes, Dirichlet {alpha}");
        let figure = Figure::new(title, panel).note("without noise, on the units held out for testing");
        figures.push((format!("convergence-{model}-{alpha}"), figure));
    }
    Ok(figures)
}

fn dropout(model: &str, found: &Value) -> Result<Figure> {
    let results = list(found, "results")?;
    let metric = metric_name(word(found, "metric")?);
    let panel = |y: Axis, name: &str, point: &dyn Fn(f64, &Value) -> Result<Point>| {
        let points = results
            .iter()
            .map(|one| point(number(one, "dropout")?, one))
            .collect::<Result<Vec<_>>>()?;
        Result::Ok(Panel {
            x: Axis::new("probability that a site misses a round"),
            y,
            series: vec![Series::new(name, Mark::Line, sorted(points))],
        })
    };
    let time = |rate: f64, one: &Value| Ok(Point::new(rate, 1000.0 * number(one, "seconds")?));
    let spent: Vec<f64> = results
        .iter()
        .map(|one| number(one, "epsilon"))
        .collect::<Result<_>>()?;
    let (least, most) = spent
        .iter()
        .fold((f64::INFINITY, 0.0f64), |(l, m), e| (l.min(*e), m.max(*e)));
    let note = format!(
        "{} of {} sites suffice for a round; epsilon planned {}, spent {least:.2} to {most:.2}; band: least to greatest of {} seeds",
        number(found, "s_min")?,
        number(found, "participants")?,
        number(found, "epsilon_planned")?,
        number(found, "seeds")?
    );
    Ok(Figure {
        title: format!("{model}: {metric} and computing time where sites drop out (no network)"),
        note,
        panels: vec![
            panel(Axis::new(metric), metric, &spread)?,
            panel(
                Axis::new("computing of a run (ms, one process, no network)").at_least(0.0, 0.0),
                "computing of a run",
                &time,
            )?,
        ],
    })
}

/// All audits of one model in one picture: what was claimed, and what attacks prove.
fn audits(folder: &Path, name: &str) -> Result<Option<(String, Figure)>> {
    let Some((model, _)) = name.strip_prefix(AUDIT).and_then(|rest| rest.rsplit_once('-')) else {
        return Ok(None);
    };
    let mut found = Vec::new();
    for name in names(folder)? {
        let own = name
            .strip_prefix(AUDIT)
            .and_then(|rest| rest.strip_prefix(model)?.strip_prefix('-')?.parse::<f64>().ok());
        if let Some(asked) = own {
            found.push((asked, read(folder, &name)?));
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut claims, mut bounds, mut ticks) = (Vec::new(), Vec::new(), Vec::new());
    for (place, (asked, one)) in found.iter().enumerate() {
        let place = place as f64;
        ticks.push((
            place,
            if asked.is_finite() {
                asked.to_string()
            } else {
                "no noise".into()
            },
        ));
        claims.push(Point::new(place, number(one, "epsilon_claimed")?));
        bounds.push(Point::new(place, number(one, "epsilon_lower_bound")?));
    }
    let ends = (-0.5, found.len() as f64 - 0.5);
    let panel = Panel {
        x: Axis::new("epsilon asked for").at_least(ends.0, ends.1).ticks(ticks),
        y: Axis::new(epsilon_name()).at_least(0.0, 1.0),
        series: vec![
            Series::new("claimed", Mark::Dots, claims),
            Series::new("lower bound by attack", Mark::Dots, bounds),
        ],
    };
    let note = "a bound above a claim would refute it (95 % confidence); without noise nothing is claimed";
    let figure = Figure::new(format!("{model}: privacy claim and what an audit proves"), panel).note(note);
    Ok(Some((format!("{AUDIT}{model}"), figure)))
}

fn epsilon_name() -> String {
    format!("epsilon at delta {DELTA:e}")
}

fn metric_name(metric: &str) -> &str {
    if metric == "auc" { "AUC" } else { metric }
}

/// Mean, least and greatest of the seeds.
fn spread(x: f64, one: &Value) -> Result<Point> {
    Ok(Point::between(
        x,
        number(one, "mean")?,
        number(one, "min")?,
        number(one, "max")?,
    ))
}

fn sorted(mut points: Vec<Point>) -> Vec<Point> {
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    points
}

fn list<'a>(of: &'a Value, name: &str) -> Result<&'a Vec<Value>> {
    Ok(of[name]
        .as_array()
        .ok_or_else(|| format!("results: expected a list `{name}`"))?)
}

fn word<'a>(of: &'a Value, name: &str) -> Result<&'a str> {
    Ok(of[name]
        .as_str()
        .ok_or_else(|| format!("results: expected text `{name}`"))?)
}

/// A number, or the word that results have for infinity.
fn number(of: &Value, name: &str) -> Result<f64> {
    match (&of[name], of[name].as_f64()) {
        (_, Some(number)) => Ok(number),
        (Value::String(word), None) if word == "inf" => Ok(f64::INFINITY),
        (other, None) => Err(format!("results: expected a number `{name}`, got {other}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accuracy_results() -> Value {
        let one = |setting: &str, epsilon: Value, mean: f64| {
            json!({ "setting": setting, "epsilon": epsilon, "metric": "auc", "mean": mean, "min": mean - 0.1,
                    "max": mean + 0.1, "seeds": 5 })
        };
        json!({ "results": [
            one("pooled", json!("inf"), 0.9),
            one("federated-dp", json!(8.0), 0.8),
            one("federated-dp", json!(1.0), 0.7),
            one("site:Basel", json!("inf"), 0.6),
            one("site:Köln", json!("inf"), 0.65),
        ] })
    }

    #[test]
    fn private_settings_are_lines_over_epsilon_and_the_best_site_is_a_level() {
        let figure = accuracy("heart", &accuracy_results()).unwrap();
        let series = &figure.panels[0].series;
        let names: Vec<&str> = series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["federated-dp", "central-dp", "pooled", "best site: Köln"]);
        let expected = [
            Point::between(1.0, 0.7, 0.6, 0.7 + 0.1),
            Point::between(8.0, 0.8, 0.8 - 0.1, 0.8 + 0.1),
        ];
        assert_eq!(series[0].points[..], expected);
        assert!(series[3].points.iter().all(|point| point.y == 0.65));
    }

    #[test]
    fn results_without_a_figure_are_refused_by_its_name() {
        let mut results = accuracy_results();
        results["results"][1]["mean"] = json!("lost");
        let error = accuracy("heart", &results).unwrap_err().to_string();
        assert!(error.contains("`mean`") && error.contains("lost"), "{error}");
    }

    #[test]
    fn every_result_that_is_kept_has_its_pictures() {
        let folder = tempfile::tempdir().unwrap();
        let audit = |claimed: Value| json!({ "figures": { "epsilon_claimed": claimed, "epsilon_lower_bound": 0.5 } });
        for (name, kept) in [
            ("accuracy-heart", json!({ "figures": accuracy_results() })),
            ("privacy-audit-heart-1", audit(json!(0.99))),
            ("privacy-audit-heart-inf", audit(json!("inf"))),
        ] {
            std::fs::write(folder.path().join(format!("{name}.json")), kept.to_string()).unwrap();
        }
        let drawn = redraw(folder.path()).unwrap();
        let expected = [
            "accuracy-heart.png",
            "accuracy-heart.svg",
            "privacy-audit-heart.png",
            "privacy-audit-heart.svg",
        ];
        assert_eq!(drawn, json!({ "pictures": expected }));
        let svg = std::fs::read_to_string(folder.path().join("privacy-audit-heart.svg")).unwrap();
        assert!(svg.contains("no noise") && svg.contains("lower bound"));
    }
}
