//! `sotto usage` and `sotto audit usage`: what was asked and used, by the coordinator's books and by the log alone.

use clap::Args;
use governance::Roster;
use serde_json::json;

use super::remote::{Remote, Shown};
use crate::usage::{reconciled, sheet};
use crate::{Exit, Problem, names};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto usage
  sotto usage --organisation \"Institute of Cardiology\" --json
  sotto audit usage --reconcile                              is that what the log says?

An analyst sees what its organisation asked; a steward also what others used of the organisation's data. `tokens` are rounds that were set
aside, less those that came back; `epsilon` is what they cost by simple addition, which is more than the account that composes them says.")]
pub struct Usage {
    /// Only rows of this organisation, as the one that asks or the one whose data was used
    #[arg(long)]
    organisation: Option<String>,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    shown: Shown,
}

impl Usage {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        let (mut client, _) = self.remote.connect().await?;
        let metered = client.usage().await?;
        let roster = client.newest_roster().await?;
        if let Some(wanted) = &self.organisation {
            is_known(wanted, &roster)?;
        }
        let table = sheet(&metered.rows, &metered.names, &roster, self.organisation.as_deref());
        self.shown.target(json)?.write(&table)
    }
}

/// Rows are told apart by the roster's organisations: of no other name there can be any.
fn is_known(wanted: &str, roster: &Roster) -> Result<(), Problem> {
    let mut known = roster.everybody().map(|(_, organisation)| organisation);
    if known.any(|organisation| organisation == wanted) {
        return Ok(());
    }
    let known = roster.everybody().map(|(_, organisation)| organisation);
    let text = format!("no organisation `{wanted}` is in the roster");
    Err(Problem::usage(text).remedy(names::instead(wanted, known)))
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto audit usage                  counted from the leaves of the log, and from nothing else
  sotto audit usage --reconcile      exit code 1 if the coordinator's books say anything else")]
pub struct OfLog {
    /// Compare it with the coordinator's books, to the unit
    #[arg(long)]
    reconcile: bool,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    shown: Shown,
}

impl OfLog {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        let (mut client, _) = self.remote.connect().await?;
        if !self.reconcile {
            let names = client.usage().await?.names;
            let rows = client.usage_of_log(None).await?;
            let roster = client.newest_roster().await?;
            return self.shown.target(json)?.write(&sheet(&rows, &names, &roster, None));
        }
        let (books, difference) = reconciled(&mut client).await?;
        let rows = books.rows.asked.len() + books.rows.used.len();
        match (json, &difference) {
            (true, _) => println!(
                "{}",
                json!({ "entries": books.log_size, "rows": rows, "difference": difference })
            ),
            (false, None) => println!(
                "{rows} rows: the books and the {} entries of the log agree",
                books.log_size
            ),
            (false, Some(_)) => {}
        }
        match difference {
            None => Ok(()),
            Some(difference) => Err(Problem::new(Exit::Local, "SOTTO-7121", difference)
                .remedy("keep the log (`sotto audit export`) and ask the coordinator's operator")
                .told(json)),
        }
    }
}
