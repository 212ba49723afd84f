//! `sotto suspend` and `sotto reinstate`: stop an organisation, a dataset or a grant at once, and let it go on.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use governance::act::Subject;
use serde_json::json;

use super::remote::Remote;
use crate::grants::Stop;
use crate::{Client, Exit, Problem, names};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Its people ask nothing, its data answers nothing
    Organisation,
    /// Nobody asks about it
    Dataset,
    /// See `sotto grant suspend`
    Grant,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto suspend organisation \"Institute of Cardiology\" --note \"a key was lost\"
  sotto suspend dataset heart --governance ./consortium      everywhere, in governance's name
  sotto suspend grant 3f9c2b6e8d0a
  sotto suspend dataset heart --unlisted                     its agents are away, or it is hidden from you

A steward's word reaches as far as its organisation: over its own data, and over its own people everywhere. Governance's
reaches everywhere.")]
pub struct Suspend {
    #[command(flatten)]
    what: What,
    /// Although nothing of this name is there now, as far as you may see
    #[arg(long)]
    unlisted: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto reinstate organisation \"Institute of Cardiology\"
  sotto reinstate dataset heart --governance ./consortium

Whoever suspended lifts it.")]
pub struct Reinstate {
    #[command(flatten)]
    what: What,
}

#[derive(Debug, Args)]
struct What {
    kind: Kind,
    /// Its name, or the id of the grant
    name: String,
    /// Folder of `sotto init`: sign with the governance key
    #[arg(long, value_name = "FOLDER")]
    governance: Option<PathBuf>,
    /// Why; those who are stopped read it
    #[arg(long, default_value = "")]
    note: String,
    #[command(flatten)]
    remote: Remote,
}

impl Suspend {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        let (mut client, _) = self.what.remote.connect().await?;
        if !self.unlisted {
            self.what.is_there(&mut client).await?;
        }
        self.what.run(client, false, json).await
    }
}

impl Reinstate {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        let (client, _) = self.what.remote.connect().await?;
        self.what.run(client, true, json).await
    }
}

impl What {
    /// A slip of the pen would stop nothing, and say that it did. Grants are found by their ids.
    async fn is_there(&self, client: &mut Client) -> Result<(), Problem> {
        let (noun, code, known) = match self.kind {
            Kind::Grant => return Ok(()),
            Kind::Dataset => {
                let catalogue = client.catalogue().await?;
                let offered = catalogue.datasets.into_iter().map(|dataset| dataset.name);
                let listed = catalogue.listed.into_iter().map(|listed| listed.name);
                ("dataset", "SOTTO-2001", offered.chain(listed).collect())
            }
            Kind::Organisation => {
                let roster = client.newest_roster().await?;
                let known = roster.everybody().map(|(_, organisation)| organisation.to_owned());
                ("organisation", "SOTTO-7002", known.collect())
            }
        };
        unless_known(noun, code, &self.name, &known)
    }

    async fn run(self, mut client: Client, reinstate: bool, json: bool) -> Result<(), Problem> {
        let subject = match self.kind {
            Kind::Organisation => Subject::Organisation(self.name.clone()),
            Kind::Dataset => Subject::Dataset(self.name.clone()),
            Kind::Grant if self.governance.is_some() => {
                return Err(Problem::usage(
                    "a grant is its two sides' own: governance suspends an organisation or a dataset",
                ));
            }
            Kind::Grant => {
                let stop = if reinstate { Stop::Resume } else { Stop::Suspend };
                let grant = client.stop_grant(&self.name, stop, &self.note).await?;
                return self.said(reinstate, &grant.to_string(), json);
            }
        };
        let what = match reinstate {
            false => governance::What::Suspended { subject },
            true => {
                let by = match &self.governance {
                    Some(_) => client.governance(),
                    None => client.by(),
                };
                client.decided().await?.reinstatement(&by, subject)?
            }
        };
        let act = match &self.governance {
            Some(folder) => client.decide_as_governance(folder, what, &self.note).await?,
            None => client.decide(what, &self.note).await?,
        };
        self.said(reinstate, &act.to_string(), json)
    }

    fn said(&self, reinstate: bool, id: &str, json: bool) -> Result<(), Problem> {
        let done = if reinstate { "reinstated" } else { "suspended" };
        match json {
            true => println!("{}", json!({ "done": done, "name": self.name, "id": id })),
            false => println!("{}: {done}", self.name),
        }
        Ok(())
    }
}

fn unless_known(noun: &str, code: &str, name: &str, known: &BTreeSet<String>) -> Result<(), Problem> {
    if known.contains(name) {
        return Ok(());
    }
    let nearest = names::instead(name, known.iter().map(String::as_str));
    let text = format!("no {noun} `{name}` is there now, as far as you may see: nothing was suspended");
    Err(Problem::new(Exit::Refused, code, text).remedy(format!(
        "{nearest} (if it is away, or hidden from you: the same command with --unlisted)"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nobody_has_is_refused_with_the_nearest_and_the_way_past_it() {
        let known = ["heart", "ward"].map(str::to_owned).into();
        unless_known("dataset", "SOTTO-2001", "heart", &known).unwrap();
        let problem = unless_known("dataset", "SOTTO-2001", "haert", &known).unwrap_err();
        assert_eq!((problem.exit, problem.code.as_str()), (Exit::Refused, "SOTTO-2001"));
        let remedy = problem.remedy.unwrap();
        assert!(
            remedy.contains("did you mean `heart`?") && remedy.contains("--unlisted"),
            "{remedy}"
        );
    }
}
