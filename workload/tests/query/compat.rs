//! The verdicts of `governance::contract::compat` against what a question really does: every edit of its table, a battery of
//! questions, and made-up rows that honour the contract a question was written for. A verdict that lets questions through
//! must be kept by the compiler and by the answers; one that does not must have a question that shows why.

use super::battery::{BATTERY, close, figures, honest};
use super::common::{TERMS, answer};
use edits::{BASE, EDITS, edited};
use governance::Contract;
use governance::contract::compat::{Claim, Verdict, claim, compare, overall};
use workload::query::{QueryPlan, compile};

#[path = "../../../governance/tests/compat/edits.rs"]
mod edits;

/// Edits whose trouble no question over these rows shows, and where it lies instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("a purpose more", "in the decision of a participant"),
    ("a purpose less", "in the decision of a participant"),
    ("a purpose for another", "in the decision of a participant"),
    ("only a smaller delta is allowed", "in the delta of a request"),
    ("a larger delta is allowed", "in the delta of a request"),
    ("only smaller files are allowed", "in a file of more rows than these"),
    ("larger files are allowed", "in a file of more rows than these"),
    (
        "ids of the unit become text",
        "in ids that are one number and two texts",
    ),
    ("more rows of a unit count", "in a unit of more rows than these"),
    ("fewer rows of a unit count", "in a unit of more rows than these"),
    ("a unit may be in fewer groups", "in a unit in more groups than these"),
    ("more rows, in fewer groups", "in a unit of more rows, in more groups"),
    ("a unit is at one participant only", "in a unit at two"),
    ("a unit may be at more participants", "in a unit at three"),
    ("a finer step", "in quantiles, which are exact to a step"),
    ("a coarser step", "in quantiles, which are exact to a step"),
    (
        "a step that crosses the old one",
        "in quantiles, which are exact to a step",
    ),
    ("no step any more", "in quantiles, which are exact to a step"),
    (
        "an imputed column is never missing",
        "in a constant other than false, which stands in where NULL breaks a contract",
    ),
    ("another unit of measure", "in what a person makes of the number"),
];

fn contract(text: &str) -> Contract {
    Contract::parse(text).unwrap()
}

/// A fine lattice, so that answers differ by what a contract says and not by rounding.
fn ask(sql: &str, contract: &Contract) -> Option<QueryPlan> {
    compile(sql, contract, &TERMS, 20.0, 1e-7).ok()
}

/// The first question written for `from` that does not work, or means something else, under `to`.
fn broken(from: &Contract, to: &Contract) -> Option<String> {
    let data = honest(from);
    BATTERY.iter().find_map(|sql| {
        let before = ask(sql, from)?;
        let Some(after) = ask(sql, to) else {
            return Some(format!("{sql}: refused"));
        };
        let (before, after) = (figures(&answer(&before, &data)), figures(&answer(&after, &data)));
        let lost = before
            .iter()
            .find(|(keys, figures)| !after.get(*keys).is_some_and(|now| close(figures, now)))?;
        Some(format!("{sql}: {lost:?}, now {:?}", after.get(lost.0)))
    })
}

#[test]
fn a_verdict_is_what_questions_and_their_answers_show() {
    let base = contract(BASE);
    let mut wrong = String::new();
    for edit in EDITS {
        let new = contract(&edited(edit));
        let verdict = overall(&compare(&base, &new));
        let ways = [
            (verdict.is_backward(), broken(&base, &new)),
            (verdict.is_forward(), broken(&new, &base)),
        ];
        for question in ways.iter().filter_map(|(kept, shown)| shown.as_ref().filter(|_| *kept)) {
            wrong += &format!("{} is {verdict}, but {question}\n", edit.0);
        }
        let shown = ways.iter().any(|(kept, shown)| !kept && shown.is_some());
        let elsewhere = ELSEWHERE.iter().any(|(what, _)| *what == edit.0);
        if verdict != Verdict::Full && shown == elsewhere {
            wrong += &format!(
                "{} is {verdict}: shown by a question {shown}, listed as elsewhere {elsewhere}\n",
                edit.0
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_same_claim_means_the_same_sensitivity_of_every_question() {
    let base = contract(BASE);
    for edit in EDITS {
        let new = contract(&edited(edit));
        if claim(&compare(&base, &new)) != Claim::Same {
            continue;
        }
        for (before, after) in BATTERY
            .iter()
            .filter_map(|sql| Some((ask(sql, &base)?, ask(sql, &new)?)))
        {
            let moved = |plan: &QueryPlan| (plan.noise.l2_squared, plan.noise.l1, plan.unit.clone());
            assert_eq!(moved(&before), moved(&after), "{}", edit.0);
        }
    }
}
