//! `sotto explain`: the dry run. Costs and errors are computed here from the published contract; how each owner would decide, the owners
//! say themselves, to a trial. Nothing is submitted or spent.

use clap::Args;
use serde_json::{Value, json};
use workload::query::{Method, Prediction, QueryPlan, predict};

use super::planned::{print_run, run_as_json};
use super::question::{Asked, LADDER, QuestionArgs};
use super::remote::Shown;
use super::train::ready;
use crate::explained::OwnerPath;
use crate::output::{Cell, Column, Format, Kind, Sheet, plain};
use crate::profile::Profile;
use crate::train::RunFile;
use crate::{Client, Problem, Question, ask, train};

/// At which epsilon a question that names none is tried.
const TRIED: f64 = 1.0;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto explain \"SELECT sex, AVG(chol) FROM heart GROUP BY sex\" --epsilon 1
  sotto explain \"SELECT sex, AVG(chol) FROM heart GROUP BY sex\"            epsilon 0.1, 0.5, 1 and 2 side by side
  sotto explain run.toml                                                   a training run: plan, cost, traffic
                                                                           (`sotto train run.toml --dry-run` takes its flags)
  sotto explain -f question.sql --target-error 5                           the epsilon that gives it
  sotto explain -f question.sql --epsilon 1 --purpose DUO:0000006 --json   the owners' decisions, for a script
  sotto explain -f question.sql --local                                    asks no owner how it would decide

Every owner is asked how it would decide and shows the way: contract, grant, purpose, columns, policies, consent, budget. It answers
a trial, which no owner can take for a question: nothing is charged, computed or logged.")]
pub struct Explain {
    #[command(flatten)]
    question: QuestionArgs,
    /// What the answer would be used for [default: the profile's purpose]
    #[arg(long)]
    purpose: Option<String>,
    /// Compute cost and error here, and ask no owner how it would decide
    #[arg(long)]
    local: bool,
    #[command(flatten)]
    shown: Shown,
}

/// What the owners said, or why they were not asked; nothing if nobody wanted it.
struct Tried {
    epsilon: f64,
    said: Option<Result<Vec<OwnerPath>, Problem>>,
}

impl Explain {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        if let Some(file) = self.question.run_file() {
            let flags = RunFile {
                epsilon: self.question.epsilon,
                ..RunFile::default()
            };
            let mut ready = ready(Some(file), flags, &self.question.remote).await?;
            let purpose = self.purpose(ready.run.purpose.clone(), &ready.profile);
            let ask = |purpose: &str| {
                train::question(
                    &ready.dataset,
                    &ready.task,
                    ready.epsilon,
                    purpose,
                    ready.run.attempts(),
                )
            };
            let question = purpose.map(|purpose| ask(&purpose));
            let tried = Tried {
                epsilon: ready.epsilon,
                said: self.tried(&mut ready.client, question).await,
            };
            let mut explained = run_as_json(&ready);
            if json {
                tried.add_to(&mut explained);
                println!("{explained:#}");
                return Ok(());
            }
            print_run(&ready, false);
            print!("{}", tried.words());
            return Ok(());
        }
        let mut asked = self.question.open().await?;
        let chosen = asked.epsilon(&self.question)?;
        let epsilons = chosen.map_or_else(|| LADDER.to_vec(), |epsilon| vec![epsilon]);
        let mut predictions = Vec::new();
        let mut plan = None;
        for epsilon in epsilons {
            let compiled = asked.plan(epsilon)?;
            predictions.push((epsilon, predict(&compiled)));
            plan = Some(compiled);
        }
        let epsilon = chosen.unwrap_or(TRIED);
        let ask = |purpose: String| ask::question(&asked.dataset, &asked.sql, epsilon, &purpose, ask::ATTEMPTS);
        let question = self.purpose(None, &asked.profile).map(ask);
        let target = self.shown.target(json)?;
        // A table of figures for a machine has no place for what owners say: they are not asked.
        let told = json || target.format == Format::Table && target.file.is_none();
        let said = match told {
            true => self.tried(&mut asked.client, question).await,
            false => None,
        };
        let tried = Tried { epsilon, said };
        let sheet = ladder(&predictions);
        if json {
            let mut explained = self.as_json(&asked, &predictions, plan.as_ref());
            tried.add_to(&mut explained);
            return target.write_bytes(format!("{explained:#}\n").as_bytes());
        }
        target.write(&sheet)?;
        if told {
            print!("{}{}", words(&asked, chosen, plan.as_ref()), tried.words());
        }
        Ok(())
    }

    /// As it is signed: whether it is allowed, the owners say.
    fn purpose(&self, of_run: Option<String>, profile: &Profile) -> Option<String> {
        self.purpose.clone().or(of_run).or_else(|| profile.purpose.clone())
    }

    /// What the owners say. That they cannot be asked now is told, and what was computed here stands.
    async fn tried(&self, client: &mut Client, question: Option<Question>) -> Option<Result<Vec<OwnerPath>, Problem>> {
        if self.local {
            return None;
        }
        let question = question.ok_or_else(|| {
            Problem::usage("no purpose is given, and every decision is about one").remedy("--purpose NAME")
        });
        Some(match question {
            Ok(question) => client.explain(question).await,
            Err(problem) => Err(problem),
        })
    }

    fn as_json(&self, asked: &Asked, predictions: &[(f64, Prediction)], plan: Option<&QueryPlan>) -> Value {
        json!({
            "sql": asked.sql,
            "dataset": asked.dataset.name,
            "contract": asked.dataset.contract.hash(),
            "delta": asked.dataset.contract.delta.get(),
            "rho": plan.filter(|_| self.question.epsilon.is_some() || self.question.target_error.is_some()).map(rho),
            "cells": plan.map(|plan| plan.layout().dim()),
            "cohort": { "members": asked.terms.n, "at_least": asked.terms.s_min, "colluders": asked.terms.c },
            "expected": expected(predictions),
            "left": asked.left().map(|(left, at)| json!({ "epsilon": left, "participant": at })),
            "version": asked.dataset.contract.version,
            "notice": asked.notice,
        })
    }
}

impl Tried {
    fn add_to(&self, explained: &mut Value) {
        explained["tried"] = match &self.said {
            None => Value::Null,
            Some(Ok(owners)) => json!({
                "epsilon": self.epsilon,
                "owners": owners.iter().map(OwnerPath::to_json).collect::<Vec<_>>(),
            }),
            Some(Err(problem)) => problem.to_json(),
        };
    }

    fn words(&self) -> String {
        match &self.said {
            None => "no owner was asked how it would decide\n".to_owned(),
            Some(Ok(owners)) => {
                let told: String = owners.iter().map(|owner| format!("\n{}", owner.words())).collect();
                let epsilon = plain(self.epsilon);
                format!(
                    "\nhow each owner would decide at epsilon {epsilon}; nothing was charged, computed or logged:\n{told}"
                )
            }
            Some(Err(problem)) => format!("\nno owner could be asked how it would decide:\n{problem}\n"),
        }
    }
}

fn words(asked: &Asked, chosen: Option<f64>, plan: Option<&QueryPlan>) -> String {
    let contract = &asked.dataset.contract;
    let unit = contract.privacy_unit.as_deref().unwrap_or("row");
    let mut text = "+/- is the expected half-width of the 95 % interval, from public figures alone:\n".to_owned();
    if let Some(plan) = plan {
        text += &format!("{}\n", predict(plan).assumption);
    }
    if let (Some(epsilon), Some(plan)) = (chosen, plan) {
        text += &format!(
            "cost: epsilon {} (rho {}) at delta {:e}, for one {unit}; {} noisy cells in one round\n",
            plain(epsilon),
            plain(rho(plan)),
            contract.delta.get(),
            plan.layout().dim(),
        );
    }
    text += &match asked.left() {
        Some((left, participant)) => format!(
            "left: epsilon {} at {participant}, the least of all owners that show it\n",
            plain(left)
        ),
        None => "left: no owner that is online and not paused publishes its budget\n".to_owned(),
    };
    if let Some(notice) = &asked.notice {
        text += &format!("note: {notice}\n");
    }
    text
}

/// Per epsilon, the expected half-width of each output.
fn expected(predictions: &[(f64, Prediction)]) -> serde_json::Value {
    let at = |(epsilon, prediction): &(f64, Prediction)| json!({ "epsilon": epsilon, "outputs": prediction.columns });
    predictions.iter().map(at).collect()
}

/// One row per output, one column per epsilon.
pub fn ladder(predictions: &[(f64, Prediction)]) -> Sheet {
    let mut sheet = Sheet::new([("output", Kind::Text)]);
    for (epsilon, _) in predictions {
        sheet.columns.push(Column {
            name: format!("+/- at epsilon {}", plain(*epsilon)),
            kind: Kind::Number,
        });
    }
    let outputs = predictions
        .first()
        .map(|(_, first)| first.columns.as_slice())
        .unwrap_or_default();
    for (i, output) in outputs
        .iter()
        .enumerate()
        .filter(|(_, output)| output.method != Method::Exact)
    {
        let mut row: Vec<Cell> = vec![output.name.as_str().into()];
        row.extend(
            predictions
                .iter()
                .map(|(_, prediction)| Cell::from(prediction.columns[i].half_width)),
        );
        sheet.push(row);
    }
    sheet
}

/// The largest Renyi divergence over its order: a zCDP parameter over the orders that are accounted.
fn rho(plan: &QueryPlan) -> f64 {
    let charge = plan.charge();
    let ratio = |order: &privacy::Order| charge.curve.at(*order) as f64 * 1e-9 / order.value();
    privacy::ORDERS.iter().map(ratio).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use workload::query::PredictedColumn;

    use super::*;
    use crate::output::{Paint, table};

    #[test]
    fn a_ladder_has_a_column_per_epsilon() {
        let column = |name: &str, method, half_width| PredictedColumn {
            name: name.into(),
            method,
            half_width,
            note: None,
        };
        let at = |half_width| Prediction {
            rows: 2,
            assumption: String::new(),
            columns: vec![
                column("sex", Method::Exact, None),
                column("n", Method::Normal, Some(half_width)),
            ],
        };
        let sheet = ladder(&[(0.1, at(50.0)), (1.0, at(5.0))]);
        assert_eq!(sheet.rows, [vec![Cell::from("n"), Cell::from(50.0), Cell::from(5.0)]]);
        assert!(table(&sheet, Paint::Plain, None).contains("+/- at epsilon 0.1"));
    }
}
