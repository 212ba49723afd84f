//! Events and accounts as people read them.

use governance::ContentHash;
use governance::log::Account;
use governance::log::event::{Decision, Event, Price};

use crate::output::{Cell, Kind as Column, Sheet, plain};
use crate::released::minute;

/// One line an event.
pub fn events<'e>(events: impl Iterator<Item = (u64, &'e Event)>) -> Sheet {
    let mut sheet = Sheet::new([
        ("entry", Column::Integer),
        ("time", Column::Text),
        ("who", Column::Text),
        ("what", Column::Text),
        ("about", Column::Text),
    ]);
    for (index, event) in events {
        sheet.push([
            Cell::Integer(i64::try_from(index).unwrap_or(i64::MAX)),
            minute(event.at_ms).into(),
            event.actor.id.clone().into(),
            what(event).into(),
            about(event).into(),
        ]);
    }
    sheet
}

fn what(event: &Event) -> String {
    let charge = event.budget_delta.as_ref().map(|delta| match &delta.price {
        Price::Private { epsilon, .. } => format!("{} x epsilon {}", delta.tokens, plain(epsilon.get())),
        Price::WithoutNoise => format!("{} x without noise", delta.tokens),
    });
    let decision = event.decision.map(|decision| said(decision).to_owned());
    let vectors = event.vectors.map(|vectors| format!("{vectors} vectors"));
    let more = charge.or(decision).or(vectors);
    match more {
        Some(more) => format!("{}: {more}", event.kind),
        None => event.kind.to_string(),
    }
}

fn said(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Deny => "deny",
    }
}

/// Hashes by the names that they are referred to by, shortened: `sotto audit show` prints them whole.
fn about(event: &Event) -> String {
    let short = |(name, hash): (&String, &ContentHash)| format!("{name} {}", &hash.to_string()[..12]);
    let parts: Vec<String> = event.references.iter().map(short).collect();
    parts.join(", ")
}

/// The account of a request, a few lines a participant.
pub fn account(account: &Account) -> String {
    let mut text = String::new();
    if let Some(asked) = &account.request {
        text += &format!(
            "request {}\n  asked by {} at {}, entry {}\n",
            asked.hash,
            asked.analyst,
            minute(asked.at_ms),
            asked.index
        );
    }
    if let Some(contract) = &account.contract {
        text += &format!("  under contract {contract}\n");
    }
    for (agent, part) in &account.participants {
        text += &format!("{agent}\n");
        for decision in &part.decisions {
            text += &format!(
                "  {} at {}, entry {}\n",
                said(decision.decision),
                minute(decision.at_ms),
                decision.index
            );
        }
        if let Some(contract) = &part.contract {
            text += &format!("  under contract {contract}\n");
        }
        for grant in &part.grants {
            let since = if part.revoked.contains(grant) {
                ", revoked since"
            } else {
                ""
            };
            text += &format!("  under grant {grant}{since}\n");
        }
        for (layer, hash) in &part.policies {
            text += &format!("  by the policies of the {layer} layer {hash}\n");
        }
        if let Some(consent) = &part.consent {
            let version = consent
                .version
                .map_or_else(|| "?".to_owned(), |version| version.to_string());
            text += &format!("  over the consents of publication {version}, root {}\n", consent.root);
        }
        text += &match (part.without_noise, part.epsilon, part.delta) {
            (true, ..) => format!("  charged {} releases without noise\n", part.tokens),
            (false, Some(epsilon), Some(delta)) => {
                format!(
                    "  charged {} x epsilon {} at delta {delta:e}\n",
                    part.tokens,
                    plain(epsilon)
                )
            }
            _ => "  charged nothing\n".to_owned(),
        };
        text += &format!("  contributed {} vectors\n", part.vectors);
    }
    for outcome in &account.outcomes {
        text += &format!(
            "{} {} at {}, entry {}\n",
            outcome.kind,
            outcome.release,
            minute(outcome.at_ms),
            outcome.index
        );
        if let Some(earlier) = &outcome.repeats {
            text += &format!("  repeats request {earlier} at no cost\n");
        }
        if let Some(model) = &outcome.model {
            text += &format!("  model {model}\n");
        }
        if let Some(parent) = &outcome.parent {
            text += &format!("  continues model {parent}\n");
        }
    }
    text
}
