//! `sotto query`: compile here, sign, submit, wait, print. The question is refused here before anything is spent whenever
//! this side can see that it would be.

use std::time::Duration;

use clap::Args;
use workload::query::predict;

use super::explain;
use super::job::remember;
use super::question::{Asked, LADDER, QuestionArgs};
use super::remote::Shown;
use super::wait::wait;
use crate::answer::Answer;
use crate::output::{Format, Paint};
use crate::{Exit, Problem, ask};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto query \"SELECT sex, COUNT(*), AVG(chol) FROM heart GROUP BY sex\" --epsilon 1
  sotto query \"SELECT AVG(thalch) FROM heart\" --target-error 2          finds the epsilon
  sotto query -f question.sql --epsilon 0.5 -o answer.parquet
  sotto query \"SELECT COUNT(*) FROM heart\" --epsilon 1 --json           rows and privacy receipt
  sotto query \"SELECT COUNT(*) FROM heart\" --epsilon 1 --detach         prints the job; `sotto job watch ID`

The same question again costs nothing: the stored answer is returned, and says so. Values carry the half-width of a
95 % interval that covers the noise only, not sampling or missing data.")]
pub struct Query {
    #[command(flatten)]
    question: QuestionArgs,
    /// Purpose, one that the contract allows [default: the profile's]
    #[arg(long)]
    purpose: Option<String>,
    /// Print the job and do not wait
    #[arg(long)]
    detach: bool,
    /// Seconds to wait; the job goes on after that
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Attempts to allow; each that fails after participants computed was charged
    #[arg(long, default_value_t = ask::ATTEMPTS)]
    attempts: u32,
    /// One JSON object: rows, intervals and privacy receipt
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    #[command(flatten)]
    shown: Shown,
}

impl Query {
    pub async fn run(self) -> Result<(), Problem> {
        let mut asked = self.question.open().await?;
        let Some(epsilon) = asked.epsilon(&self.question)? else {
            return Err(self.refuse_without_epsilon(&asked));
        };
        asked.plan(epsilon)?;
        let purpose = self.purpose(&asked)?;
        check_budget(&asked, epsilon)?;

        let question = ask::question(&asked.dataset, &asked.sql, epsilon, &purpose, self.attempts);
        let request = asked.client.sign(question)?;
        let submitted = asked.client.submit(request).await?;
        remember(&asked.profile, &submitted.job, &asked.dataset.name, &asked.sql);
        let answer = match submitted.repeated {
            Some(answer) => answer,
            None if self.detach => {
                match self.json {
                    true => println!("{}", serde_json::json!({ "job": submitted.job })),
                    false => println!("{}", submitted.job),
                }
                return Ok(());
            }
            None => wait(&mut asked.client, &submitted.job, self.timeout.map(Duration::from_secs)).await?,
        };
        print(&answer, &self.shown, self.json)
    }

    fn purpose(&self, asked: &Asked) -> Result<String, Problem> {
        let allowed = &asked.dataset.contract.purposes;
        let purpose = self
            .purpose
            .clone()
            .or_else(|| asked.profile.purpose.clone())
            .ok_or_else(|| {
                Problem::usage("no purpose: every question declares one")
                    .remedy(format!("--purpose {}", allowed.join(" or --purpose ")))
            })?;
        if !allowed.contains(&purpose) {
            let message = format!(
                "purpose `{purpose}` is not allowed by the contract of `{}`",
                asked.dataset.name
            );
            return Err(Problem::new(Exit::Refused, "SOTTO-7304", message)
                .remedy(format!("allowed purposes: {}", allowed.join(", "))));
        }
        Ok(purpose)
    }

    fn refuse_without_epsilon(&self, asked: &Asked) -> Problem {
        match ladder(asked) {
            Ok(table) => {
                eprint!("{table}");
                Problem::usage("neither --epsilon nor --target-error: nothing was asked and nothing was spent")
                    .remedy("choose a line of the table above: --epsilon 1; docs/choosing-epsilon.md helps to choose")
            }
            Err(problem) => problem,
        }
    }
}

/// What each epsilon of the ladder would give.
fn ladder(asked: &Asked) -> Result<String, Problem> {
    let mut predictions = Vec::new();
    for epsilon in LADDER {
        predictions.push((epsilon, predict(&asked.plan(epsilon)?)));
    }
    let sheet = explain::ladder(&predictions);
    let table = crate::output::table(&sheet, Paint::Plain, None);
    Ok(format!(
        "Expected +/- (half-width of the 95 % interval) of each output, by epsilon:\n{table}"
    ))
}

/// Refuses here what an owner would refuse; owners that keep their budget to themselves decide later.
fn check_budget(asked: &Asked, epsilon: f64) -> Result<(), Problem> {
    match asked.left() {
        Some((left, participant)) if left < epsilon => Err(Problem::new(
            Exit::Refused,
            "SOTTO-3008",
            format!("epsilon {epsilon} is more than is left: {left:.4} at {participant}"),
        )
        .remedy(format!(
            "--epsilon {:.4}, or `sotto release` for answers that are free already",
            left * 0.99
        ))),
        _ => Ok(()),
    }
}

/// Writes an answer: the table with its statement below, or the format that was asked for.
pub fn print(answer: &Answer, shown: &Shown, json: bool) -> Result<(), Problem> {
    let target = shown.target();
    if json {
        let text = serde_json::to_string_pretty(&answer.to_json()).map_err(|e| Problem::local("json", e))?;
        return target.write_bytes(format!("{text}\n").as_bytes());
    }
    target.write(&answer.sheet())?;
    let statement = answer.statement();
    if target.format == Format::Table && target.file.is_none() {
        println!("{statement}");
    } else {
        eprintln!("{statement}");
    }
    Ok(())
}
