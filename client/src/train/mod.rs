//! Training runs from the analyst's side: a run file becomes a signed request, its release a model with its statement.
//!
//! - [`RunFile`]: the settings, from TOML and flags. [`Trained`]: a finished run. [`export`]: its model as a file for others.

pub mod compare;
pub mod export;
#[cfg(feature = "agents")]
pub mod predict;
pub mod registry;
pub mod report;
mod run_file;
mod trained;

use std::path::Path;
use std::time::Duration;

use engine::CohortTerms;
use workload::training::{EVALUATE_KIND, EvaluateTask, KIND, Part, TrainPlan, TrainTask};

pub use run_file::{Falls, Method, Model, RunFile};
pub use trained::{Evaluated, Trained};

use crate::client::Question;
use crate::datasets::Dataset;
use crate::{Client, Exit, Problem};

/// A run may wait for participants and survive restarts for this long.
const VALID: Duration = Duration::from_secs(6 * 24 * 3600);
/// Score bins of an evaluation: enough for an AUC, few enough for little noise.
const BINS: u32 = 20;

/// The plan that every party would derive; spends nothing.
pub fn plan(dataset: &Dataset, task: TrainTask, terms: &CohortTerms, epsilon: f64) -> Result<TrainPlan, Problem> {
    let contract = &dataset.contract;
    TrainPlan::new(task, contract, terms, epsilon, contract.delta.get()).map_err(refused)
}

/// What is signed to start a run.
pub fn question(dataset: &Dataset, task: &TrainTask, epsilon: f64, purpose: &str, attempts: u32) -> Question {
    asked(dataset, KIND, task.to_task(), epsilon, purpose, attempts)
}

/// What is signed to evaluate a model.
pub fn evaluation(dataset: &Dataset, task: &EvaluateTask, epsilon: f64, purpose: &str) -> Question {
    asked(
        dataset,
        EVALUATE_KIND,
        task.to_task(),
        epsilon,
        purpose,
        crate::ask::ATTEMPTS,
    )
}

fn asked(dataset: &Dataset, kind: &str, task: String, epsilon: f64, purpose: &str, max_attempts: u32) -> Question {
    Question {
        dataset: dataset.name.clone(),
        contract: dataset.contract.hash(),
        purpose: purpose.to_owned(),
        kind: kind.to_owned(),
        task,
        epsilon,
        delta: dataset.contract.delta.get(),
        max_attempts,
        valid_for: VALID,
    }
}

/// Trains and waits for the model; `sotto train` does the same with a person looking on.
pub async fn run(
    client: &mut Client,
    dataset: &Dataset,
    task: &TrainTask,
    epsilon: f64,
    purpose: &str,
    attempts: u32,
) -> Result<Trained, Problem> {
    let request = client.sign(question(dataset, task, epsilon, purpose, attempts))?;
    let job = client.submit(request).await?.job;
    Trained::of(*client.released(&job).await?)
}

/// One round over the units that no step saw; over all units if the run held none back.
pub async fn evaluate(
    client: &mut Client,
    dataset: &Dataset,
    trained: &Trained,
    epsilon: f64,
    purpose: &str,
    group: Option<&str>,
) -> Result<Evaluated, Problem> {
    let holdout = trained.task.holdout;
    let task = EvaluateTask {
        model: trained.run.model.clone(),
        part: if holdout.is_some() { Part::Held } else { Part::All },
        holdout,
        group: group.map(str::to_owned),
        bins: BINS,
    };
    let request = client.sign(evaluation(dataset, &task, epsilon, purpose))?;
    let submitted = client.submit(request).await?;
    let released = match submitted.repeated {
        Some(released) => released,
        None => client.released(&submitted.job).await?,
    };
    Evaluated::of(*released)
}

/// Writes a model for other programs to read.
pub fn save(trained: &Trained, file: &Path, format: export::Format) -> Result<(), Problem> {
    std::fs::write(file, export::export(trained, format)?).map_err(|error| Problem::local(file.display(), error))
}

/// A workload's refusal, before anything was spent.
pub fn refused(refusal: engine::Refusal) -> Problem {
    Problem::new(Exit::Refused, refusal.code, refusal.message).remedy(refusal.remedy.unwrap_or_default())
}
