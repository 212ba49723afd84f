//! `sotto purpose`: what questions may be asked for. Wide purposes allow narrow ones.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use governance::purpose::{Term, Vocabulary};
use serde::Deserialize;
use serde_json::json;

use super::remote::{Remote, Shown};
use crate::datasets::Catalogue;
use crate::output::{Kind, Sheet};
use crate::{Problem, grants};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  sotto purpose list                    GA4GH's Data Use Ontology, your consortium's own, and what contracts add
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
    let catalogue = client.catalogue().await?;
    shown
        .target(json)?
        .write(&sheet(decided.register.vocabulary(), &catalogue))
}

/// The vocabulary in order of id, then what contracts allow in words of their own.
fn sheet(vocabulary: &Vocabulary, catalogue: &Catalogue) -> Sheet {
    let mut sheet = Sheet::new([
        ("purpose", Kind::Text),
        ("meaning", Kind::Text),
        ("allowed by", Kind::Text),
        ("from", Kind::Text),
        ("datasets", Kind::Text),
    ]);
    let mut named: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let of_contracts = catalogue
        .datasets
        .iter()
        .map(|dataset| (&dataset.name, &dataset.contract.purposes));
    let of_listed = catalogue.listed.iter().map(|listed| (&listed.name, &listed.purposes));
    for (dataset, purposes) in of_contracts.chain(of_listed) {
        for purpose in purposes {
            named.entry(purpose).or_default().insert(dataset);
        }
    }
    let listed = |names: Option<BTreeSet<&str>>| Vec::from_iter(names.into_iter().flatten()).join(", ");
    let shipped = Vocabulary::default();
    for term in vocabulary.terms() {
        let broader: Vec<&str> = term.broader.iter().map(String::as_str).collect();
        let from = match shipped.contains(&term.id) {
            true => "what ships",
            false => "the consortium",
        };
        sheet.push([
            term.id.as_str().into(),
            term.label.as_str().into(),
            broader.join(", ").into(),
            from.into(),
            listed(named.remove(&*term.id)).into(),
        ]);
    }
    for (purpose, datasets) in named {
        let meaning = "questions may have it, grants may not until `sotto purpose publish`";
        sheet.push([
            purpose.into(),
            meaning.into(),
            "".into(),
            "contracts".into(),
            listed(Some(datasets)).into(),
        ]);
    }
    sheet
}

#[cfg(test)]
mod tests {
    use governance::Contract;

    use super::*;
    use crate::datasets::Dataset;
    use crate::output::Cell;

    #[test]
    fn a_purpose_that_only_a_contract_knows_is_listed_with_where_it_comes_from() {
        let heart = include_str!("../../../governance/contracts/heart.toml");
        let heart = heart.replace("[\"research\", \"quality\"]", "[\"research\", \"planning\"]");
        let catalogue = Catalogue {
            datasets: vec![Dataset {
                name: "heart".to_owned(),
                contract: Contract::parse(&heart).unwrap(),
                sites: Vec::new(),
            }],
            listed: Vec::new(),
        };
        let own = Term {
            id: "heart:rehab".to_owned(),
            label: "rehabilitation".to_owned(),
            broader: ["DUO:0000007".to_owned()].into(),
        };
        let sheet = sheet(&Vocabulary::default().with(&[own]).unwrap(), &catalogue);
        let row = |purpose: &str| {
            let row = sheet.rows.iter().find(|row| row[0] == Cell::from(purpose));
            row.map(|row| [row[3].clone(), row[4].clone()])
        };
        assert_eq!(row("planning"), Some(["contracts", "heart"].map(Cell::from)));
        assert_eq!(row("research"), Some(["what ships", "heart"].map(Cell::from)));
        assert_eq!(row("heart:rehab"), Some(["the consortium", ""].map(Cell::from)));
        assert_eq!(row("marketing"), None);
    }
}
