//! `sotto release`: earlier answers of this analyst. Reading them again is free, for ever.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::job::named;
use super::query::print;
use super::remote::{Remote, Shown, load_identity};
use crate::Problem;
use crate::answer::Answer;
use crate::audit::{self, KeptRelease};
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
  sotto release verify 3f9c.. --keep answer.json                    signature and place in the log; kept as a file
  sotto release verify answer.json --trust trust.toml               offline, by anybody
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
    /// Check that the coordinator signed an answer and that a quorum of witnesses saw it in the log
    Verify(Verify),
    /// Where one came from: OpenLineage run events, as JSON
    Lineage(super::lineage::OfRelease),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sotto release verify 3f9c2b6e8d0a4f1199aa55bb66cc77dd --keep answer.json\n  sotto release verify answer.json --trust trust.toml"
)]
struct Verify {
    /// The id of a release or the first digits of it, or a file that --keep wrote
    release: String,
    /// The trust file; without it what the roster says
    #[arg(long)]
    trust: Option<PathBuf>,
    /// Write release and proof to a file that proves itself
    #[arg(long)]
    keep: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
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
                let (mut client, profile) = show.remote.connect().await?;
                let id = named(&mut client, &profile, &show.id).await?;
                let answer = Answer::of(client.release(&id).await?)?;
                let noted = client.catalogue().await?.noted(answer);
                return print(&noted, &show.shown, json);
            }
            Some(Act::Verify(verify)) => return verify.run(json).await,
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

impl Verify {
    async fn run(self, json: bool) -> Result<(), Problem> {
        let given = self.trust.as_deref().map(audit::trust_file).transpose()?;
        let file = Path::new(&self.release);
        let (kept, roster) = if file.is_file() {
            let text = std::fs::read(file).map_err(|error| Problem::unread(file, &error))?;
            let kept = serde_json::from_slice(&text).map_err(|error| Problem::local(&self.release, error))?;
            (kept, None)
        } else {
            let digits = self.release.trim_end_matches('.');
            if digits.chars().any(|digit| !digit.is_ascii_hexdigit()) {
                let text = format!("no file `{}`, and it is no id of a release", self.release);
                return Err(Problem::usage(text).remedy("`sotto release` lists yours; --keep writes one to a file"));
            }
            let (mut client, profile) = self.remote.connect().await?;
            let id = named(&mut client, &profile, digits).await?;
            (client.kept_release(&id).await?, Some(client.identity().roster.clone()))
        };
        let trust = match (given, roster) {
            (Some(trust), _) => trust,
            (None, Some(roster)) => audit::trust_of(&roster)?,
            (None, None) => audit::trust_of(&load_identity(&self.remote.resolve()?)?.roster)?,
        };
        let kept: KeptRelease = kept;
        let logged = kept.verify(&trust)?;
        if let Some(file) = &self.keep {
            let text = serde_json::to_vec(&kept).map_err(|error| Problem::local("release", error))?;
            std::fs::write(file, text).map_err(|error| Problem::local(file.display(), error))?;
        }
        let witnesses: Vec<&str> = logged.witnesses.iter().map(|(name, _)| name.as_str()).collect();
        let (id, index, size) = (kept.release.release.id.to_string(), logged.index, logged.size);
        match json {
            true => println!(
                "{}",
                json!({ "release": id, "log_index": index, "log_size": size, "witnesses": witnesses })
            ),
            false => println!(
                "release {id}: signed by the coordinator, entry {index} of a log of {size}, seen by {}",
                witnesses.join(", ")
            ),
        }
        Ok(())
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
