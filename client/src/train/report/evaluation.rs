//! What the evaluation measured, every figure with the interval of its noise; a figure over data costs budget like any
//! question, so there may be none.

use governance::canonical::Real;
use workload::training::{Estimate, Evaluation, GroupFigures, Head, Part};

use super::document::{Block, Picture};
use super::run::signature;
use super::{Report, charts};
use crate::Problem;
use crate::output::{estimate, plain};
use crate::train::Evaluated;

pub(super) fn section(report: &Report) -> Result<Vec<Block>, Problem> {
    let mut blocks = vec![Block::heading("Evaluation")];
    let Some(evaluated) = &report.evaluated else {
        let words = "No evaluation was paid for: a figure over data costs budget like any question.";
        blocks.push(Block::Text(words.to_owned()));
        return Ok(blocks);
    };
    let evaluation = &evaluated.evaluation;
    blocks.push(Block::facts([
        ("release", evaluated.released.id()),
        ("released", evaluated.released.released()),
        ("signature of the coordinator", signature(evaluated.released.verified())),
        ("over", over(evaluation.part).to_owned()),
        ("epsilon, of its own", plain(evaluation.epsilon.get())),
        ("delta", format!("{:e}", evaluation.delta.get())),
        ("privacy unit", evaluation.unit.clone()),
        (
            "participants, noise shares counted on",
            format!("{}, {}", evaluation.contributors, evaluation.shares),
        ),
    ]));
    blocks.push(Block::Text(
        "Intervals are 95 % and cover the noise only, not the chance of the sample.".to_owned(),
    ));
    blocks.push(figures(&evaluation.overall));
    let yes = match report.trained.run.model.shape.head {
        Head::Softmax => "share of right answers",
        Head::Logistic | Head::Squared => "share of class 1",
    };
    if let Some(error) = evaluation.calibration_error {
        blocks.push(Block::heading("Calibration"));
        let mean = format!(
            "Mean distance of prediction and observation, weighed by rows: {} (made from the noisy bins below; noise only adds to it, so it has no interval of its own).",
            plain(error.get())
        );
        blocks.push(Block::Text(mean));
    }
    let observed = format!("observed {yes}");
    for (name, figure) in [
        ("roc", charts::roc_chart(evaluation)),
        ("calibration", charts::calibration_chart(evaluation, &observed)),
        ("scores", charts::scores_chart(evaluation)),
    ] {
        if let Some(figure) = figure {
            blocks.push(Block::Picture(Picture::new(name, &figure)?));
        }
    }
    blocks.extend(calibration(evaluation, &observed));
    blocks.extend(confusion(evaluation, &report.trained.run.model.target.labels()));
    blocks.extend(groups(evaluated));
    Ok(blocks)
}

fn over(part: Part) -> &'static str {
    match part {
        Part::All => "all units",
        Part::Train => "units that were trained on",
        Part::Held => "units that no step saw",
    }
}

/// A share and its interval; one that may be anything is no figure.
fn share(found: Option<Estimate>) -> [String; 2] {
    shown(found.filter(|share| !share.is_lost_share()))
}

/// A value and its interval, or what stands for one that noise left nothing of.
fn shown(found: Option<Estimate>) -> [String; 2] {
    match found {
        Some(e) => {
            let (value, interval) = estimate(Some(e.value.get()), Some(e.low.get()), Some(e.high.get()));
            [value, interval]
        }
        None => ["lost in noise".to_owned(), String::new()],
    }
}

/// Which of the listed figures are shares.
fn is_share(name: &str) -> bool {
    !matches!(name, "rows" | "log loss" | "mean error")
}

fn listed(group: &GroupFigures) -> [(&'static str, Option<Estimate>); 7] {
    [
        ("rows", group.rows),
        ("AUC", group.auc),
        ("accuracy", group.accuracy),
        ("log loss", group.log_loss),
        ("true positive rate", group.true_positive_rate),
        ("false positive rate", group.false_positive_rate),
        ("mean error", group.mean_error),
    ]
}

fn figures(overall: &GroupFigures) -> Block {
    let row = |(name, found): (&str, Option<Estimate>)| {
        let found = Some(found?);
        let [value, interval] = if is_share(name) { share(found) } else { shown(found) };
        Some(vec![name.to_owned(), value, interval])
    };
    let mut rows: Vec<Vec<String>> = listed(overall).into_iter().filter_map(row).collect();
    if let Some(rmse) = overall.rmse {
        rows.push(vec![
            "root mean squared error".to_owned(),
            plain(rmse.get()),
            String::new(),
        ]);
    }
    Block::table(["figure", "value", "95 % interval"], rows)
}

fn calibration(evaluation: &Evaluation, observed: &str) -> Option<Block> {
    let rows = evaluation.calibration.iter().map(|bin| {
        let ([observed, between], [rows, around]) = (share(bin.observed), shown(bin.rows));
        vec![plain(bin.predicted.get()), observed, between, rows, around]
    });
    let head = ["predicted", observed, "95 % interval", "rows", "95 % interval"];
    (!evaluation.calibration.is_empty()).then(|| Block::table(head, rows.collect()))
}

/// Noisy counts, a row for what was so and a column for what was said.
fn confusion(evaluation: &Evaluation, labels: &[String]) -> Vec<Block> {
    if evaluation.confusion.is_empty() {
        return Vec::new();
    }
    let mut head = vec!["rows of a class, found as".to_owned()];
    head.extend(labels.iter().cloned());
    let row = |(label, cells): (&String, &Vec<Real>)| {
        let mut row = vec![label.clone()];
        row.extend(cells.iter().map(|count| plain(count.get().round())));
        row
    };
    let rows = labels.iter().zip(&evaluation.confusion).map(row).collect();
    let noisy = "Noisy counts, rounded; the interval of the rows above says how far noise moves a count.";
    vec![
        Block::heading("Confusion"),
        Block::Text(noisy.to_owned()),
        Block::Table { head, rows },
    ]
}

fn groups(evaluated: &Evaluated) -> Vec<Block> {
    let evaluation = &evaluated.evaluation;
    if evaluation.groups.is_empty() {
        return Vec::new();
    }
    // Columns that any group has a figure for.
    let each: Vec<_> = evaluation.groups.iter().map(|group| (group, listed(group))).collect();
    let kept: Vec<usize> = (0..7)
        .filter(|i| each.iter().any(|(_, figures)| figures[*i].1.is_some()))
        .collect();
    let mut head = vec!["group".to_owned()];
    head.extend(
        each.first()
            .into_iter()
            .flat_map(|(_, figures)| kept.iter().map(|i| figures[*i].0.to_owned())),
    );
    let row = |(group, figures): &(&GroupFigures, [(&str, Option<Estimate>); 7])| {
        let mut row = vec![group.name.clone()];
        row.extend(kept.iter().map(|i| {
            let (name, found) = figures[*i];
            let words = if is_share(name) { share(found) } else { shown(found) };
            words.join(" ").trim_end().to_owned()
        }));
        row
    };
    let rows = each.iter().map(row).collect();
    let gap = |(name, gap): (&str, Option<f64>)| {
        let words = gap.map_or("lost in noise".to_owned(), plain);
        (format!("gap in {name}, greatest less least"), words)
    };
    vec![
        Block::heading("Groups"),
        Block::Table { head, rows },
        Block::Facts(evaluated.gaps().into_iter().map(gap).collect()),
    ]
}
