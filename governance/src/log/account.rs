//! What the log says of one request: who asked, who decided what, what it cost whom, who contributed, what came of it.
//!
//! Built from events that somebody has verified; one pass. It holds what leaves hold: names, times, hashes, counts, prices.

use std::collections::BTreeMap;

use serde::Serialize;

use super::event::{Decision, Event, Kind, Price};
use crate::ContentHash;

/// The account of one request.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Account {
    pub request: Option<Asked>,
    pub contract: Option<ContentHash>,
    /// By the agent's name.
    pub participants: BTreeMap<String, Part>,
    /// Releases and models that came of it, in the log's order.
    pub outcomes: Vec<Outcome>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Asked {
    pub hash: ContentHash,
    pub analyst: String,
    pub at_ms: u64,
    pub index: u64,
}

/// One participant's part.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Part {
    pub decisions: Vec<Said>,
    /// Tokens set aside, less those that came back.
    pub tokens: i64,
    /// Of one token; the newest price. None: without noise, or nothing was charged.
    pub epsilon: Option<f64>,
    pub delta: Option<f64>,
    pub without_noise: bool,
    /// Vectors that left.
    pub vectors: u64,
    /// Hashes that the decisions refer to.
    pub grants: Vec<ContentHash>,
    pub policy: Option<ContentHash>,
    pub consent: Option<ContentHash>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Said {
    pub decision: Decision,
    pub at_ms: u64,
    pub index: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    pub kind: Kind,
    pub release: ContentHash,
    pub model: Option<ContentHash>,
    /// The earlier request that this one repeats at no cost: its account says who paid.
    pub repeats: Option<ContentHash>,
    pub at_ms: u64,
    pub index: u64,
}

/// The request behind a release, by the hash of the release.
pub fn request_of<'e>(events: impl IntoIterator<Item = &'e Event>, release: &ContentHash) -> Option<ContentHash> {
    let mut events = events.into_iter();
    let made = events.find(|event| event.kind == Kind::Release && event.references.get("release") == Some(release))?;
    made.references.get("request").copied()
}

/// Everything that the events say of a request. The first event has index `from`.
pub fn account<'e>(events: impl IntoIterator<Item = &'e Event>, from: u64, request: &ContentHash) -> Account {
    let mut account = Account::default();
    let mut releases: Vec<ContentHash> = Vec::new();
    for (index, event) in (from..).zip(events) {
        let release = event.references.get("release").copied();
        let of_release = release.is_some_and(|release| releases.contains(&release));
        if event.references.get("request") == Some(request) || of_release {
            if event.kind == Kind::Release {
                releases.extend(release);
            }
            account.take(index, event);
        }
    }
    account
}

impl Account {
    fn take(&mut self, index: u64, event: &Event) {
        let at_ms = event.at_ms;
        let reference = |name: &str| event.references.get(name).copied();
        match event.kind {
            Kind::Request => {
                self.contract = event.contract;
                self.request = reference("request").map(|hash| Asked {
                    hash,
                    analyst: event.actor.id.clone(),
                    at_ms,
                    index,
                });
            }
            Kind::Decision => {
                let part = self.part(event);
                part.decisions
                    .extend(event.decision.map(|decision| Said { decision, at_ms, index }));
                part.grants.extend(reference("grant"));
                part.policy = event.policy.or(part.policy);
                part.consent = event.consent.or(part.consent);
            }
            Kind::Charge => {
                if let Some(delta) = &event.budget_delta {
                    let part = self.part(event);
                    part.tokens += delta.tokens;
                    match &delta.price {
                        Price::Private { epsilon, delta, .. } => {
                            (part.epsilon, part.delta) = (Some(epsilon.get()), Some(delta.get()));
                        }
                        Price::WithoutNoise => part.without_noise = true,
                    }
                }
            }
            Kind::Contribution => self.part(event).vectors += u64::from(event.vectors.unwrap_or(1)),
            kind => self.outcomes.extend(reference("release").map(|release| Outcome {
                kind,
                release,
                model: reference("model"),
                repeats: reference("repeats"),
                at_ms,
                index,
            })),
        }
    }

    fn part(&mut self, event: &Event) -> &mut Part {
        self.participants.entry(event.actor.id.clone()).or_default()
    }
}
