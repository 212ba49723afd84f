//! `sotto release lineage` and `sotto model lineage`: OpenLineage run events on standard output or in a file, for a catalogue that
//! reads them. Asks the coordinator for nothing but what this analyst may read anyway.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::job::{named, note_of};
use super::remote::Remote;
use crate::client::{Event, now_ms};
use crate::lineage::{Failed, Lineage};
use crate::train::registry::{self, Models};
use crate::{Client, Exit, Problem, Released};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto release lineage 3f9c2b6e8d0a4f1199aa55bb66cc77dd
  sotto release lineage 3f9c2b6e8d0a4f1199aa55bb66cc77dd --to events.json

A JSON array of run events, as OpenLineage 2-0-2 has them; docs/lineage.schema.json describes what is added.")]
pub struct OfRelease {
    /// A release, or a job of yours that failed
    id: String,
    /// File to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto model lineage heart.num                        the version in production and what it was trained from
  sotto model lineage heart.num@2 --to events.json")]
pub struct OfModel {
    model: String,
    /// File to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

impl OfRelease {
    pub async fn run(self) -> Result<(), Problem> {
        let (mut client, profile) = self.remote.connect().await?;
        let lineage = Lineage::of(&client.identity().roster.consortium);
        let id = named(&mut client, &profile, &self.id).await?;
        let events = match client.release(&id).await {
            Ok(released) => {
                let contracts = client.catalogue().await?;
                let contract = contracts.under(&released.request().contract);
                lineage.release(&released, contract.map(|dataset| &dataset.contract))?
            }
            Err(unknown) => {
                let Some(note) = note_of(&profile, &id) else {
                    return Err(unknown);
                };
                let problem = why(&mut client, &id).await.ok_or(unknown)?;
                let sql = (!note.sql.starts_with("train ")).then_some(note.sql.as_str());
                lineage.failed(&Failed {
                    id: &id,
                    dataset: &note.dataset,
                    sql,
                    asked_ms: note.asked_ms,
                    seen_ms: now_ms(),
                    problem: &problem,
                })?
            }
        };
        write(&events, self.to)
    }
}

impl OfModel {
    pub async fn run(self) -> Result<(), Problem> {
        let (mut client, _) = self.remote.connect().await?;
        let lineage = Lineage::of(&client.identity().roster.consortium);
        let models: Models = client.models().await?;
        let contracts = client.catalogue().await?;
        let line = models.lineage(models.find(&self.model)?);
        let mut events = Vec::new();
        // The oldest first, as it happened.
        for version in line.into_iter().rev() {
            let found = registry::detailed(&mut client, version).await?;
            let under = |released: &Released| contracts.under(&released.request().contract).map(|d| &d.contract);
            events.extend(lineage.model(version, &found.trained, under(&found.trained.released))?);
            for evaluated in found.evaluations.iter().rev() {
                events.extend(lineage.release(&evaluated.released, under(&evaluated.released))?);
            }
        }
        write(&events, self.to)
    }
}

/// Why a job failed, if it did.
async fn why(client: &mut Client, job: &str) -> Option<Problem> {
    let mut events = client.watch(job).await.ok()?;
    match events.next().await {
        Ok(Some(Event::Failed(problem))) => Some(problem),
        _ => None,
    }
}

fn write(events: &[Value], to: Option<PathBuf>) -> Result<(), Problem> {
    let text = serde_json::to_string_pretty(events).map_err(|error| Problem::local("events", error))? + "\n";
    match to {
        None => print!("{text}"),
        Some(file) => std::fs::write(&file, text)
            .map_err(|error| Problem::new(Exit::Local, "SOTTO-7001", format!("{}: {error}", file.display())))?,
    }
    Ok(())
}
