//! `sotto contract`: contracts in files, before anybody serves them, and the acts that move them along. `check` and `diff` need no
//! connection and no profile, read nothing but the files that they are given, and spend nothing; `diff` is made for the pipeline
//! that a contract's repository has. The acts are in `publish.rs`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use governance::Contract;
use governance::contract::compat::{Change, Claim, Verdict, claim, compare, overall};
use serde_json::{Value, json};

use super::dataset::{columns, heading};
use super::publish;
use crate::output::{Cell, Format, Kind, Sheet, Target};
use crate::{Exit, Problem};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto contract check heart.toml
  sotto contract diff heart-1.0.0.toml heart-1.1.0.toml
  sotto contract diff old.toml new.toml --require backward     in CI: exit 3 if old questions break
  sotto contract publish heart-1.1.0.toml                      as a steward: the version becomes active
  sotto contract deprecate heart@1.0.0 --notice 90d
  sotto contract retire heart@1.0.0")]
pub struct ContractCommand {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Whether a file is a contract, and what it says
    Check(Check),
    /// What a new version changes: a verdict for each change and for all, exit 3 if it is BREAKING
    Diff(Diff),
    /// Make a version active that your agent offers; refuses what breaks questions, unless people get a notice
    Publish(publish::Publish),
    /// Announce until when a version is served
    Deprecate(publish::Deprecate),
    /// Serve a version no longer, from now on
    Retire(publish::Retire),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto contract check heart.toml --json")]
struct Check {
    file: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto contract diff heart-1.0.0.toml heart-1.1.0.toml
  sotto contract diff old.toml new.toml --require backward --json

Verdicts, over data that honours the contract a question was written for:
  FULL      questions written for either work under the other
  BACKWARD  questions written for OLD work under NEW and mean the same
  FORWARD   questions written for NEW work under OLD and mean the same
  BREAKING  neither
Privacy: `other price` is other noise for the same people, `other unit` makes earlier epsilons say nothing.")]
struct Diff {
    old: PathBuf,
    new: PathBuf,
    /// Exit 3 unless the overall verdict grants this much [default: anything but BREAKING]
    #[arg(long, value_enum)]
    require: Option<Required>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Required {
    Backward,
    Forward,
    Full,
}

impl ContractCommand {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        match self.act {
            Act::Check(check) => check.run(json),
            Act::Diff(diff) => diff.run(json),
            Act::Publish(publish) => publish.run(json).await,
            Act::Deprecate(deprecate) => deprecate.run(json).await,
            Act::Retire(retire) => retire.run(json).await,
        }
    }
}

/// Reads the contract in a file, or says on which line it is wrong.
pub fn load(path: &Path) -> Result<Contract, Problem> {
    let text = std::fs::read_to_string(path).map_err(|error| Problem::unread(path, &error))?;
    Contract::parse(&text).map_err(|error| {
        Problem::new(
            Exit::Local,
            "SOTTO-7006",
            format!("{}:{}: {}", path.display(), error.line, error.message),
        )
        .remedy(format!(
            "correct line {} of the contract, then `sotto contract check`",
            error.line
        ))
    })
}

fn identity(contract: &Contract) -> Value {
    json!({ "name": contract.name, "version": contract.version, "hash": contract.hash() })
}

impl Check {
    fn run(self, json: bool) -> Result<(), Problem> {
        let contract = load(&self.file)?;
        if json {
            let mut told = identity(&contract);
            told["unit"] = contract.privacy_unit.as_deref().unwrap_or("row").into();
            told["columns"] = contract.columns.len().into();
            println!("{told}");
            return Ok(());
        }
        heading(&contract);
        Target::new(Some(Format::Table), None).write(&columns(&contract))
    }
}

impl Diff {
    fn run(self, json: bool) -> Result<(), Problem> {
        let (old, new) = (load(&self.old)?, load(&self.new)?);
        let changes = compare(&old, &new);
        let verdict = overall(&changes);
        let refusal = refusal(verdict, self.require);
        if json {
            let mut told = json!({
                "old": identity(&old), "new": identity(&new),
                "verdict": verdict, "claim": claim(&changes), "changes": changes,
            });
            if let Some(problem) = &refusal {
                told["error"] = problem.to_json()["error"].take();
            }
            println!("{told:#}");
        } else {
            if !changes.is_empty() {
                Target::new(Some(Format::Table), None).write(&table(&changes))?;
                println!();
            }
            println!("{verdict}: {}", words(verdict));
            println!("privacy: {}", consequence(claim(&changes)));
        }
        match refusal {
            Some(problem) => Err(problem.told(json)),
            None => Ok(()),
        }
    }
}

fn refusal(verdict: Verdict, required: Option<Required>) -> Option<Problem> {
    let (granted, wanted) = match required {
        None => (verdict != Verdict::Breaking, "anything but BREAKING"),
        Some(Required::Backward) => (verdict.is_backward(), "BACKWARD"),
        Some(Required::Forward) => (verdict.is_forward(), "FORWARD"),
        Some(Required::Full) => (verdict == Verdict::Full, "FULL"),
    };
    (!granted).then(|| {
        Problem::new(
            Exit::Refused,
            "SOTTO-7007",
            format!("incompatible contracts: expected {wanted}, got {verdict}"),
        )
        .remedy("take back the changes that break, or offer NEW under another name beside OLD until nobody asks the old one")
    })
}

fn words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Full => "questions written for either contract work under the other and mean the same",
        Verdict::Backward => "questions written for the old contract work under the new one and mean the same",
        Verdict::Forward => {
            "questions written for the new contract work under the old one; some old questions break under the new"
        }
        Verdict::Breaking => "some questions written for either contract break under the other",
    }
}

fn consequence(claim: Claim) -> &'static str {
    match claim {
        Claim::Same => "an epsilon promises and buys the same as before",
        Claim::Price => {
            "other noise for the same people: earlier releases are no answers under the new contract; the ledgers go on"
        }
        Claim::Unit => {
            "epsilon speaks of other units: earlier releases and charges say nothing under the new contract, and it is no \
             fresh budget; lower the new one by what the same people were charged (docs/operators-handbook.md)"
        }
    }
}

fn table(changes: &[Change]) -> Sheet {
    let mut sheet =
        Sheet::new(["column", "term", "old", "new", "verdict", "privacy", "why"].map(|name| (name, Kind::Text)));
    for change in changes {
        let [verdict, privacy] = [change.verdict.to_string(), change.claim.to_string()];
        sheet.push([
            change.column.as_deref().unwrap_or("(contract)").into(),
            change.term.into(),
            Cell::from(change.old.clone()),
            Cell::from(change.new.clone()),
            verdict.into(),
            privacy.into(),
            change.why.into(),
        ]);
    }
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEART: &str = include_str!("../../../governance/contracts/heart.toml");

    fn saved(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn diff(edit: (&str, &str), require: Option<Required>) -> Result<(), Problem> {
        let folder = tempfile::tempdir().unwrap();
        assert!(HEART.contains(edit.0));
        Diff {
            old: saved(folder.path(), "old.toml", HEART),
            new: saved(folder.path(), "new.toml", &HEART.replace(edit.0, edit.1)),
            require,
        }
        .run(true)
    }

    #[test]
    fn a_wider_bound_passes_and_another_unit_of_measure_stops_the_pipeline_with_exit_3() {
        diff(("maximum = 620", "maximum = 700"), None).unwrap();
        diff(("maximum = 620", "maximum = 700"), Some(Required::Backward)).unwrap();
        let problem = diff(("mg/dL", "mmol/L"), None).unwrap_err();
        assert_eq!((problem.exit as u8, problem.code.as_str()), (3, "SOTTO-7007"));
        assert!(problem.message.contains("BREAKING") && problem.told, "{problem}");
    }

    #[test]
    fn a_pipeline_may_require_that_old_questions_go_on() {
        let narrower = ("maximum = 620", "maximum = 500");
        diff(narrower, None).unwrap();
        diff(narrower, Some(Required::Forward)).unwrap();
        let problem = diff(narrower, Some(Required::Backward)).unwrap_err();
        assert!(problem.message.contains("expected BACKWARD, got FORWARD"), "{problem}");
        diff(narrower, Some(Required::Full)).unwrap_err();
    }

    #[test]
    fn a_faulty_file_is_named_with_its_line_and_what_to_write() {
        let folder = tempfile::tempdir().unwrap();
        let text = HEART.replace("minimum = 20, maximum = 90", "minimum = 90, maximum = 20");
        let line = 1 + text.lines().position(|line| line == "name = \"age\"").unwrap();
        let problem = load(&saved(folder.path(), "heart.toml", &text)).unwrap_err();
        assert_eq!((problem.exit, problem.code.as_str()), (Exit::Local, "SOTTO-7006"));
        assert!(
            problem.message.contains("minimum 90 is not below maximum 20"),
            "{problem}"
        );
        // The table of the column starts one line above its name.
        assert!(
            problem.message.contains(&format!("heart.toml:{}:", line - 1)),
            "{problem}"
        );
        assert_eq!(load(&folder.path().join("none.toml")).unwrap_err().code, "SOTTO-7001");
    }

    #[test]
    fn the_table_of_changes_says_where_what_and_why() {
        let old = Contract::parse(HEART).unwrap();
        let new = Contract::parse(&HEART.replace("maximum = 620", "maximum = 700")).unwrap();
        let sheet = table(&compare(&old, &new));
        let bounds = &sheet.rows[0];
        assert_eq!(
            bounds[..6],
            ["chol", "bounds", "80 to 620", "80 to 700", "BACKWARD", "other price"].map(Cell::from)
        );
        assert_eq!(sheet.rows[1][1], Cell::from("version"));
    }
}
