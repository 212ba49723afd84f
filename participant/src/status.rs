//! What the local operator may see and do: `status`, `ledger`, `pause`, `resume`. Answers come from the running engine, so they
//! work while the coordinator is down. Nothing here depends on data.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::message::Offer;
use engine::participant::{Input, Participant};
use engine::step::ParticipantEvent;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::driver::now_ms;

/// One line of JSON over the local socket.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    Status,
    Ledger { population: Option<String> },
    Pause { dataset: String },
    Resume { dataset: String },
}

/// What a command comes to.
pub enum Reply {
    Known(Value),
    /// An order for the engine, answered once it is durable.
    Pause {
        dataset: String,
        paused: bool,
    },
}

/// Notices kept for `status`.
const RECENT: usize = 20;

/// The driver's picture of itself.
pub struct Status {
    agent: String,
    coordinator: String,
    connected: bool,
    epoch: Option<String>,
    /// Bytes of messages handed to TLS, counted by the link.
    bytes_sent: Arc<AtomicU64>,
    rounds_sent: u64,
    rounds_refused: u64,
    /// Datasets that are not served, and why.
    refused_datasets: BTreeMap<String, String>,
    recent: VecDeque<String>,
}

impl Status {
    pub fn new(
        agent: &str,
        coordinator: &str,
        refused_datasets: BTreeMap<String, String>,
        bytes_sent: Arc<AtomicU64>,
    ) -> Self {
        Self {
            agent: agent.to_owned(),
            coordinator: coordinator.to_owned(),
            connected: false,
            epoch: None,
            bytes_sent,
            rounds_sent: 0,
            rounds_refused: 0,
            refused_datasets,
            recent: VecDeque::new(),
        }
    }

    /// The answer to a question, or the order that it is.
    pub fn answer(&self, command: Command, engine: &Participant) -> Reply {
        Reply::Known(match command {
            Command::Status => json!({
                "agent": self.agent,
                "coordinator": self.coordinator,
                "connected": self.connected,
                "epoch": self.epoch,
                "bytes_sent": self.bytes_sent.load(Ordering::Relaxed),
                "rounds_sent": self.rounds_sent,
                "rounds_refused": self.rounds_refused,
                "datasets": engine.offers(now_ms()).iter().map(offer_view).collect::<Vec<_>>(),
                "refused_datasets": self.refused_datasets,
                "recent": self.recent,
            }),
            Command::Ledger { population } => engine
                .books()
                .ledgers()
                .filter(|(id, _)| population.as_ref().is_none_or(|wanted| wanted == *id))
                .map(|(id, ledger)| (id.to_owned(), ledger_view(ledger)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Command::Pause { dataset } => return Reply::Pause { dataset, paused: true },
            Command::Resume { dataset } => return Reply::Pause { dataset, paused: false },
        })
    }

    pub fn saw(&mut self, input: &Input) {
        match input {
            Input::Connected => self.connected = true,
            Input::Disconnected => {
                self.connected = false;
                self.epoch = None;
            }
            _ => {}
        }
    }

    /// Counts, remembers and traces one notice of the engine.
    pub fn note(&mut self, event: &ParticipantEvent) {
        match event {
            ParticipantEvent::EpochLive { epoch } => self.epoch = Some(format!("{epoch:?}")),
            ParticipantEvent::EpochLeft { .. } => self.epoch = None,
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
        self.recent.push_back(format!("{event:?}"));
    }
}

fn offer_view(offer: &Offer) -> Value {
    let budget = offer.budget.map(|budget| {
        json!({ "epsilon_left": budget.epsilon_left, "epsilon_cap": budget.epsilon_cap, "delta_cap": budget.delta_cap })
    });
    json!({
        "dataset": offer.dataset,
        "snapshot": offer.snapshot,
        "min_cohort": offer.min_cohort,
        "paused": offer.paused,
        "budget": budget,
    })
}

fn ledger_view(ledger: &privacy::Ledger) -> Value {
    serde_json::to_value(ledger.summary()).unwrap_or(Value::Null)
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
