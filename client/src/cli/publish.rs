//! `sotto contract publish`, `deprecate` and `retire`: a steward's acts about its organisation's contracts. Each is signed here and holds
//! once the coordinator has taken it; the organisation's agent verifies it again.

use std::path::PathBuf;

use clap::Args;
use governance::Stage;
use serde_json::{Value, json};

use super::contract::load;
use super::remote::Remote;
use crate::client::now_ms;
use crate::publish::{Step, ending, notice, offered, sign, steps};
use crate::released::minute;
use crate::{Client, Problem};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto contract publish heart-1.1.0.toml                            active, beside what is active
  sotto contract publish heart-2.0.0.toml --breaking --notice 90d    deprecates what it breaks, then becomes active
  sotto contract publish heart-1.1.0.toml --notice 2030-06-30        deprecates older versions, too
  sotto contract publish heart-1.1.0.toml --dry-run                  what would be signed

Your organisation's agent must offer the version first (`other_versions` in its configuration), so that it was checked
against the files. Once an act spoke of a dataset, only versions that are active or deprecated are served.")]
pub struct Publish {
    file: PathBuf,
    /// It may break questions that were written for an active version: those get the notice
    #[arg(long)]
    breaking: bool,
    /// Until when older versions are served: 90d, 12h or a date
    #[arg(long, value_name = "WHEN")]
    notice: Option<String>,
    /// Why; kept with the acts
    #[arg(long, default_value = "")]
    note: String,
    /// Say what would be signed, and sign nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto contract deprecate heart@1.0.0 --notice 90d
  sotto contract deprecate heart@1.0.0 --notice 2030-06-30 --note \"2.0.0 has the same columns\"

Again with a later date makes the notice longer; nothing makes it shorter but `retire`.")]
pub struct Deprecate {
    /// NAME@VERSION
    version: String,
    /// Until when it is served: 90d, 12h or a date
    #[arg(long, value_name = "WHEN")]
    notice: String,
    /// Why; kept with the act
    #[arg(long, default_value = "")]
    note: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto contract retire heart@1.0.0 --note \"the unit of chol was wrong\"")]
pub struct Retire {
    /// NAME@VERSION
    version: String,
    /// Why; kept with the act
    #[arg(long, default_value = "")]
    note: String,
    #[command(flatten)]
    remote: Remote,
}

impl Publish {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        let contract = load(&self.file)?;
        let until_ms = self.notice.as_deref().map(until).transpose()?;
        let (mut client, _) = self.remote.connect().await?;
        let offered = offered(&mut client, &contract.name).await?;
        let steps = steps(&contract, &offered, self.breaking, until_ms)?;
        if !self.dry_run {
            sign(&mut client, &contract.name, &steps, &self.note).await?;
        }
        tell(&contract.name, &steps, self.dry_run, json);
        Ok(())
    }
}

impl Deprecate {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        let until_ms = until(&self.notice)?;
        let (mut client, _) = self.remote.connect().await?;
        end(
            &mut client,
            &self.version,
            Stage::Deprecated { until_ms },
            &self.note,
            json,
        )
        .await
    }
}

impl Retire {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        let (mut client, _) = self.remote.connect().await?;
        end(&mut client, &self.version, Stage::Retired, &self.note, json).await
    }
}

async fn end(client: &mut Client, wanted: &str, to: Stage, note: &str, json: bool) -> Result<(), Problem> {
    let (name, version) = wanted.split_once('@').ok_or_else(|| {
        Problem::usage(format!("`{wanted}` names no version"))
            .remedy(format!("{wanted}@1.0.0, with the version's label"))
    })?;
    let offered = offered(client, name).await?;
    let steps = ending(name, version, &offered, to)?;
    sign(client, name, &steps, note).await?;
    tell(name, &steps, false, json);
    Ok(())
}

fn until(text: &str) -> Result<u64, Problem> {
    notice(text, now_ms()).map_err(|wrong| Problem::usage(format!("--notice {wrong}")))
}

fn tell(name: &str, steps: &[Step], dry_run: bool, json: bool) {
    if json {
        let each = |step: &Step| json!({ "version": step.version, "contract": step.contract, "to": step.to });
        let acts: Vec<Value> = steps.iter().map(each).collect();
        println!("{}", json!({ "dataset": name, "acts": acts, "signed": !dry_run }));
        return;
    }
    for step in steps {
        let stands = match step.to {
            Stage::Proposed => "proposed".to_owned(),
            Stage::Active => "active".to_owned(),
            Stage::Deprecated { until_ms } => format!("deprecated, served until {}", minute(until_ms)),
            Stage::Retired => "retired".to_owned(),
        };
        println!("{name} {}: {stands}", step.version);
    }
    if dry_run {
        println!("nothing was signed");
    }
}
