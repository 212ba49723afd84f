//! `sotto query`: compile here, sign, submit, wait, print. What the SQL and the contract forbid is refused here; whether the
//! budget allows it only the owners decide, because the same question again is free however little is left.

use std::time::Duration;

use clap::Args;
use workload::query::predict;

use super::explain;
use super::job::remember;
use super::question::{Asked, LADDER, QuestionArgs, purpose};
use super::remote::Shown;
use super::wait::{Noun, wait};
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
  sotto query \"SELECT COUNT(*) FROM heart\" --epsilon 1 --dataset heart@1.0.0   under just that version
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
    #[command(flatten)]
    shown: Shown,
}

impl Query {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        self.shown.target(json)?.writable()?;
        let mut asked = self.question.open().await?;
        let Some(epsilon) = asked.epsilon(&self.question)? else {
            return Err(self.refuse_without_epsilon(&asked));
        };
        let assumed = predict(&asked.plan(epsilon)?).assumption;
        let purpose = purpose(self.purpose.clone(), &asked.profile, &asked.dataset, &mut asked.client).await?;

        let question = ask::question(&asked.dataset, &asked.sql, epsilon, &purpose, self.attempts);
        let request = asked.client.sign(question)?;
        let short = shortage(asked.left(), epsilon);
        let submitted = asked
            .client
            .submit(request)
            .await
            .map_err(|problem| explained(problem, short.as_deref()))?;
        remember(&asked.profile, &submitted.job, &asked.dataset.name, &asked.sql);
        let released = match submitted.repeated {
            Some(released) => released,
            None if self.detach => {
                warn(short.as_deref());
                match json {
                    true => println!("{}", serde_json::json!({ "job": submitted.job })),
                    false => println!("{}", submitted.job),
                }
                return Ok(());
            }
            None => {
                warn(short.as_deref());
                wait(
                    &mut asked.client,
                    Noun::Job,
                    &submitted.job,
                    self.timeout.map(Duration::from_secs),
                )
                .await
                .map_err(|problem| explained(problem, short.as_deref()))?
            }
        };
        let answer = Answer::of(*released)?.noted(asked.notice);
        let answer = answer.aimed(self.question.target_error);
        print(&answer, &self.shown, json)?;
        if let Some(warning) = answer.aim().and_then(|aim| aim.warning(&assumed)) {
            eprintln!("WARNING: {warning}");
        }
        Ok(())
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

/// Why the owners will hardly answer; owners that keep their budget to themselves decide unseen.
fn shortage(left: Option<(f64, &str)>, epsilon: f64) -> Option<String> {
    let (left, participant) = left.filter(|(left, _)| *left < epsilon)?;
    Some(format!(
        "{left:.4} is left at {participant}, less than epsilon {epsilon}: at most --epsilon {:.4}, or `sotto release` for answers that \
         are free already",
        left * 0.99
    ))
}

fn warn(short: Option<&str>) {
    if let Some(short) = short {
        eprintln!("note: {short}");
    }
}

/// The owners' refusal with what their published budgets say about it, if it is about budgets.
fn explained(problem: Problem, short: Option<&str>) -> Problem {
    let refused = matches!(problem.exit, Exit::Refused | Exit::Failed);
    match short {
        Some(short)
            if refused
                && (problem.code == engine::codes::BUDGET || problem.message.contains(engine::codes::BUDGET)) =>
        {
            problem.remedy(short)
        }
        _ => problem,
    }
}

/// Writes an answer: the table with its statement below, or the format that was asked for.
pub fn print(answer: &Answer, shown: &Shown, json: bool) -> Result<(), Problem> {
    let target = shown.target(json)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_the_remedy_of_a_refusal_and_nothing_else() {
        assert_eq!(shortage(Some((2.0, "zurich")), 1.0), None);
        assert_eq!(shortage(None, 1.0), None);
        let short = shortage(Some((0.5, "zurich")), 1.0).unwrap();
        assert!(short.contains("0.5000 is left at zurich"), "{short}");
        let refused = |why: &str| Problem::new(Exit::Failed, "SOTTO-2010", format!("owners refused: zurich: {why}"));
        let spent = explained(refused("SOTTO-3008: too little is left"), Some(&short));
        assert_eq!(spent.remedy, Some(short.clone()));
        let unlisted = explained(refused("SOTTO-3021: not on the list [grant.none]"), Some(&short));
        assert_eq!(unlisted.remedy, None);
        let gone = Problem::new(Exit::Unreachable, "SOTTO-7201", "gone");
        assert_eq!(explained(gone, Some(&short)).remedy, None);
    }
}
