//! `sotto train`: a run file or flags become a signed run; participants train round by round, and the model comes back with
//! its privacy statement. Ctrl-C detaches, it does not stop the run.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use proto::v1;
use workload::training::{Start, TrainPlan, TrainTask};

use super::job::remember;
use super::question::{purpose, terms};
use super::remote::Remote;
use super::wait::{Noun, wait_telling};
use crate::datasets::Dataset;
use crate::output::plain;
use crate::profile::Profile;
use crate::train::export::Format;
use crate::train::{self, Evaluated, RunFile, Trained, registry};
use crate::{Client, Problem};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto explain run.toml                                   plan, cost, rounds, bytes; spends nothing
  sotto train run.toml
  sotto train run.toml --epsilon 1 --rounds 30             flags win over the file
  sotto train --dataset heart --features age,sex,chol --target num --positive-above 0 --epsilon 3
  sotto train run.toml --parent heart.num                  continues from the model in production
  sotto train run.toml -o model.onnx                       the model as a file: .json, .safetensors or .onnx
  sotto train run.toml --detach                            prints the run; `sotto run watch ID`

A run is a sequence of secure rounds: every participant clips, rounds and adds noise beside its data, and the coordinator learns
the noisy sums. Ctrl-C detaches; the run goes on. `sotto run stop ID` ends it.")]
pub struct Train {
    /// Run file (TOML); every field is also a flag
    file: Option<PathBuf>,
    #[command(flatten)]
    settings: RunFile,
    /// Print the run and do not wait
    #[arg(long)]
    detach: bool,
    /// Seconds to wait; the run goes on after that
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Write the model to this file as well; its ending says how: .json, .safetensors or .onnx
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

/// A run that is ready to be signed.
pub struct Ready {
    pub client: Client,
    pub profile: Profile,
    pub run: RunFile,
    pub dataset: Dataset,
    pub task: TrainTask,
    pub epsilon: f64,
    pub plan: TrainPlan,
}

/// Settings against the contract that they will be run under; nothing is spent.
pub async fn ready(file: Option<PathBuf>, flags: RunFile, remote: &Remote) -> Result<Ready, Problem> {
    let run = match file {
        Some(file) => RunFile::read(&file)?.with(flags),
        None => flags,
    };
    let (mut task, epsilon, name) = (run.task()?, run.epsilon()?, run.dataset()?.to_owned());
    let (mut client, profile) = remote.connect().await?;
    if let Some(parent) = &run.parent {
        continue_from(&mut client, parent, run.holdout.is_some(), &mut task).await?;
    }
    let dataset = client.dataset(&name).await?;
    let terms = terms(&client.status().await?, &dataset);
    let plan = train::plan(&dataset, task.clone(), &terms, epsilon)?;
    Ok(Ready {
        client,
        profile,
        run,
        dataset,
        task,
        epsilon,
        plan,
    })
}

/// A request is at most 4 MiB; the rest of it is small.
const LARGEST_START: usize = 4_000_000;

/// Puts a parent's parameters into the task. Its holdout stays held back: what one run learnt from is no test of the next.
async fn continue_from(client: &mut Client, parent: &str, chosen: bool, task: &mut TrainTask) -> Result<(), Problem> {
    let (_, parent) = registry::trained(client, parent).await?;
    let size = parent.run.model.parameters.len();
    if size > LARGEST_START {
        let message = format!("the parent's parameters take {size} bytes of a request that may have {LARGEST_START}");
        return Err(Problem::usage(message).remedy("start afresh, or continue a smaller model"));
    }
    let fraction = |holdout: Option<workload::training::Holdout>| holdout.map(|holdout| holdout.fraction);
    if chosen && fraction(task.holdout) != fraction(parent.task.holdout) {
        return Err(Problem::usage(
            "the holdout is another than that of the parent, which learnt from some of these units",
        )
        .remedy("leave holdout out: the parent's is used"));
    }
    task.holdout = parent.task.holdout;
    task.start = Some(Start::from_model(&parent.run.model).map_err(train::refused)?);
    Ok(())
}

/// The format that a file's name asks for, if the file can be written.
fn writable(file: &Path) -> Result<Format, Problem> {
    let format = Format::of(file)?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return Err(
            Problem::usage(format!("no folder {}", folder.display())).remedy("make it before the run, or name another")
        );
    }
    Ok(format)
}

impl Train {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        // Before anything is spent: a run should not end in a file that cannot be written.
        let format = self.output.as_deref().map(writable).transpose()?;
        let mut ready = ready(self.file, self.settings, &self.remote).await?;
        let purpose = purpose(
            ready.run.purpose.clone(),
            &ready.profile,
            &ready.dataset,
            &mut ready.client,
        )
        .await?;
        let question = train::question(
            &ready.dataset,
            &ready.task,
            ready.epsilon,
            &purpose,
            ready.run.attempts(),
        );
        let request = ready.client.sign(question)?;
        let job = ready.client.submit(request).await?.job;
        remember(&ready.profile, &job, &ready.dataset.name, &title(&ready.task));
        if self.detach {
            match json {
                true => println!("{}", serde_json::json!({ "job": job })),
                false => println!("{job}"),
            }
            if ready.run.evaluate_epsilon().is_some() {
                eprintln!(
                    "note: nothing is evaluated after a detached run: `sotto model evaluate` does, once there is a model"
                );
            }
            return Ok(());
        }
        let patience = self.timeout.map(Duration::from_secs);
        let trained = watch(&mut ready.client, &job, &ready.plan, patience).await?;
        let evaluated = match ready.run.evaluate_epsilon() {
            Some(epsilon) if trained.task.holdout.is_some() => {
                let group = ready.run.evaluate_group.as_deref();
                Some(train::evaluate(&mut ready.client, &ready.dataset, &trained, epsilon, &purpose, group).await?)
            }
            _ => None,
        };
        if let Some((file, format)) = self.output.as_deref().zip(format) {
            train::save(&trained, file, format)?;
        }
        print(&trained, evaluated.as_ref(), json)
    }
}

/// Follows a run to its end.
pub async fn watch(
    client: &mut Client,
    job: &str,
    plan: &TrainPlan,
    patience: Option<Duration>,
) -> Result<Trained, Problem> {
    let mut pace = Pace::new(plan);
    let released = wait_telling(client, Noun::Run, job, patience, &mut |progress| pace.tell(progress)).await?;
    Trained::of(*released)
}

pub fn print(trained: &Trained, evaluated: Option<&Evaluated>, json: bool) -> Result<(), Problem> {
    if json {
        println!("{:#}", trained.to_json(evaluated));
        return Ok(());
    }
    println!("{}", trained.title());
    if let Some(evaluated) = evaluated {
        println!("{}", evaluated.words());
    }
    println!("{}", trained.statement());
    Ok(())
}

/// What lists call a run.
fn title(task: &TrainTask) -> String {
    format!("train {} from {}", task.target, task.features.join(", "))
}

/// Rounds a second, epsilon so far and time left, said at most five times a second.
struct Pace<'a> {
    plan: &'a TrainPlan,
    began: Option<(Instant, u32)>,
    said: Option<Instant>,
}

const BAR: usize = 24;

impl<'a> Pace<'a> {
    fn new(plan: &'a TrainPlan) -> Self {
        Self {
            plan,
            began: None,
            said: None,
        }
    }

    fn tell(&mut self, progress: &v1::Progress) -> Option<String> {
        let now = Instant::now();
        let (began, first) = *self.began.get_or_insert((now, progress.round));
        if self.said.is_some_and(|said| now - said < Duration::from_millis(200)) {
            return None;
        }
        self.said = Some(now);
        let rounds = self.plan.task.rounds.max(1);
        let done = progress.round.min(rounds);
        let filled = BAR * done as usize / rounds as usize;
        let pace = f64::from(done.saturating_sub(first)) / (now - began).as_secs_f64().max(1e-3);
        let left = match pace > 0.0 {
            true => format!("{:.0} s left", f64::from(rounds - done) / pace),
            false => progress.phase.clone(),
        };
        let cost = match self.plan.noise.variance {
            0 => "no noise".to_owned(),
            _ => format!("epsilon {} so far", plain(self.plan.epsilon_after(done))),
        };
        let loss = progress
            .figure
            .map(|loss| format!("  loss {loss:.2}"))
            .unwrap_or_default();
        Some(format!(
            "[{}{}] {done}/{rounds}{loss}  {pace:.1} rounds/s  {cost}  {} of {} participants  {left}",
            "=".repeat(filled),
            " ".repeat(BAR - filled),
            progress.contributors,
            progress.cohort,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::CohortTerms;
    use governance::Contract;
    use workload::training::ModelKind;

    #[test]
    fn the_bar_tells_the_loss_once_there_is_one() {
        let contract = Contract::parse(include_str!("../../../governance/contracts/heart.toml")).unwrap();
        let mut task = TrainTask::dp_sgd(&["age"], "num", ModelKind::Softmax, 12);
        task.expected_units = Some(900);
        let terms = CohortTerms { n: 4, c: 1, s_min: 3 };
        let plan = TrainPlan::new(task, &contract, &terms, 3.0, 1e-5).unwrap();
        let told = |figure| {
            let progress = v1::Progress {
                round: 6,
                rounds: 12,
                contributors: 4,
                cohort: 4,
                figure,
                ..Default::default()
            };
            Pace::new(&plan).tell(&progress).unwrap()
        };
        assert!(
            told(Some(0.5349)).contains("6/12  loss 0.53  "),
            "{}",
            told(Some(0.5349))
        );
        assert!(!told(None).contains("loss"));
    }
}
