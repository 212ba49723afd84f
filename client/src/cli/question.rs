//! What `query` and `explain` have in common: where the SQL comes from, which dataset it is about, and what it would cost
//! under that dataset's contract. Nothing here leaves this machine but reads.

use std::io::{IsTerminal, Read, stdin};
use std::path::PathBuf;

use clap::Args;
use engine::CohortTerms;
use proto::v1;
use workload::query::{self, QueryPlan};

use super::remote::Remote;
use crate::datasets::Dataset;
use crate::profile::Profile;
use crate::{Client, Exit, Problem};

/// The epsilons that a question without one is shown.
pub const LADDER: [f64; 4] = [0.1, 0.5, 1.0, 2.0];

#[derive(Debug, Args, Clone)]
pub struct QuestionArgs {
    /// The question in SQL; `-` or nothing reads standard input
    sql: Option<String>,
    /// Read the question from a file
    #[arg(short, long, value_name = "FILE", conflicts_with = "sql")]
    file: Option<PathBuf>,
    /// What the answer may cost: the smaller, the more private and the less exact
    #[arg(long, allow_negative_numbers = true)]
    pub epsilon: Option<f64>,
    /// Half-width of the widest 95 % interval that you can use; Sottovoce finds the epsilon that gives it if groups are as large as the
    /// contract allows, and warns where an answer's interval is wider
    #[arg(long, value_name = "X", conflicts_with = "epsilon", allow_negative_numbers = true)]
    pub target_error: Option<f64>,
    /// Dataset, or just one version of it as NAME@VERSION [default: the table after FROM]
    #[arg(long)]
    dataset: Option<String>,
    #[command(flatten)]
    pub remote: Remote,
}

/// A question against the contract that it will be asked under.
pub struct Asked {
    pub client: Client,
    pub profile: Profile,
    pub sql: String,
    pub dataset: Dataset,
    /// That the version is on its way out, when, and what takes its place.
    pub notice: Option<String>,
    pub terms: CohortTerms,
}

impl QuestionArgs {
    /// Reads the SQL, connects and fetches the contract.
    pub async fn open(&self) -> Result<Asked, Problem> {
        for (name, value) in [("epsilon", self.epsilon), ("target-error", self.target_error)] {
            if let Some(value) = value.filter(|value| !(value.is_finite() && *value > 0.0)) {
                return Err(Problem::usage(format!(
                    "mismatched --{name}: expected a finite number above 0, got {value}"
                ))
                .remedy("`sotto explain` shows what epsilon 0.1 to 2 would give"));
            }
        }
        let sql = self.read_sql()?;
        let name = match &self.dataset {
            Some(name) => name.clone(),
            None => crate::sql::table_of(&sql).ok_or_else(|| {
                Problem::usage("no table after FROM in this question")
                    .remedy("SELECT .. FROM dataset, or --dataset NAME")
            })?,
        };
        let (mut client, profile) = self.remote.connect().await?;
        let catalogue = client.catalogue().await?;
        let dataset = catalogue.find(&name)?.clone();
        let notice = catalogue.notice(&dataset);
        let status = client.status().await?;
        let terms = terms(&status, &dataset);
        Ok(Asked {
            client,
            profile,
            sql,
            dataset,
            notice,
            terms,
        })
    }

    /// A run file instead of a question: `sotto explain run.toml`. One word is no question, so it means a file that is not there, too.
    pub fn run_file(&self) -> Option<PathBuf> {
        let path = PathBuf::from(self.sql.as_deref()?);
        let word = || {
            self.sql
                .as_deref()
                .is_some_and(|sql| !sql.contains(char::is_whitespace))
        };
        (path.extension().is_some_and(|ending| ending == "toml") && (path.is_file() || word())).then_some(path)
    }

    fn read_sql(&self) -> Result<String, Problem> {
        let sql = match (&self.sql, &self.file) {
            (_, Some(file)) => std::fs::read_to_string(file).map_err(|error| Problem::unread(file, &error))?,
            (Some(sql), _) if sql != "-" => sql.clone(),
            (sql, _) => {
                if sql.is_none() && stdin().is_terminal() {
                    return Err(
                        Problem::usage("no question").remedy("sotto query \"SELECT COUNT(*) FROM heart\" --epsilon 1")
                    );
                }
                let mut text = String::new();
                stdin()
                    .read_to_string(&mut text)
                    .map_err(|error| Problem::local("standard input", error))?;
                text
            }
        };
        if sql.trim().is_empty() {
            return Err(Problem::usage("the question is empty").remedy("SELECT COUNT(*) FROM heart"));
        }
        Ok(sql.trim().trim_end_matches(';').to_owned())
    }
}

impl Asked {
    /// The plan at one epsilon, or the error with a caret under the token.
    pub fn plan(&self, epsilon: f64) -> Result<QueryPlan, Problem> {
        let delta = self.dataset.contract.delta.get();
        query::compile(&self.sql, &self.dataset.contract, &self.terms, epsilon, delta).map_err(|error| {
            Problem::new(
                Exit::Refused,
                error.code,
                format!("this SQL cannot be asked\n{}", error.render(&self.sql).trim_end()),
            )
            .remedy("`sotto dataset show` lists columns, types and bounds; nothing was spent")
        })
    }

    /// The epsilon that was asked for, or that reaches the asked error.
    pub fn epsilon(&self, args: &QuestionArgs) -> Result<Option<f64>, Problem> {
        let Some(target) = args.target_error else {
            return Ok(args.epsilon);
        };
        let delta = self.dataset.contract.delta.get();
        self.plan(1.0)?;
        let found = query::epsilon_for_error(&self.sql, &self.dataset.contract, &self.terms, delta, target)
            .map_err(|error| Problem::new(Exit::Refused, error.code, error.to_string()))?;
        found.map(Some).ok_or_else(|| {
            Problem::new(
                Exit::Refused,
                "SOTTO-7302",
                format!("no epsilon up to 20 brings every output within {target}"),
            )
            .remedy("ask for a larger error, fewer groups or fewer aggregates")
        })
    }

    /// The least that is left at any owner that would be asked and shows its budget.
    pub fn left(&self) -> Option<(f64, &str)> {
        let shown = self.dataset.serving().filter_map(|site| {
            site.budget
                .as_ref()
                .map(|budget| (budget.epsilon_left, site.participant.as_str()))
        });
        shown.min_by(|a, b| a.0.total_cmp(&b.0))
    }
}

/// The purpose that was given, or the profile's, if the contract allows it.
pub async fn purpose(
    given: Option<String>,
    profile: &Profile,
    dataset: &Dataset,
    client: &mut Client,
) -> Result<String, Problem> {
    let allowed = &dataset.contract.purposes;
    let purpose = given.or_else(|| profile.purpose.clone()).ok_or_else(|| {
        Problem::usage("no purpose: every question declares one")
            .remedy(format!("--purpose {}", allowed.join(" or --purpose ")))
    })?;
    if allowed.contains(&purpose) {
        return Ok(purpose);
    }
    // One that is not written there may be below one that is; the consortium may have purposes of its own.
    let decided = client.decided().await?;
    let vocabulary = decided.register.vocabulary();
    if !allowed.iter().any(|allowed| vocabulary.subsumes(allowed, &purpose)) {
        let message = format!(
            "purpose `{purpose}` is not allowed by the contract of `{}`",
            dataset.name
        );
        return Err(Problem::new(Exit::Refused, "SOTTO-7304", message).remedy(format!(
            "allowed purposes, and what is below them: {}; `sotto purpose list`",
            allowed.join(", ")
        )));
    }
    Ok(purpose)
}

/// The cohort that the coordinator will plan for: all members of the epoch, and the largest minimum cohort among the owners
/// whose own minimum can be met.
pub fn terms(status: &v1::Status, dataset: &Dataset) -> CohortTerms {
    let mut owners: Vec<u32> = dataset.serving().map(|site| site.min_cohort).collect();
    loop {
        let count = owners.len();
        owners.retain(|min_cohort| *min_cohort as usize <= count);
        if owners.len() == count {
            break;
        }
    }
    let s_min = owners
        .into_iter()
        .chain([status.min_cohort, status.threshold])
        .max()
        .unwrap_or_default();
    CohortTerms {
        n: status.epoch_members.max(s_min),
        c: status.colluders,
        s_min,
    }
}
