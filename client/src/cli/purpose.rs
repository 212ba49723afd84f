//! `sotto purpose`: what questions may be asked for. Wide purposes allow narrow ones.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use governance::purpose::Term;
use serde::Deserialize;
use serde_json::json;

use super::remote::{Remote, Shown};
use crate::output::{Kind, Sheet};
use crate::{Problem, grants};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  sotto purpose list                                         terms of GA4GH's Data Use Ontology, and your consortium's own
  sotto purpose publish purposes.toml --governance ./consortium")]
pub struct Purpose {
    #[command(subcommand)]
    act: Option<Act>,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Purposes that are known here
    List(List),
    /// Replace the consortium's own purposes, in governance's name
    Publish(Publish),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto purpose list --json")]
struct List {
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  sotto purpose publish purposes.toml --governance ./consortium

The file holds all of the consortium's own purposes:
  [[terms]]
  id = \"heart:rehab\"
  label = \"rehabilitation after heart surgery\"
  broader = [\"DUO:0000007\"]")]
struct Publish {
    file: PathBuf,
    /// Folder of `sotto init`
    #[arg(long, value_name = "FOLDER")]
    governance: PathBuf,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    terms: Vec<Term>,
}

impl Purpose {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        match self.act {
            None => listed(&self.remote, &self.shown, json).await,
            Some(Act::List(list)) => listed(&list.remote, &list.shown, json).await,
            Some(Act::Publish(publish)) => publish.run(json).await,
        }
    }
}

impl Publish {
    async fn run(self, json: bool) -> Result<(), Problem> {
        let text = std::fs::read_to_string(&self.file).map_err(|error| Problem::unread(&self.file, &error))?;
        let file: File = toml::from_str(&text).map_err(|error| {
            let line = error
                .span()
                .map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            Problem::local(format!("{} line {line}", self.file.display()), error.message())
        })?;
        let (mut client, _) = self.remote.connect().await?;
        let version = client.decided().await?.register.vocabulary_version() + 1;
        let act = client
            .decide_as_governance(&self.governance, grants::vocabulary(version, file.terms), "")
            .await?;
        match json {
            true => println!("{}", json!({ "version": version, "id": act })),
            false => println!("version {version} of the consortium's purposes is published"),
        }
        Ok(())
    }
}

async fn listed(remote: &Remote, shown: &Shown, json: bool) -> Result<(), Problem> {
    let (mut client, _) = remote.connect().await?;
    let decided = client.decided().await?;
    let mut sheet = Sheet::new([
        ("purpose", Kind::Text),
        ("meaning", Kind::Text),
        ("allowed by", Kind::Text),
    ]);
    for term in decided.register.vocabulary().terms() {
        let broader: Vec<&str> = term.broader.iter().map(String::as_str).collect();
        sheet.push([
            term.id.as_str().into(),
            term.label.as_str().into(),
            broader.join(", ").into(),
        ]);
    }
    shown.target(json)?.write(&sheet)
}
