//! Metering: what was asked, answered, charged and contributed, by analyst, contract, participant and grant. Counted in whole units (epsilon
//! in billionths), so that two accounts of one story are equal to the unit or somebody left something out.
//!
//! One type, two sources. [`Usage::of_log`] counts leaves and nothing else. The coordinator counts its own records of requests and answers
//! as they become durable, and of agents what they signed ([`Usage::take_agent`]). [`Usage::difference`] names the first row in which the two
//! differ. A step an event; memory for one entry a request and participant.

use std::collections::BTreeMap;

use serde::Serialize;

use super::event::{Decision, Event, Kind, Price};
use crate::{ContentHash, Roster};

/// Billionths of epsilon: what a row counts in.
const UNITS: f64 = 1e9;

/// Everything that was counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    asked: BTreeMap<Asker, Asked>,
    used: BTreeMap<User, Used>,
    /// Who asked each request, under which contract.
    requests: BTreeMap<ContentHash, Asker>,
    /// Under which grant a participant answers a request now; none: under its owner's list.
    under: BTreeMap<(String, ContentHash), Option<ContentHash>>,
}

/// Who asked. Of requests that nobody is known to have asked: nobody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Asker {
    pub analyst: String,
    /// Stands for the dataset: the log knows its contract.
    pub contract: ContentHash,
}

/// What an analyst asked and was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    pub requests: u64,
    /// Answers that were computed, and earlier ones that were given again.
    pub releases: u64,
    pub repeats: u64,
}

/// Whose data was used for whom, by which permission.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct User {
    #[serde(flatten)]
    pub asker: Asker,
    pub participant: String,
    /// None: by the owner's list. A refusal names no grant.
    pub grant: Option<ContentHash>,
}

/// What a participant did for a [`User`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Used {
    pub allowed: u64,
    pub refused: u64,
    /// Set aside, less what came back.
    pub tokens: i64,
    /// Tokens times price, in billionths of epsilon; those without noise have no price and are counted apart.
    pub epsilon_nano: i64,
    pub without_noise: i64,
    /// Vectors that left: one a round.
    pub vectors: u64,
}

impl Usage {
    /// The account that the log alone gives.
    pub fn of_log<'e>(events: impl IntoIterator<Item = &'e Event>) -> Self {
        let mut usage = Self::default();
        for event in events {
            let request = event.references.get("request").copied();
            match (event.kind, request, event.contract) {
                (Kind::Request, Some(request), Some(contract)) => {
                    usage.request(request, &event.actor.id, contract);
                }
                (Kind::Release, Some(request), _) => {
                    usage.release(&request, event.references.contains_key("repeats"));
                }
                _ => usage.take_agent(event),
            }
        }
        usage
    }

    /// An analyst asked.
    pub fn request(&mut self, request: ContentHash, analyst: &str, contract: ContentHash) {
        let asker = Asker {
            analyst: analyst.to_owned(),
            contract,
        };
        self.asked.entry(asker.clone()).or_default().requests += 1;
        self.requests.insert(request, asker);
    }

    /// It was answered.
    pub fn release(&mut self, request: &ContentHash, repeats: bool) {
        let asked = self.asked.entry(self.asker(request)).or_default();
        match repeats {
            true => asked.repeats += 1,
            false => asked.releases += 1,
        }
    }

    /// What an agent signed; of other events nothing.
    pub fn take_agent(&mut self, event: &Event) {
        let Some(request) = event.references.get("request").copied() else {
            return;
        };
        let named = event.references.get("grant").copied();
        let place = (event.actor.id.clone(), request);
        match event.kind {
            Kind::Decision if event.decision == Some(Decision::Allow) => {
                self.under.insert(place, named);
                self.used(event, request, named).allowed += 1;
            }
            Kind::Decision => self.used(event, request, named).refused += 1,
            Kind::Charge => {
                let Some(delta) = &event.budget_delta else { return };
                // What comes back may not say which grant it went out under.
                let grant = match delta.tokens > 0 {
                    true => named,
                    false => named.or_else(|| self.under.get(&place).copied().flatten()),
                };
                if delta.tokens > 0 {
                    self.under.insert(place, named);
                }
                let used = self.used(event, request, grant);
                used.tokens = used.tokens.saturating_add(delta.tokens);
                match &delta.price {
                    Price::Private { epsilon, .. } => {
                        let cost = units(epsilon.get()).saturating_mul(delta.tokens);
                        used.epsilon_nano = used.epsilon_nano.saturating_add(cost);
                    }
                    Price::WithoutNoise => used.without_noise = used.without_noise.saturating_add(delta.tokens),
                }
            }
            Kind::Contribution => {
                let grant = named.or_else(|| self.under.get(&place).copied().flatten());
                self.used(event, request, grant).vectors += u64::from(event.vectors.unwrap_or(1));
            }
            _ => {}
        }
    }

    fn used(&mut self, event: &Event, request: ContentHash, grant: Option<ContentHash>) -> &mut Used {
        let user = User {
            asker: self.asker(&request),
            participant: event.actor.id.clone(),
            grant,
        };
        self.used.entry(user).or_default()
    }

    fn asker(&self, request: &ContentHash) -> Asker {
        let nobody = || Asker {
            analyst: String::new(),
            contract: ContentHash([0; 32]),
        };
        self.requests.get(request).cloned().unwrap_or_else(nobody)
    }

    /// What was asked.
    pub fn askers(&self) -> impl Iterator<Item = (&Asker, &Asked)> {
        self.asked.iter()
    }

    /// What was used.
    pub fn users(&self) -> impl Iterator<Item = (&User, &Used)> {
        self.used.iter()
    }

    /// The rows that a member may see: of its organisation's own analysts, and, for whoever speaks for an owner, of those that used the
    /// owner's data.
    pub fn seen_by(&self, organisation: &str, speaks: bool, roster: &Roster) -> Rows {
        let own = |analyst: &str| roster.analyst(analyst).is_some_and(|a| a.organisation == organisation);
        let owns = |agent: &str| speaks && roster.agent(agent).is_some_and(|a| a.organisation == organisation);
        Rows {
            asked: (self.asked.iter())
                .filter(|(asker, _)| own(&asker.analyst))
                .map(|(asker, asked)| (asker.clone(), *asked))
                .collect(),
            used: (self.used.iter())
                .filter(|(user, _)| own(&user.asker.analyst) || owns(&user.participant))
                .map(|(user, used)| (user.clone(), *used))
                .collect(),
        }
    }
}

/// Rows of an account, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub asked: BTreeMap<Asker, Asked>,
    pub used: BTreeMap<User, Used>,
}

impl Rows {
    /// The first row in which two accounts differ, in words; none if they are equal to the unit.
    pub fn difference(&self, log: &Self) -> Option<String> {
        let asked = first(&self.asked, &log.asked).map(|(asker, books, log)| {
            format!(
                "`{}` under contract {}: the books say {books:?}, the log {log:?}",
                asker.analyst, asker.contract
            )
        });
        asked.or_else(|| {
            first(&self.used, &log.used).map(|(user, books, log)| {
                let grant = user
                    .grant
                    .map_or("the owner's list".to_owned(), |grant| format!("grant {grant}"));
                format!(
                    "`{}` for `{}` under contract {} and {grant}: the books say {books:?}, the log {log:?}",
                    user.participant, user.asker.analyst, user.asker.contract
                )
            })
        })
    }
}

/// The first key that two maps do not agree on; what is missing counts as nothing.
fn first<'a, K: Ord, V: Copy + Default + PartialEq>(
    ours: &'a BTreeMap<K, V>,
    theirs: &'a BTreeMap<K, V>,
) -> Option<(&'a K, V, V)> {
    let of = |map: &BTreeMap<K, V>, key: &K| map.get(key).copied().unwrap_or_default();
    let both = |key: &'a K| (key, of(ours, key), of(theirs, key));
    let differ = |(_, ours, theirs): &(&K, V, V)| ours != theirs;
    let missing = theirs.keys().filter(|key| !ours.contains_key(*key));
    ours.keys().chain(missing).map(both).find(differ)
}

/// A price in whole units, rounded as everybody rounds it.
fn units(epsilon: f64) -> i64 {
    (epsilon * UNITS).round() as i64
}
