//! A run's report: Markdown for people's notes, HTML for people's screens, the model beside them. The text is the release's
//! own; nothing is claimed here that is not signed there.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use workload::training::TrainRelease;

use super::export::{Format, export};
use super::{Evaluated, Trained};
use crate::output::plain;
use crate::{Client, Problem};

/// The newest evaluation of this model, if one was paid for.
pub async fn evaluation_of(client: &mut Client, trained: &Trained) -> Result<Option<Evaluated>, Problem> {
    let models = client.models().await?;
    let version = models.of(&trained.run.model_hash);
    match version.and_then(|version| version.figures.last()) {
        Some(figures) => Evaluated::of(client.release(figures).await?).map(Some),
        None => Ok(None),
    }
}

/// Writes `report.md`, `report.html` and `model.json`, and says where.
pub fn write(trained: &Trained, evaluated: Option<&Evaluated>, folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let failed = |path: &Path| {
        let name = path.display().to_string();
        move |error: std::io::Error| Problem::local(name, error)
    };
    std::fs::create_dir_all(folder).map_err(failed(folder))?;
    let text = markdown(trained, evaluated);
    let files = [
        ("report.md", text.clone().into_bytes()),
        ("report.html", html(&text).into_bytes()),
        ("model.json", export(trained, Format::Json)?),
    ];
    let mut written = Vec::new();
    for (name, content) in files {
        let path = folder.join(name);
        std::fs::write(&path, content).map_err(failed(&path))?;
        written.push(path);
    }
    Ok(written)
}

fn markdown(trained: &Trained, evaluated: Option<&Evaluated>) -> String {
    let mut text = format!("# {}\n\n", trained.title());
    let mut line = |name: &str, value: String| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "- {name}: {value}");
    };
    let (run, task) = (&trained.run, &trained.task);
    line("release", trained.released.id());
    line("released", trained.released.released());
    line("model hash", run.model_hash.to_string());
    line("contract", trained.released.request().contract.to_string());
    line("features", task.features.join(", "));
    line("target", task.target.clone());
    line("algorithm", spelled(&task.algorithm));
    line("model", spelled(&task.model));
    line("rounds", format!("{} ({} charged)", run.rounds, run.rounds_charged));
    line("learning rate", plain(task.learning_rate.get()));
    line("momentum", plain(task.momentum.get()));
    line("seed of the initial weights", task.seed.to_string());
    text += "\n## Privacy\n\n";
    text += &privacy(run);
    text += &format!("\n{}\n", trained.statement());
    text += "\n## Figures\n\n";
    text += &match evaluated {
        Some(evaluated) => format!("{}\n{}", evaluated.words(), calibration(evaluated)),
        None => "No evaluation was paid for: a figure over data costs budget like any question.\n".to_owned(),
    };
    text
}

fn spelled(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default().replace('"', "")
}

fn privacy(run: &TrainRelease) -> String {
    let privacy = &run.privacy;
    let number = |x: Option<governance::canonical::Real>| x.map_or("none claimed".to_owned(), |x| plain(x.get()));
    format!(
        "| epsilon | planned | delta | unit | mechanism | clip norm | sampling rate | noise multiplier | noise shares counted on |\n\
         |---|---|---|---|---|---|---|---|---|\n| {} | {} | {:e} | {} | {} | {} | {} | {} | {} |\n",
        number(privacy.epsilon),
        number(privacy.epsilon_planned),
        privacy.delta.get(),
        privacy.unit,
        privacy.mechanism,
        plain(privacy.clip_norm.get()),
        plain(privacy.sampling_rate.get()),
        number(privacy.noise_multiplier),
        privacy.shares,
    )
}

fn calibration(evaluated: &Evaluated) -> String {
    if evaluated.evaluation.calibration.is_empty() {
        return String::new();
    }
    let json = serde_json::to_string_pretty(&evaluated.evaluation.calibration).unwrap_or_default();
    format!("\nCalibration (noisy counts by score):\n\n```json\n{json}\n```\n")
}

/// The Markdown as it is, in a page: readable without a renderer and without a script.
fn html(markdown: &str) -> String {
    let escaped = markdown.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>Training run</title>\n\
         <style>body{{max-width:60rem;margin:2rem auto;font-family:sans-serif}}pre{{white-space:pre-wrap}}</style>\n\
         <pre>{escaped}</pre>\n"
    )
}
