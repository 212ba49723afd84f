//! The pictures of a report: loss and epsilon over rounds, cases found against false alarms, calibration, how scores are spread. Intervals
//! are those of the noise, as released.

use workload::training::{Estimate, Evaluation, LossPoint, TrainPlan};

use crate::plot::{Axis, Figure, Mark, Panel, Point, Series};
use crate::train::Trained;

/// Points of a curve that follows from a formula: enough for a smooth line.
const SMOOTH: u32 = 100;
/// Half of a 95 % interval of a normal law, in standard deviations.
const TWO_SIDED: f64 = 1.96;
const WHISKERS: &str = "whiskers: 95 % interval of the noise";

/// Training loss over rounds; `None` where all of it was lost in the noise.
pub(super) fn loss_chart(trained: &Trained) -> Option<Figure> {
    let point = |point: &LossPoint| {
        let (loss, half) = (point.loss?.get(), TWO_SIDED * point.deviation?.get());
        let round = f64::from(point.from_round + point.to_round) / 2.0 + 1.0;
        Some(Point::between(round, loss, loss - half, loss + half))
    };
    let points: Vec<Point> = trained.run.losses.iter().filter_map(point).collect();
    let known = !points.is_empty();
    let panel = Panel {
        x: Axis::new("round"),
        y: Axis::new("mean training loss (nats or squared error)"),
        series: vec![Series::new("loss", Mark::Line, points)],
    };
    known.then(|| {
        Figure::new(format!("Training loss of model {}", trained.short_hash()), panel)
            .note("band: 95 % interval of the noise; losses above their public bound count as the bound")
    })
}

/// What the model cost after each round; without the plan, only what it cost in the end is known.
pub(super) fn epsilon_chart(trained: &Trained, plan: Option<&TrainPlan>) -> Option<Figure> {
    let privacy = &trained.run.privacy;
    let (spent, planned) = (privacy.epsilon?.get(), privacy.epsilon_planned?.get());
    let charged = trained.run.rounds_charged;
    let end = Point::new(f64::from(charged), spent);
    let curve = match plan {
        Some(plan) => {
            let mut rounds: Vec<u32> = (0..=SMOOTH)
                .map(|i| (u64::from(charged) * u64::from(i) / u64::from(SMOOTH)) as u32)
                .collect();
            rounds.dedup();
            let at = |round: u32| Point::new(f64::from(round), plan.epsilon_after(round));
            Series::new("spent", Mark::Line, rounds.into_iter().map(at).collect())
        }
        None => Series::new("spent in the end", Mark::Dots, vec![end]),
    };
    let last = f64::from(charged.max(trained.task.rounds));
    let level = vec![Point::new(0.0, planned), Point::new(last, planned)];
    let panel = Panel {
        x: Axis::new("rounds charged").at_least(0.0, last),
        y: Axis::new(format!("epsilon at delta {:e}", privacy.delta.get())).at_least(0.0, planned),
        series: vec![curve, Series::new("planned", Mark::Reference, level)],
    };
    let title = format!("Privacy spent by the run of model {}", trained.short_hash());
    Some(Figure::new(title, panel).note(format!("{}; unit: {}", privacy.mechanism, privacy.unit)))
}

/// Cases found against false alarms, a point for each threshold between two bins of the score; `None` unless the model has two classes and
/// the noise left rows of both. Made from the bins as they were released: no interval of its own.
pub(super) fn roc_chart(evaluation: &Evaluation) -> Option<Figure> {
    let auc = evaluation.overall.auc?.value.get();
    let bins = evaluation.calibration.iter().filter_map(|bin| {
        let (rows, share) = (bin.rows?.value.get().max(0.0), bin.observed?.value.get());
        Some((bin.predicted.get(), rows * share, rows * (1.0 - share)))
    });
    let mut bins: Vec<(f64, f64, f64)> = bins.collect();
    bins.sort_by(|a, b| b.0.total_cmp(&a.0));
    let cases: f64 = bins.iter().map(|bin| bin.1).sum();
    let others: f64 = bins.iter().map(|bin| bin.2).sum();
    if cases <= 0.0 || others <= 0.0 {
        return None;
    }
    let (mut found, mut alarms) = (0.0, 0.0);
    let mut points = vec![Point::new(0.0, 0.0)];
    for (_, of_cases, of_others) in bins {
        found += of_cases / cases;
        alarms += of_others / others;
        points.push(Point::new(alarms, found));
    }
    let share = |label: &str| Axis::new(label).at_least(0.0, 1.0);
    let chance = vec![Point::new(0.0, 0.0), Point::new(1.0, 1.0)];
    let panel = Panel {
        x: share("false positive rate"),
        y: share("true positive rate"),
        series: vec![
            Series::new("model", Mark::Line, points),
            Series::new("chance", Mark::Reference, chance),
        ],
    };
    let figure = Figure::new(title("ROC curve", evaluation), panel);
    Some(figure.note(format!(
        "AUC {auc:.3} as released; the line is made from the noisy bins of the score"
    )))
}

/// What was so against what the model said; `None` for a model of numbers.
pub(super) fn calibration_chart(evaluation: &Evaluation, observed: &str) -> Option<Figure> {
    let share = |label: &str| Axis::new(label).at_least(0.0, 1.0);
    let bins = evaluation.calibration.iter();
    let points: Vec<Point> = bins
        .filter_map(|bin| Some(estimated(bin.predicted.get(), &bin.observed?)))
        .collect();
    let diagonal = vec![Point::new(0.0, 0.0), Point::new(1.0, 1.0)];
    let panel = Panel {
        x: share("predicted probability"),
        y: share(observed),
        series: vec![
            Series::new("bins of the score", Mark::Dots, points),
            Series::new("as predicted", Mark::Reference, diagonal),
        ],
    };
    let figure =
        Figure::new(title("Calibration", evaluation), panel).note(format!("{WHISKERS}; one from 0 to 1 says nothing"));
    (!evaluation.calibration.is_empty()).then_some(figure)
}

/// Rows by score; `None` for a model of numbers.
pub(super) fn scores_chart(evaluation: &Evaluation) -> Option<Figure> {
    let bins = evaluation.calibration.iter();
    let points: Vec<Point> = bins
        .filter_map(|bin| Some(estimated(bin.predicted.get(), &bin.rows?)))
        .collect();
    let panel = Panel {
        x: Axis::new("predicted probability").at_least(0.0, 1.0),
        y: Axis::new("rows"),
        series: vec![Series::new("rows in the bin", Mark::Bars, points)],
    };
    let figure = Figure::new(title("Scores", evaluation), panel).note(WHISKERS);
    (!evaluation.calibration.is_empty()).then_some(figure)
}

fn title(what: &str, evaluation: &Evaluation) -> String {
    let hash: String = evaluation.model_hash.to_string().chars().take(12).collect();
    format!("{what} of model {hash}")
}

fn estimated(x: f64, estimate: &Estimate) -> Point {
    Point::between(x, estimate.value.get(), estimate.low.get(), estimate.high.get())
}
