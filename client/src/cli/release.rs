//! `sotto release`: earlier answers of this analyst. Reading them again is free, for ever.

use clap::{Args, Subcommand};

use super::query::print;
use super::remote::{Remote, Shown};
use crate::Problem;
use crate::answer::Answer;
use crate::output::{Kind, Sheet};
use crate::released::Released;
use workload::query::QueryTask;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  sotto release                         the newest twenty
  sotto release show 3f9c..             one again, free
  sotto release show 3f9c.. -o answer.csv
  sotto release lineage 3f9c..          where it came from, as OpenLineage events")]
pub struct Release {
    #[command(subcommand)]
    act: Option<Act>,
    /// How many to list, newest first
    #[arg(long, default_value_t = 20)]
    limit: u32,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// One answer again
    Show(Show),
    /// Where one came from: OpenLineage run events, as JSON
    Lineage(super::lineage::OfRelease),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto release show 3f9c2b6e8d0a4f1199aa55bb66cc77dd --json")]
struct Show {
    id: String,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    shown: Shown,
}

impl Release {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        match self.act {
            Some(Act::Show(show)) => {
                let (mut client, _) = show.remote.connect().await?;
                let answer = Answer::of(client.release(&show.id).await?)?;
                let noted = client.catalogue().await?.noted(answer);
                return print(&noted, &show.shown, json);
            }
            Some(Act::Lineage(lineage)) => return lineage.run().await,
            None => {}
        }
        let (mut client, _) = self.remote.connect().await?;
        let mut sheet = Sheet::new([
            ("release", Kind::Text),
            ("released", Kind::Text),
            ("dataset", Kind::Text),
            ("cost", Kind::Text),
            ("question", Kind::Text),
        ]);
        for released in client.releases(self.limit).await? {
            sheet.push([
                released.id().into(),
                released.released().into(),
                released.dataset().into(),
                cost(&released).into(),
                question(&released).into(),
            ]);
        }
        self.shown.target(json)?.write(&sheet)
    }
}

fn cost(released: &Released) -> String {
    if released.repeated() {
        "free, a repeat".to_owned()
    } else {
        released.cost()
    }
}

/// The SQL of a question; of anything else its kind.
fn question(released: &Released) -> String {
    let request = released.request();
    match QueryTask::from_task(&request.task) {
        Ok(task) if request.kind == workload::query::KIND => task.sql,
        _ => format!("({})", request.kind),
    }
}
