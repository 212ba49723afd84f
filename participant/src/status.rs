//! What the local operator may see and do: `status`, `ledger`, `pause`, `resume`, `grants`, `revoke`, `suspend`. Answers come from the running engine, so they
//! work while the coordinator is down. Nothing here depends on data.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::approval::{Approval, Approvers};
use engine::participant::{Dataset, Input, Participant};
use engine::step::ParticipantEvent;
use governance::{ContentHash, SignedAct, SigningKey, What};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::consent;
use crate::driver::now_ms;
use crate::problem::{CONFIGURED, LOCAL, Problem, UNKNOWN};
use crate::{grants, notices};

/// One line of JSON over the local socket.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    Status,
    Ledger {
        population: Option<String>,
    },
    Pause {
        dataset: String,
    },
    Resume {
        dataset: String,
    },
    /// Not the engine's to answer: see `socket`.
    Consent {
        order: consent::Order,
    },
    /// Charge again what the ledger forgot, as two people signed; without an approval, say what they would have to sign.
    Replay {
        approval: Option<Approval>,
    },
    /// Grants that concern this organisation, as this agent knows them.
    Grants,
    /// Ends a grant for this organisation, now and for good.
    Revoke {
        grant: String,
        note: String,
    },
    /// Holds a grant up; a steward lets it go on.
    Suspend {
        grant: String,
        note: String,
    },
}

/// What a command comes to.
pub enum Reply {
    Known(Value),
    /// An order for the engine, answered once it is durable.
    Pause {
        dataset: String,
        paused: bool,
    },
    Replay {
        approval: Approval,
    },
    /// The same, signed by this agent.
    Act(SignedAct),
}

/// Notices kept for `status`.
const RECENT: usize = 20;

/// The driver's picture of itself.
pub struct Status {
    agent: String,
    coordinator: String,
    connected: bool,
    /// Bytes of messages handed to TLS, counted by the link.
    bytes_sent: Arc<AtomicU64>,
    rounds_sent: u64,
    rounds_refused: u64,
    /// Datasets that are not served, and why.
    refused_datasets: BTreeMap<String, String>,
    /// Every dataset of the configuration whose contract could be read, served now or not.
    known: BTreeSet<String>,
    recent: VecDeque<String>,
    /// Signs what the operator revokes.
    key: SigningKey,
}

impl Status {
    pub fn new(
        agent: &str,
        coordinator: &str,
        refused_datasets: BTreeMap<String, String>,
        known: BTreeSet<String>,
        bytes_sent: Arc<AtomicU64>,
        key: SigningKey,
    ) -> Self {
        Self {
            agent: agent.to_owned(),
            coordinator: coordinator.to_owned(),
            connected: false,
            bytes_sent,
            rounds_sent: 0,
            rounds_refused: 0,
            refused_datasets,
            known,
            recent: VecDeque::new(),
            key,
        }
    }

    /// The answer to a question, or the order that it is. A name that is not known is refused with those that are.
    pub fn answer(&self, command: Command, engine: &Participant) -> Reply {
        let now_ms = now_ms();
        Reply::Known(match command {
            Command::Status => json!({
                "agent": self.agent,
                "coordinator": self.coordinator,
                "connected": self.connected,
                "epoch": engine.epochs().last(),
                "bytes_sent": self.bytes_sent.load(Ordering::Relaxed),
                "rounds_sent": self.rounds_sent,
                "rounds_refused": self.rounds_refused,
                "datasets": engine.datasets().iter().map(|d| dataset_view(d, engine, now_ms)).collect::<Vec<_>>(),
                "refused_datasets": self.refused_datasets,
                "approvers": approvers(engine),
                "not_approved": engine.unapproved().iter().map(ToString::to_string).collect::<Vec<_>>(),
                "log": log_view(engine),
                "recent": self.recent,
            }),
            Command::Ledger { population } => ledgers(population.as_deref(), engine, now_ms),
            Command::Pause { dataset } => return self.order(dataset, true, engine),
            Command::Resume { dataset } => return self.order(dataset, false, engine),
            Command::Consent { .. } => Problem::from(consent::OrderError::NotRequired).to_json(),
            Command::Replay { approval: None } => match engine.to_be_replayed() {
                Ok(proposal) => json!({ "proposal": proposal, "approvers": approvers(engine) }),
                Err(refused) => Problem::from(refused).to_json(),
            },
            Command::Replay {
                approval: Some(approval),
            } => match engine.can_replay(&approval) {
                Ok(_) => return Reply::Replay { approval },
                Err(refused) => Problem::from(refused).to_json(),
            },
            Command::Grants => grants::listed(engine, now_ms),
            Command::Revoke { grant, note } => {
                return self.stop(engine, &grant, note, |grant, owner| What::GrantRevoked { grant, owner });
            }
            Command::Suspend { grant, note } => {
                return self.stop(engine, &grant, note, |grant, owner| What::GrantSuspended {
                    grant,
                    owner,
                });
            }
        })
    }

    fn stop(
        &self,
        engine: &Participant,
        grant: &str,
        note: String,
        what: impl FnOnce(ContentHash, Option<String>) -> What,
    ) -> Reply {
        match grants::stopped(engine, grant, note, now_ms(), what).and_then(|act| {
            let signed = act.sign(&self.key);
            signed.map_err(|error| Problem::new(LOCAL, error.to_string()))
        }) {
            Ok(signed) => Reply::Act(signed),
            Err(problem) => Reply::Known(problem.to_json()),
        }
    }

    fn order(&self, dataset: String, paused: bool, engine: &Participant) -> Reply {
        if !self.known.contains(&dataset) && !engine.books().is_paused(&dataset) {
            return Reply::Known(unknown("dataset", &dataset, self.known.iter()));
        }
        let configured = |served: &&Dataset| served.contract.name == dataset && served.paused;
        if !paused && engine.datasets().iter().any(|served| configured(&served)) {
            let text =
                format!("`{dataset}` is paused by the configuration: set paused = false there and restart the agent");
            return Reply::Known(Problem::new(CONFIGURED, text).to_json());
        }
        Reply::Pause { dataset, paused }
    }

    pub fn saw(&mut self, input: &Input) {
        match input {
            Input::Connected => self.connected = true,
            Input::Disconnected => self.connected = false,
            _ => {}
        }
    }

    /// Other datasets than before are not served.
    pub fn refused(&mut self, datasets: BTreeMap<String, String>) {
        self.refused_datasets = datasets;
    }

    /// Counts, remembers and traces one notice of the engine.
    pub fn note(&mut self, event: &ParticipantEvent) {
        match event {
            ParticipantEvent::Sent { .. } => {
                self.rounds_sent += 1;
                metrics::counter!("sotto_participant_rounds_sent_total").increment(1);
            }
            ParticipantEvent::Refused { .. } => {
                self.rounds_refused += 1;
                metrics::counter!("sotto_participant_rounds_refused_total").increment(1);
            }
            ParticipantEvent::Suspicious { .. } => {
                metrics::counter!("sotto_participant_suspicious_total").increment(1);
            }
            _ => {}
        }
        match event {
            ParticipantEvent::Suspicious { .. } => tracing::warn!(?event, "the protocol was broken"),
            ParticipantEvent::Sent { .. } | ParticipantEvent::Revealed { .. } | ParticipantEvent::Accepted { .. } => {
                tracing::debug!(?event);
                return;
            }
            _ => tracing::info!(?event),
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(notices::words(event));
    }
}

/// Whose signatures count, by the store and not by the file.
fn approvers(engine: &Participant) -> Approvers {
    let pinned = engine.books().approvers();
    pinned.map(|(_, people)| people.clone()).unwrap_or_default()
}

/// What this witness has seen of the log, and why it answers nothing, if so. A fork is shown whole: it is evidence.
fn log_view(engine: &Participant) -> Value {
    let books = engine.books().log();
    json!({
        "leaves_seen": engine.witness().size(),
        "own_events_not_in_the_log_yet": books.outbox().len(),
        "own_events_that_the_store_lacks": books.missing().len(),
        "trouble": engine.log_trouble(now_ms()).map(|refusal| refusal.to_string()),
        "fork": engine.witness().fork(),
    })
}

/// The owner's own view: what is left stands here whether analysts are shown it or not.
fn dataset_view(dataset: &Dataset, engine: &Participant, now_ms: u64) -> Value {
    let budget = engine.budget_view(&dataset.population, now_ms).map(|budget| {
        json!({ "epsilon_left": budget.epsilon_left, "epsilon_cap": budget.epsilon_cap, "delta_cap": budget.delta_cap })
    });
    json!({
        "dataset": dataset.contract.name,
        "version": dataset.contract.version,
        "contract": dataset.contract.hash(),
        "stage": engine.standing(dataset, now_ms).name(),
        "snapshot": dataset.snapshot,
        "min_cohort": dataset.min_cohort,
        "paused": engine.is_paused(dataset),
        "budget": budget,
        "budget_shown": dataset.show_budget,
    })
}

/// All ledgers, or one; a population of the configuration that was never granted anything has none yet.
fn ledgers(only: Option<&str>, engine: &Participant, now_ms: u64) -> Value {
    let configured = engine.datasets().iter().map(|dataset| &dataset.population);
    let known: BTreeSet<&String> = engine.books().ledgers().map(|(id, _)| id).chain(configured).collect();
    if let Some(wanted) = only.filter(|wanted| known.iter().all(|id| id != wanted)) {
        return unknown("population", wanted, known.into_iter());
    }
    let asked = known.into_iter().filter(|id| only.is_none_or(|wanted| wanted == *id));
    let view = |id: &String| {
        let ledger = engine.books().ledger(id).map(|ledger| ledger.summary(now_ms));
        (id.clone(), serde_json::to_value(ledger).unwrap_or(Value::Null))
    };
    asked.map(view).collect::<serde_json::Map<_, _>>().into()
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a String>) -> Value {
    let known: Vec<&str> = known.map(String::as_str).collect();
    let known = if known.is_empty() {
        "none".to_owned()
    } else {
        known.join(", ")
    };
    Problem::new(UNKNOWN, format!("unknown {what} `{name}`: known here: {known}")).to_json()
}

/// Indented lines, one a fact.
pub fn for_people(answer: &Value) -> String {
    let mut text = String::new();
    indent(answer, 0, &mut text);
    text
}

fn indent(value: &Value, depth: usize, text: &mut String) {
    let pad = "  ".repeat(depth);
    let entries: Vec<(String, &Value)> = match value {
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| (name.replace('_', " "), value))
            .collect(),
        Value::Array(list) => list.iter().map(|value| ("-".to_owned(), value)).collect(),
        _ => return,
    };
    for (name, value) in entries {
        match value {
            Value::Object(_) | Value::Array(_) => {
                text.push_str(&format!("{pad}{name}\n"));
                indent(value, depth + 1, text);
            }
            Value::String(word) => text.push_str(&format!("{pad}{name}  {word}\n")),
            Value::Null => text.push_str(&format!("{pad}{name}  none\n")),
            other => text.push_str(&format!("{pad}{name}  {other}\n")),
        }
    }
}
