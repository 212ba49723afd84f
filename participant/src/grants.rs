//! Grants as the local operator sees and ends them. What is ended here is signed by the agent, durable before the command returns,
//! and in force from then on, with the coordinator down too.

use engine::participant::Participant;
use governance::grant::Unlogged;
use governance::{Act, ContentHash, What};
use serde_json::{Value, json};

use crate::problem::{Problem, UNKNOWN};

/// Digits of an id that are enough, if no other grant begins with them.
const FEWEST_DIGITS: usize = 8;

/// Every grant that concerns this organisation.
pub fn listed(engine: &Participant, now_ms: u64) -> Value {
    let (register, by) = (engine.books().heard().register(), engine.by());
    let line = |(owner, line): &(&str, &governance::grant::Line)| {
        json!({
            "owner": owner,
            "status": line.status(now_ms, &Unlogged),
            "held_by": line.held_by().collect::<Vec<_>>(),
            "terms": line.terms(),
            "history": line.history.iter().map(|entry| json!({
                "what": entry.what, "by": entry.by.id, "at_ms": entry.at_ms, "note": entry.note,
            })).collect::<Vec<_>>(),
        })
    };
    let grants = register.grants(&by).map(|view| {
        json!({
            "grant": view.grant.id,
            "requester": view.grant.requested.requester,
            "organisation": view.grant.requested.organisation,
            "dataset": view.grant.requested.dataset,
            "lines": view.lines.iter().map(line).collect::<Vec<_>>(),
        })
    });
    json!({
        "grants": grants.collect::<Vec<_>>(),
        "not_confirmed": engine.books().heard().made().iter().map(|act| act.hash()).collect::<Vec<_>>(),
    })
}

/// The act that stops a grant, by its id or the first digits of it, on behalf of this agent's organisation.
pub fn stopped(
    engine: &Participant,
    wanted: &str,
    note: String,
    now_ms: u64,
    what: impl FnOnce(ContentHash, Option<String>) -> What,
) -> Result<Act, Problem> {
    let (register, by) = (engine.books().heard().register(), engine.by());
    let problem =
        |text: String| Problem::new(UNKNOWN, text).remedy("`sotto-participant grants` lists those that concern it");
    let unknown = || problem(format!("no grant `{wanted}` concerns this organisation"));
    if wanted.len() < FEWEST_DIGITS {
        return Err(problem(format!(
            "`{wanted}` is too short: expected at least {FEWEST_DIGITS} digits of the grant's id"
        )));
    }
    let reader = by.clone();
    let mut found = register
        .grants(&reader)
        .filter(|view| view.grant.id.to_string().starts_with(wanted));
    let view = found.next().ok_or_else(unknown)?;
    if found.next().is_some() {
        return Err(problem(format!(
            "several grants begin with `{wanted}`: give more digits"
        )));
    }
    let owns = view.grant.lines.contains_key(&by.organisation);
    let owner = owns.then(|| by.organisation.clone());
    Ok(Act {
        what: what(view.grant.id, owner),
        by,
        at_ms: now_ms,
        note,
    })
}
