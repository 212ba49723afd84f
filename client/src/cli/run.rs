//! `sotto run`: training runs of this analyst. A finished run is a release: reading it again is free, for ever.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use workload::training::{TrainPlan, TrainTask};

use super::job::{named, noted, state};
use super::pace::{self, spent};
use super::question::terms;
use super::remote::{Remote, Shown};
use super::train::print;
use crate::client::Event;
use crate::output::{Kind, Sheet};
use crate::train::Trained;
use crate::train::report::Report as RunReport;
use crate::{Client, Problem};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  sotto run                             runs of this analyst, newest first
  sotto run watch 3f9c..                wait for a run's model
  sotto run stop 3f9c..                 what was charged stays charged, what was reserved comes back
  sotto run report 3f9c.. -o report     report.md, report.html, pictures and the model")]
pub struct Run {
    #[command(subcommand)]
    act: Option<Act>,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Wait for a run's model
    Watch(Watch),
    /// End a run
    Stop(Stop),
    /// Write what was done and what it covers
    Report(Report),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto run watch 3f9c2b6e8d0a4f1199aa55bb66cc77dd --timeout 60")]
struct Watch {
    id: String,
    /// Seconds to wait; the run goes on after that
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto run stop 3f9c2b6e8d0a4f1199aa55bb66cc77dd")]
struct Stop {
    id: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto run report 3f9c2b6e8d0a4f1199aa55bb66cc77dd -o report")]
struct Report {
    id: String,
    /// Folder to write to; made if it is not there
    #[arg(short = 'o', long, value_name = "FOLDER", default_value = "report")]
    output: PathBuf,
    #[command(flatten)]
    remote: Remote,
}

impl Run {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        match self.act {
            Some(Act::Watch(watch)) => {
                let (mut client, profile) = watch.remote.connect().await?;
                let id = named(&mut client, &profile, &watch.id).await?;
                let plan = planned(&mut client, &id).await;
                let patience = watch.timeout.map(Duration::from_secs);
                let trained = pace::watch(&mut client, &id, plan.as_ref(), patience).await?;
                let evaluated = crate::train::report::evaluation_of(&mut client, &trained).await?;
                print(&trained, evaluated, json)
            }
            Some(Act::Stop(stop)) => {
                let (mut client, profile) = stop.remote.connect().await?;
                let id = named(&mut client, &profile, &stop.id).await?;
                client.cancel(&id).await?;
                let plan = planned(&mut client, &id).await;
                let attempts = match client.standing(&id).await {
                    Ok(Some(Event::Failed(problem))) => Some(problem.charged),
                    _ => None,
                };
                told(&id, attempts, plan.as_ref(), json);
                Ok(())
            }
            Some(Act::Report(wanted)) => {
                let (mut client, profile) = wanted.remote.connect().await?;
                let id = named(&mut client, &profile, &wanted.id).await?;
                let released = client.release(&id).await.map_err(|problem| {
                    problem.remedy("a run that is open, was stopped or failed has released nothing: `sotto run watch ID` says which")
                })?;
                let trained = Trained::of(released)?;
                let report = RunReport::gather(&mut client, trained).await?;
                let files = report.write(&wanted.output)?;
                match json {
                    true => println!("{}", serde_json::json!({ "files": files })),
                    false => files.iter().for_each(|file| println!("{}", file.display())),
                }
                Ok(())
            }
            None => self.list(json).await,
        }
    }

    async fn list(self, json: bool) -> Result<(), Problem> {
        let (mut client, profile) = self.remote.connect().await?;
        let mut sheet = Sheet::new([
            ("run", Kind::Text),
            ("state", Kind::Text),
            ("dataset", Kind::Text),
            ("model", Kind::Text),
            ("rounds", Kind::Number),
            ("cost", Kind::Text),
        ]);
        let finished = runs(&mut client).await?;
        for (id, dataset) in noted(&profile, "train ") {
            if !finished.iter().any(|run| run.released.id() == id) {
                let (state, rounds) = state(&mut client, &id).await;
                sheet.push([
                    id.into(),
                    state.into(),
                    dataset.into(),
                    "".into(),
                    f64::from(rounds).into(),
                    "".into(),
                ]);
            }
        }
        for run in &finished {
            sheet.push([
                run.released.id().into(),
                run.released.released().into(),
                run.released.dataset().into(),
                run.short_hash().into(),
                f64::from(run.run.rounds).into(),
                run.released.cost().into(),
            ]);
        }
        self.shown.target(json)?.write(&sheet)
    }
}

/// The plan of a run that is open or ended without a release, derived from its request, its contract and the cohort as it is now; none if
/// that is not to be had: the contract is offered no longer, or the coordinator is an older one.
async fn planned(client: &mut Client, id: &str) -> Option<TrainPlan> {
    let request = client.asked(id).await.ok()?;
    let task = TrainTask::from_task(&request.task).ok()?;
    let catalogue = client.catalogue().await.ok()?;
    let dataset = catalogue.under(&request.contract)?;
    let terms = terms(&client.status().await.ok()?, dataset);
    TrainPlan::new(task, &dataset.contract, &terms, request.epsilon, request.delta).ok()
}

/// What was stopped, and what it had spent.
fn told(id: &str, attempts: Option<u32>, plan: Option<&TrainPlan>, json: bool) {
    let known = attempts.zip(plan);
    if json {
        let private = known.filter(|(_, plan)| plan.noise.variance > 0);
        let at_most = |(attempts, plan): (u32, &TrainPlan)| pace::charged_at_most(plan, attempts);
        println!(
            "{}",
            serde_json::json!({
                "stopped": id,
                "attempts_charged": attempts,
                "epsilon": private.map(|(attempts, plan)| plan.epsilon_after(attempts)),
                "epsilon_charged_at_most": private.map(at_most),
            })
        );
        return;
    }
    let cost = match (known, attempts) {
        (Some((attempts, plan)), _) => format!(" ({attempts} rounds and repeats: {})", spent(plan, attempts)),
        (None, Some(attempts)) => format!(" ({attempts} rounds and repeats)"),
        (None, None) => String::new(),
    };
    println!("stopped {id}: what its rounds cost stays charged{cost}, and there is no model");
}

/// Finished runs, newest first.
pub async fn runs(client: &mut Client) -> Result<Vec<Trained>, Problem> {
    let releases = client.releases(1000).await?;
    let trained = releases
        .into_iter()
        .filter(|r| r.request().kind == workload::training::KIND);
    trained.map(Trained::of).collect()
}
