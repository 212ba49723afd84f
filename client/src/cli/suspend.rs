//! `sotto suspend` and `sotto reinstate`: stop an organisation, a dataset or a grant at once, and let it go on.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use governance::act::Subject;
use serde_json::json;

use super::remote::Remote;
use crate::Problem;
use crate::grants::Stop;

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

A steward's word reaches as far as its organisation: over its own data, and over its own people everywhere. Governance's
reaches everywhere.")]
pub struct Suspend {
    #[command(flatten)]
    what: What,
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
        self.what.run(false, json).await
    }
}

impl Reinstate {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        self.what.run(true, json).await
    }
}

impl What {
    async fn run(self, reinstate: bool, json: bool) -> Result<(), Problem> {
        let (mut client, _) = self.remote.connect().await?;
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
