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
pub mod settings;
mod trained;

use std::path::Path;
use std::time::Duration;

use engine::CohortTerms;
use workload::training::{
    EVALUATE_KIND, EvaluatePlan, EvaluateTask, Holdout, KIND, Part, State, TrainPlan, TrainTask, TrainedModel,
};

pub use run_file::{Falls, Method, Model, RunFile};
pub(crate) use trained::on_top_of;
pub use trained::{Evaluated, Trained};

use crate::client::{Question, Submitted};
use crate::datasets::Dataset;
use crate::{Client, Exit, Problem};

/// A run may wait for participants and survive restarts for this long.
const VALID: Duration = Duration::from_secs(6 * 24 * 3600);
/// Score bins of an evaluation: enough for an AUC, few enough for little noise.
const BINS: u32 = 20;
/// A request is at most 4 MiB; all of it but a model's parameters is small.
const LARGEST: usize = 4_000_000;

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

/// The plan of the evaluation that would follow a run: what can be wrong with one is known before the run costs anything. Its model is the
/// run's before the first round, which has all but the right numbers.
pub fn evaluation_plan(
    dataset: &Dataset,
    plan: &TrainPlan,
    terms: &CohortTerms,
    epsilon: f64,
    group: Option<&str>,
) -> Result<EvaluatePlan, Problem> {
    let contract = &dataset.contract;
    let model = TrainedModel::new(plan, &State::initial(plan).parameters);
    fits(&model).map_err(|problem| problem.remedy("evaluate_epsilon = 0, or a smaller model"))?;
    let task = evaluation_task(model, plan.task.holdout, group);
    EvaluatePlan::new(task, contract, terms, epsilon, contract.delta.get()).map_err(refused)
}

/// Over the units that no step saw; over all units if the run held none back.
fn evaluation_task(model: TrainedModel, holdout: Option<Holdout>, group: Option<&str>) -> EvaluateTask {
    EvaluateTask {
        model,
        part: if holdout.is_some() { Part::Held } else { Part::All },
        holdout,
        group: group.map(str::to_owned),
        bins: BINS,
    }
}

/// Whether a request has room for a model's parameters.
pub fn fits(model: &TrainedModel) -> Result<(), Problem> {
    let size = model.parameters.len();
    if size <= LARGEST {
        return Ok(());
    }
    let message = format!("the model's parameters take {size} bytes of a request that may have {LARGEST}");
    Err(Problem::usage(message).remedy("a smaller model"))
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
    let submitted = ask_evaluation(client, dataset, trained, epsilon, purpose, group).await?;
    let released = match submitted.repeated {
        Some(released) => released,
        None => client.released(&submitted.job).await?,
    };
    Evaluated::of(*released)
}

/// Submits the same and does not wait.
pub async fn ask_evaluation(
    client: &mut Client,
    dataset: &Dataset,
    trained: &Trained,
    epsilon: f64,
    purpose: &str,
    group: Option<&str>,
) -> Result<Submitted, Problem> {
    let model = trained.run.model.clone();
    fits(&model)?;
    let task = evaluation_task(model, trained.task.holdout, group);
    let request = client.sign(evaluation(dataset, &task, epsilon, purpose))?;
    client.submit(request).await
}

/// Writes a model for other programs to read.
pub fn save(trained: &Trained, file: &Path, format: export::Format) -> Result<(), Problem> {
    std::fs::write(file, export::export(trained, format)?).map_err(|error| Problem::local(file.display(), error))
}

/// A workload's refusal, before anything was spent.
pub fn refused(refusal: engine::Refusal) -> Problem {
    Problem::new(Exit::Refused, refusal.code, refusal.message).remedy(refusal.remedy.unwrap_or_default())
}
