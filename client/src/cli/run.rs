//! `sotto run`: training runs of this analyst. A finished run is a release: reading it again is free, for ever.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::job::{named, noted, state};
use super::remote::{Remote, Shown};
use super::train::print;
use super::wait::{Noun, wait};
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
                let released = wait(&mut client, Noun::Run, &id, watch.timeout.map(Duration::from_secs)).await?;
                let trained = Trained::of(*released)?;
                let evaluated = crate::train::report::evaluation_of(&mut client, &trained).await?;
                print(&trained, evaluated.as_ref(), json)
            }
            Some(Act::Stop(stop)) => {
                let (mut client, profile) = stop.remote.connect().await?;
                let id = named(&mut client, &profile, &stop.id).await?;
                client.cancel(&id).await?;
                match json {
                    true => println!("{}", serde_json::json!({ "stopped": id })),
                    false => println!("stopped {id}: what its rounds cost stays charged, and there is no model"),
                }
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
                let open = [&*state(&mut client, &id).await, &dataset, "", ""].map(String::from);
                let [state, dataset, model, cost] = open;
                sheet.push([
                    id.into(),
                    state.into(),
                    dataset.into(),
                    model.into(),
                    0.0.into(),
                    cost.into(),
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

/// Finished runs, newest first.
pub async fn runs(client: &mut Client) -> Result<Vec<Trained>, Problem> {
    let releases = client.releases(1000).await?;
    let trained = releases
        .into_iter()
        .filter(|r| r.request().kind == workload::training::KIND);
    trained.map(Trained::of).collect()
}
