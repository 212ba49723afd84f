//! `consortium.toml`: who takes part in a local consortium, with which data, under which contract and budget.
//!
//! What stands under a participant's `dataset` and `population` is the participant's own configuration, word for word as
//! in `participant.example.toml`; only its paths are relative to this file.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use crate::{Exit, Problem};

/// A consortium to run here.
#[derive(Clone, Debug)]
pub struct Spec {
    pub name: String,
    pub colluders: u32,
    pub min_cohort: u32,
    /// Where the coordinator listens; port 0 takes a free one.
    pub listen: SocketAddr,
    pub analyst: Analyst,
    pub stewards: Vec<Steward>,
    pub participants: Vec<Site>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Analyst {
    pub name: String,
    pub organisation: String,
    /// Purpose of questions that name none.
    #[serde(default)]
    pub purpose: Option<String>,
}

/// A person who speaks for an organisation.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steward {
    pub name: String,
    pub organisation: String,
}

/// One participant: who it is, and its own configuration with absolute paths.
#[derive(Clone, Debug)]
pub struct Site {
    pub name: String,
    pub organisation: String,
    pub config: Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    #[serde(default = "one")]
    colluders: u32,
    min_cohort: Option<u32>,
    listen: Option<SocketAddr>,
    analyst: Analyst,
    #[serde(default, rename = "steward")]
    stewards: Vec<Steward>,
    #[serde(rename = "participant")]
    participants: Vec<Participant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Participant {
    name: String,
    organisation: String,
    #[serde(default)]
    dataset: Vec<Table>,
    #[serde(default)]
    population: Vec<Table>,
    approvers: Option<Table>,
    #[serde(default)]
    approvals: Vec<PathBuf>,
    tick_ms: Option<i64>,
    reopen_s: Option<i64>,
    metrics_port: Option<i64>,
}

fn one() -> u32 {
    1
}

impl Spec {
    pub fn load(path: &Path) -> Result<Self, Problem> {
        let text = fs::read_to_string(path).map_err(|error| {
            Problem::local(path.display(), error).remedy("docs: client/examples/clinics/consortium.toml shows one")
        })?;
        let folder = std::path::absolute(path).map_err(|error| Problem::local(path.display(), error))?;
        Self::parse(
            &text,
            &path.display().to_string(),
            folder.parent().unwrap_or(Path::new("/")),
        )
    }

    /// Reads `text`; relative paths in it start at `folder`.
    pub fn parse(text: &str, place: &str, folder: &Path) -> Result<Self, Problem> {
        let wrong = |place: String, message: &str| {
            Problem::new(Exit::Local, "SOTTO-7004", format!("{place}: {message}"))
                .remedy("client/examples/clinics/consortium.toml shows every key")
        };
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            wrong(format!("{place} line {line}"), error.message())
        })?;
        let spec = Self {
            name: file.name,
            colluders: file.colluders,
            min_cohort: file.min_cohort.unwrap_or(file.colluders.saturating_add(2)),
            listen: file.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0))),
            analyst: file.analyst,
            stewards: file.stewards,
            participants: file
                .participants
                .into_iter()
                .map(|participant| participant.site(folder))
                .collect(),
        };
        spec.check().map_err(|message| wrong(place.to_owned(), &message))?;
        Ok(spec)
    }

    fn check(&self) -> Result<(), String> {
        let wanted = self.min_cohort.max(3) as usize;
        if self.participants.len() < wanted {
            let found = self.participants.len();
            return Err(format!(
                "{found} participants: expected at least {wanted}, because no sum is released over fewer"
            ));
        }
        if !self.listen.ip().is_loopback() {
            return Err(format!(
                "listen is {}: `sotto up` listens on loopback only; deploy with sotto-coordinator",
                self.listen
            ));
        }
        let mut seen = BTreeSet::new();
        for site in &self.participants {
            if !seen.insert(&site.name) || !seen.insert(&site.organisation) {
                return Err(format!(
                    "participant `{}`: name and organisation must each appear once",
                    site.name
                ));
            }
        }
        Ok(())
    }
}

impl Participant {
    fn site(self, folder: &Path) -> Site {
        let mut config = Table::new();
        let datasets = self
            .dataset
            .into_iter()
            .map(|dataset| Value::Table(absolute(dataset, folder)))
            .collect();
        config.insert("dataset".into(), Value::Array(datasets));
        config.insert(
            "population".into(),
            Value::Array(self.population.into_iter().map(Value::Table).collect()),
        );
        if let Some(approvers) = self.approvers {
            config.insert("approvers".into(), Value::Table(approvers));
        }
        if !self.approvals.is_empty() {
            let files = self.approvals.iter().map(|file| folder.join(file));
            let files = files.map(|file| Value::String(file.to_string_lossy().into_owned()));
            config.insert("approvals".into(), Value::Array(files.collect()));
        }
        let numbers = [
            ("tick_ms", self.tick_ms),
            ("reopen_s", self.reopen_s),
            ("metrics_port", self.metrics_port),
        ];
        for (key, value) in numbers {
            if let Some(value) = value {
                config.insert(key.into(), Value::Integer(value));
            }
        }
        Site {
            name: self.name,
            organisation: self.organisation,
            config,
        }
    }
}

/// Contract and files of a dataset, seen from anywhere. A path with a scheme stays as it is: the participant refuses it.
fn absolute(mut dataset: Table, folder: &Path) -> Table {
    let place = |value: &mut Value| {
        if let Value::String(path) = value
            && !path.contains("://")
        {
            *path = folder.join(&*path).to_string_lossy().into_owned();
        }
    };
    if let Some(contract) = dataset.get_mut("contract") {
        place(contract);
    }
    for key in ["files", "other_versions"] {
        if let Some(Value::Array(paths)) = dataset.get_mut(key) {
            paths.iter_mut().for_each(place);
        }
    }
    dataset
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../examples/clinics/consortium.toml");

    fn parse(text: &str) -> Result<Spec, Problem> {
        Spec::parse(text, "consortium.toml", Path::new("/data"))
    }

    #[test]
    fn the_documented_example_is_a_consortium_with_paths_beside_it() {
        let spec = parse(EXAMPLE).unwrap();
        assert!(spec.participants.len() >= 3);
        let dataset = spec.participants[0].config["dataset"][0].as_table().unwrap();
        assert!(dataset["contract"].as_str().unwrap().starts_with("/data/"));
        assert!(dataset["files"][0].as_str().unwrap().starts_with("/data/"));
    }

    #[test]
    fn a_misspelt_key_names_its_line() {
        let text = format!("colludders = 1\n{EXAMPLE}");
        let problem = parse(&text).unwrap_err();
        assert_eq!(problem.code, "SOTTO-7004");
        assert!(
            problem.message.contains("line 1") && problem.message.contains("colludders"),
            "{}",
            problem.message
        );
    }

    #[test]
    fn two_participants_and_an_open_port_are_refused() {
        let two = EXAMPLE
            .split("[[participant]]")
            .take(3)
            .collect::<Vec<_>>()
            .join("[[participant]]");
        assert!(parse(&two).unwrap_err().message.contains("expected at least 3"));
        let open = EXAMPLE.replace("127.0.0.1:0", "0.0.0.0:7443");
        assert!(parse(&open).unwrap_err().message.contains("loopback"));
    }

    #[test]
    fn a_path_with_a_scheme_is_left_for_the_participant_to_refuse() {
        let table: Table = toml::from_str("contract = \"c.toml\"\nfiles = [\"s3://b/x.csv\", \"y.csv\"]").unwrap();
        let files = absolute(table, Path::new("/data"));
        assert_eq!(files["files"][0].as_str(), Some("s3://b/x.csv"));
        assert_eq!(files["files"][1].as_str(), Some("/data/y.csv"));
    }
}
