//! What the owner's people ask and order about consent: `sotto-participant consent import | give | withdraw | status`, over the
//! agent's socket while it runs and on the file while it does not. The answers are for their eyes: counts never leave.

use super::register::{Choice, Window};
use super::terms::BadChoice;
use super::{ConsentError, Consents, Fault, Instant, Name};
use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::PathBuf;

/// One order. Units never stand in an answer or a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Subcommand)]
#[serde(tag = "act", rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// Take a file of consents (CSV, Parquet, FHIR R5 JSON or NDJSON): all of it, or nothing
    ///
    /// Units that the file does not name keep what they decided before.
    #[command(after_help = "\
Example:
  sotto-participant consent import consents.csv

  unit,purposes,from,until,status,decided
  P001,research;quality,2027-01-01,2027-12-31,given,2026-12-20
  P002,,,,withdrawn,2027-02-01

A row is a unit. Needed are `unit`, the id as the data has it, and `purposes`, divided by `;`. `from` and `until` are days (2027-01-31) or
instants, and without them a consent begins at once and does not end. `status` is given (also where it is left out) or withdrawn. `decided` is when
the unit decided; without it a consent does not take the place of a withdrawal that is on record. Parquet has the same columns.")]
    Import {
        /// A file that the running agent can read
        file: PathBuf,
        /// Whose units these are; may be left out where only one population requires consent
        #[arg(long)]
        population: Option<String>,
        /// Let a consent of the file take the place of a withdrawal also where the file does not say that it was decided later
        #[arg(long)]
        #[serde(default)]
        overrule_withdrawals: bool,
    },
    /// Record one unit's consent; it takes the place of the consent that the unit gave before
    #[command(after_help = "Example:\n  sotto-participant consent give P001 --purpose research --until 2027-12-31")]
    Give {
        /// Id of the unit, as the data has it
        unit: String,
        /// What for; repeat it for more
        #[arg(long = "purpose", required = true)]
        purposes: Vec<String>,
        /// First day (2027-01-31) or instant; from now on if left out
        #[arg(long)]
        from: Option<String>,
        /// Last day or instant; without end if left out
        #[arg(long)]
        until: Option<String>,
        #[arg(long)]
        population: Option<String>,
    },
    /// Record that one unit consents to nothing any more; when this returns no row of it is used
    #[command(after_help = "Example:\n  sotto-participant consent withdraw P001")]
    Withdraw {
        /// Id of the unit, as the data has it
        unit: String,
        #[arg(long)]
        population: Option<String>,
        /// Record it although nobody of this id is on record: before any consent, say
        #[arg(long)]
        #[serde(default)]
        even_if_unknown: bool,
    },
    /// Version, published root and counts
    #[command(after_help = "Example:\n  sotto-participant consent status --json")]
    Status {
        #[arg(long)]
        population: Option<String>,
    },
}

/// Why an order was not carried out; then nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    #[error(transparent)]
    Consent(#[from] ConsentError),
    #[error(transparent)]
    Choice(#[from] BadChoice),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("several populations require consent: say which with --population: {0}")]
    Which(String),
    #[error(
        "nobody of this id is on record in population `{0}`, and nothing was recorded: check the id against the data (capitals, zeros in front) and the population; --even-if-unknown records the withdrawal all the same"
    )]
    Unknown(String),
    #[error("no dataset here requires consent: set consent = \"required\" in its table of the configuration")]
    NotRequired,
}

impl Order {
    /// A file's place does not depend on the folder in which whoever reads it runs.
    pub fn located(self) -> std::io::Result<Self> {
        Ok(match self {
            Self::Import {
                file,
                population,
                overrule_withdrawals,
            } => Self::Import {
                file: std::path::absolute(file)?,
                population,
                overrule_withdrawals,
            },
            other => other,
        })
    }
}

impl Consents {
    /// Carries an order out. Durable and in force when it returns.
    pub fn order(&self, order: &Order, now_ms: u64) -> Result<Value, OrderError> {
        match order {
            Order::Import {
                file,
                population,
                overrule_withdrawals,
            } => {
                let population = self.named(population.as_deref())?;
                let imported = self.import(population, file, *overrule_withdrawals, now_ms)?;
                let mut answer = self.done(population, imported.changed)?;
                answer["withdrawals_not_on_record"] = imported.not_on_record.into();
                answer["withdrawals_overruled"] = imported.overruled.into();
                Ok(answer)
            }
            Order::Give {
                unit,
                purposes,
                from,
                until,
                population,
            } => {
                let population = self.named(population.as_deref())?;
                let window = Window {
                    from_ms: instant("from", from.as_deref())?.map_or(now_ms, Instant::from_ms),
                    until_ms: instant("until", until.as_deref())?.map_or(u64::MAX, Instant::until_ms),
                };
                let people = self.people(population)?;
                let purposes = purposes.iter().map(String::as_str);
                let choice = self.terms().given(people, purposes, window)?;
                let unit = self.unit(unit, people)?;
                self.one(population, unit, &choice, now_ms)
            }
            Order::Withdraw {
                unit,
                population,
                even_if_unknown,
            } => {
                let population = self.named(population.as_deref())?;
                let unit = self.unit(unit, self.people(population)?)?;
                if !even_if_unknown && !self.is_on_record(population, &unit) {
                    return Err(OrderError::Unknown(population.clone()));
                }
                self.one(population, unit, &Choice::Withdrawn, now_ms)
            }
            Order::Status { population } => {
                let known = self.terms().populations.keys();
                let asked: Vec<&String> = match population {
                    Some(_) => vec![self.named(population.as_deref())?],
                    None => known.collect(),
                };
                let views = asked.into_iter().map(|id| Ok((id.clone(), self.view(id, now_ms)?)));
                Ok(views.collect::<Result<serde_json::Map<_, _>, ConsentError>>()?.into())
            }
        }
    }

    fn one(&self, population: &str, unit: Name, choice: &Choice, now_ms: u64) -> Result<Value, OrderError> {
        let changed = self.change(population, &[(unit, choice)], now_ms)?;
        self.done(population, changed)
    }

    fn done(&self, population: &str, changed: u64) -> Result<Value, OrderError> {
        let version = self.kept().file.version().map_err(ConsentError::from)?;
        Ok(json!({ "population": population, "changed": changed, "version": version }))
    }

    /// The population that is meant.
    fn named<'a>(&'a self, population: Option<&'a str>) -> Result<&'a String, OrderError> {
        let known = &self.terms().populations;
        if let Some(asked) = population {
            let found = known.get_key_value(asked).map(|(id, _)| id);
            return found.ok_or_else(|| ConsentError::Population(asked.to_owned()).into());
        }
        let mut ids = known.keys();
        match (ids.next(), ids.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(OrderError::NotRequired),
            _ => {
                let all: Vec<&str> = known.keys().map(String::as_str).collect();
                Err(OrderError::Which(all.join(", ")))
            }
        }
    }

    fn view(&self, population: &str, now_ms: u64) -> Result<Value, ConsentError> {
        let mut kept = self.kept();
        let version = kept.file.version()?;
        let counts = kept.registers.get(population).map(|register| register.counts(now_ms));
        let published = self.said().get(population).map(|publication| {
            json!({
                "number": publication.number,
                "root": publication.root.to_string(),
                "at_ms": publication.at_ms,
                "next_at_ms": (publication.number + 1).saturating_mul(self.terms().publish_every_ms),
            })
        });
        Ok(json!({ "version": version, "published": published, "counts": counts }))
    }
}

fn instant(column: &'static str, text: Option<&str>) -> Result<Option<Instant>, Fault> {
    let parse = |text: &str| Instant::parse(text).ok_or(Fault::Date { column });
    text.map(parse).transpose()
}
