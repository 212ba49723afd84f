//! What the log says of one request: who asked, who decided what, what it cost whom, who contributed, what came of it.
//!
//! Built from events that somebody has verified; one pass. It holds what leaves hold: names, times, hashes, counts, prices.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::event::{Decision, Event, Kind, POLICY, Price};
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
    /// Those of them that ended since, by a revocation of the grant or of this owner's part of it.
    pub revoked: BTreeSet<ContentHash>,
    #[serde(skip)]
    lines: BTreeMap<ContentHash, ContentHash>,
    /// The version of the contract that the newest yes was made under.
    pub contract: Option<ContentHash>,
    /// By layer, those that took part in it.
    pub policies: BTreeMap<String, ContentHash>,
    /// The publication of consents that it rests on, where the owner asks for consent.
    pub consent: Option<ConsentSaid>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConsentSaid {
    pub version: Option<u64>,
    pub root: ContentHash,
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
    /// The model that its training started from.
    pub parent: Option<ContentHash>,
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
    let mut revoked = BTreeSet::new();
    for (index, event) in (from..).zip(events) {
        let release = event.references.get("release").copied();
        let of_release = release.is_some_and(|release| releases.contains(&release));
        if event.references.get("request") == Some(request) || of_release {
            if event.kind == Kind::Release {
                releases.extend(release);
            }
            account.take(index, event);
        }
        if let (Kind::Revocation, Some(ended)) = (event.kind, event.references.get("revoked")) {
            revoked.insert(*ended);
        }
    }
    for part in account.participants.values_mut() {
        let ended = |grant: &&ContentHash| {
            let line = part.lines.get(*grant);
            revoked.contains(*grant) || line.is_some_and(|line| revoked.contains(line))
        };
        part.revoked = part.grants.iter().filter(ended).copied().collect();
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
                if let Some(grant) = reference("grant").filter(|grant| !part.grants.contains(grant)) {
                    part.grants.push(grant);
                    part.lines.extend(reference("line").map(|line| (grant, line)));
                }
                if event.decision == Some(Decision::Deny) && part.contract.is_some() {
                    return; // a no to one attempt does not unsay what a yes rested on
                }
                part.contract = event.contract;
                let policies = event.references.iter();
                let layers = policies.filter_map(|(name, hash)| Some((name.strip_prefix(POLICY)?.to_owned(), *hash)));
                part.policies = layers.collect();
                part.consent = event.consent.map(|root| ConsentSaid {
                    version: event.consent_version,
                    root,
                });
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
                parent: reference("parent"),
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
