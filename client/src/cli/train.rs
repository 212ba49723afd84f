//! `sotto train`: a run file or flags become a signed run; participants train round by round, and the model comes back with
//! its privacy statement. Ctrl-C detaches, it does not stop the run.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use engine::CohortTerms;
use workload::training::{Start, TrainPlan, TrainTask};

use super::job::remember;
use super::pace::watch;
use super::planned::print_run;
use super::question::{purpose, terms};
use super::remote::Remote;
use super::wait::{Noun, wait};
use crate::datasets::Dataset;
use crate::output::plain;
use crate::profile::Profile;
use crate::train::export::Format;
use crate::train::{self, Evaluated, RunFile, Trained, registry};
use crate::{Client, Exit, Problem};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto explain run.toml                                   plan, cost, rounds, bytes; spends nothing
  sotto train run.toml
  sotto train run.toml --epsilon 1 --rounds 30             flags win over the file
  sotto train run.toml --rounds 30 --dry-run               plan, cost and traffic of exactly this
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
    /// Say what the run would do and cost, and submit nothing
    #[arg(long, conflicts_with = "detach")]
    dry_run: bool,
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
    /// Of the evaluation that follows, if one does: its plan is a good one.
    pub evaluate_epsilon: Option<f64>,
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
    let evaluate_epsilon = run.evaluate_epsilon(task.holdout.is_some())?;
    if let Some(epsilon) = evaluate_epsilon {
        check_evaluation(&dataset, &plan, &terms, epsilon, &run)?;
    }
    Ok(Ready {
        client,
        profile,
        run,
        dataset,
        task,
        epsilon,
        plan,
        evaluate_epsilon,
    })
}

/// What is wrong with the evaluation is said before the run costs anything.
fn check_evaluation(
    dataset: &Dataset,
    plan: &TrainPlan,
    terms: &CohortTerms,
    epsilon: f64,
    run: &RunFile,
) -> Result<(), Problem> {
    let planned = train::evaluation_plan(dataset, plan, terms, epsilon, run.evaluate_group.as_deref());
    planned.map(drop).map_err(|mut problem| {
        problem.message = format!("the evaluation after the run: {}", problem.message);
        problem
    })
}

/// Puts a parent's parameters into the task. Its holdout stays held back: what one run learnt from is no test of the next.
async fn continue_from(client: &mut Client, parent: &str, chosen: bool, task: &mut TrainTask) -> Result<(), Problem> {
    let (_, parent) = registry::trained(client, parent).await?;
    train::fits(&parent.run.model).map_err(|problem| problem.remedy("start afresh, or continue a smaller model"))?;
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
        if self.dry_run {
            print_run(&ready, json);
            return Ok(());
        }
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
            if let Some(asking) = ready.asking_for_evaluation(&job, &purpose) {
                eprintln!("note: nothing is evaluated after a detached run: `{asking}` does, once there is a model");
            }
            return Ok(());
        }
        let patience = self.timeout.map(Duration::from_secs);
        let deadline = patience.map(|patience| Instant::now() + patience);
        let trained = watch(&mut ready.client, &job, Some(&ready.plan), patience).await;
        let trained = trained.map_err(|problem| unfollowed(problem, ready.asking_for_evaluation(&job, &purpose)))?;
        // The model first: whatever becomes of the rest, it is there and it was paid for.
        let file = self.output.as_deref().zip(format);
        let saved = file.map_or(Ok(()), |(file, format)| train::save(&trained, file, format));
        if !json {
            print_model(&trained);
        }
        let evaluated = match (saved, ready.evaluate_epsilon) {
            (Err(problem), _) => Err(unsaved(problem, &trained)),
            (Ok(()), None) => Ok(None),
            (Ok(()), Some(epsilon)) => {
                let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
                let group = ready.run.evaluate_group.as_deref();
                let wanted = (epsilon, &*purpose, group);
                let evaluated = evaluate(&mut ready.client, &ready.dataset, &trained, wanted, left).await;
                let asking = ready.asking_for_evaluation(&job, &purpose).unwrap_or_default();
                evaluated
                    .map(Some)
                    .map_err(|problem| unevaluated(problem, &trained, epsilon, &asking))
            }
        };
        print_rest(&trained, evaluated, json)
    }
}

impl Ready {
    /// What asks for the evaluation later that would follow at once; none if none would.
    fn asking_for_evaluation(&self, run: &str, purpose: &str) -> Option<String> {
        let epsilon = self.evaluate_epsilon?;
        let group = self.run.evaluate_group.as_deref();
        let group = group.map(|group| format!(" --group {group}")).unwrap_or_default();
        let epsilon = plain(epsilon);
        Some(format!(
            "sotto model evaluate {run} --epsilon {epsilon} --purpose {purpose}{group}"
        ))
    }
}

/// Asks for the evaluation of a run's model (at which epsilon, for which purpose, over which groups) and waits as for the run.
pub async fn evaluate(
    client: &mut Client,
    dataset: &Dataset,
    trained: &Trained,
    (epsilon, purpose, group): (f64, &str, Option<&str>),
    patience: Option<Duration>,
) -> Result<Evaluated, Problem> {
    let submitted = train::ask_evaluation(client, dataset, trained, epsilon, purpose, group).await?;
    let run = trained.released.id();
    let released = match submitted.repeated {
        Some(released) => released,
        None => wait(client, Noun::EvaluationOf(&run), &submitted.job, patience).await?,
    };
    Evaluated::of(*released)
}

/// Whoever stops waiting for a run hears that nobody will ask for its evaluation.
fn unfollowed(problem: Problem, asking: Option<String>) -> Problem {
    let goes_on = matches!(problem.exit, Exit::Interrupted | Exit::TimedOut | Exit::Unreachable);
    let Some(asking) = asking.filter(|_| goes_on) else {
        return problem;
    };
    let remedy = problem.remedy.clone().unwrap_or_default();
    problem.remedy(format!(
        "{remedy}; no evaluation will follow: `{asking}` asks for it, once there is a model"
    ))
}

fn unsaved(problem: Problem, trained: &Trained) -> Problem {
    let (run, cost) = (trained.released.id(), trained.released.cost());
    let message = format!(
        "run {run} is finished ({cost}), and its model is not in the file: {}",
        problem.message
    );
    Problem::new(Exit::Local, problem.code, message).remedy(format!(
        "sotto model export {run} -o FILE writes it at no cost; nothing was evaluated"
    ))
}

/// The run was paid for and stands, whatever its evaluation ran into: this is no refusal before anything was spent.
fn unevaluated(problem: Problem, trained: &Trained, epsilon: f64, asking: &str) -> Problem {
    let (run, cost) = (trained.released.id(), trained.released.cost());
    let each = match problem.charged {
        0 => String::new(),
        _ => format!(" (epsilon {} each)", plain(epsilon)),
    };
    let message = format!(
        "run {run} is finished and spent {cost}; its evaluation is not: {}{each}",
        problem.message
    );
    let told = problem.remedy.unwrap_or_default();
    let (exit, remedy) = match problem.exit {
        Exit::Interrupted | Exit::TimedOut => (problem.exit, told),
        // It goes on without us: who asks again while it is open may pay twice.
        Exit::Unreachable => (
            problem.exit,
            format!("{told}; the evaluation goes on: `sotto run watch {run}` shows its figures once they are there"),
        ),
        _ if told.is_empty() => (Exit::Failed, format!("`{asking}` asks again")),
        _ => (Exit::Failed, format!("{told}; `{asking}` asks again")),
    };
    Problem::new(exit, problem.code, message).remedy(remedy)
}

fn print_model(trained: &Trained) {
    println!("{}\n{}", trained.title(), trained.statement());
}

/// What comes after the model; for a script all of it as one object, why there are no figures included.
fn print_rest(trained: &Trained, evaluated: Result<Option<Evaluated>, Problem>, json: bool) -> Result<(), Problem> {
    let (evaluated, problem) = match evaluated {
        Ok(evaluated) => (evaluated, None),
        Err(problem) => (None, Some(problem)),
    };
    if json {
        let mut object = trained.to_json(evaluated.as_ref());
        if let Some(problem) = &problem {
            object["error"] = problem.to_json()["error"].take();
        }
        println!("{object:#}");
    } else if let Some(evaluated) = evaluated {
        println!("\n{}", evaluated.words());
    }
    problem.map_or(Ok(()), |problem| Err(problem.told(json)))
}

/// A finished run and the figures that were paid for.
pub fn print(trained: &Trained, evaluated: Option<Evaluated>, json: bool) -> Result<(), Problem> {
    if !json {
        print_model(trained);
    }
    print_rest(trained, Ok(evaluated), json)
}

/// What lists call a run.
fn title(task: &TrainTask) -> String {
    format!("train {} from {}", task.target, task.features.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::report::tests::ran;

    #[test]
    fn a_refused_evaluation_is_no_refusal_of_the_run() {
        let trained = ran();
        let refused = Problem::new(Exit::Refused, "SOTTO-4001", "the budget is spent; nothing was charged")
            .remedy("ask the owner");
        let told = unevaluated(refused, &trained, 0.3, "sotto model evaluate 3f9c --epsilon 0.3");
        let (run, cost) = (trained.released.id(), trained.released.cost());
        assert_eq!(told.exit, Exit::Failed);
        assert!(
            told.message
                .starts_with(&format!("run {run} is finished and spent {cost};")),
            "{told}"
        );
        assert_eq!(
            told.remedy.unwrap(),
            "ask the owner; `sotto model evaluate 3f9c --epsilon 0.3` asks again"
        );
        let failed = Problem::new(Exit::Failed, "SOTTO-4008", "2 attempts were charged").charged(2);
        let told = unevaluated(failed, &trained, 0.3, "sotto model evaluate 3f9c");
        assert!(
            told.message.ends_with("2 attempts were charged (epsilon 0.3 each)"),
            "{told}"
        );
        let left = Problem::new(Exit::Interrupted, "SOTTO-7005", "stopped waiting").remedy("sotto run watch 3f9c");
        let told = unevaluated(left, &trained, 0.3, "sotto model evaluate 3f9c");
        assert_eq!(
            (told.exit, told.remedy.as_deref()),
            (Exit::Interrupted, Some("sotto run watch 3f9c"))
        );
    }

    #[test]
    fn who_detaches_hears_that_no_evaluation_follows_and_who_failed_does_not() {
        let asking = || Some("sotto model evaluate 3f9c --epsilon 0.3".to_owned());
        let detached = |exit| Problem::new(exit, "SOTTO-7303", "stopped waiting").remedy("sotto run watch 3f9c");
        let told = unfollowed(detached(Exit::TimedOut), asking()).remedy.unwrap();
        assert!(
            told.starts_with("sotto run watch 3f9c; no evaluation will follow"),
            "{told}"
        );
        assert_eq!(unfollowed(detached(Exit::Failed), asking()), detached(Exit::Failed));
        assert_eq!(
            unfollowed(detached(Exit::Interrupted), None),
            detached(Exit::Interrupted)
        );
    }
}
