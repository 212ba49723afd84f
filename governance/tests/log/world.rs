//! A small consortium with a log: a coordinator, four hospitals that witness, and an analyst who asks.

use std::collections::BTreeMap;

use governance::log::event::{Actor, BudgetDelta, Decision, Price, Role};
use governance::log::note::Signature;
use governance::log::trust::{TrustFile, WitnessEntry};
use governance::log::witness::Inclusion;
use governance::log::{
    Algorithm, Checkpoint, Event, Kind, Nodes, NoteKey, Offer, Payload, SignedCheckpoint, SignedEvent, Tree, Trust,
    View, Witness,
};
use governance::{Agent, Analyst, ContentHash, CoordinatorEntry, Roster, SigningKey, canonical::Real};

pub const ORIGIN: &str = "heart.example/log";
pub const MERGE_DELAY_MS: u64 = 10_000;
pub const COORDINATOR: u8 = 60;
pub const ANALYST: u8 = 50;
pub const GOVERNANCE: u8 = 90;

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

pub fn hash(byte: u8) -> ContentHash {
    ContentHash([byte; 32])
}

pub fn log_key() -> NoteKey {
    NoteKey::new(ORIGIN, Algorithm::Ed25519, key(COORDINATOR).public()).unwrap()
}

pub fn witness_key(agent: u8) -> NoteKey {
    NoteKey::new(&format!("agent-{agent}"), Algorithm::CosignatureV1, key(agent).public()).unwrap()
}

/// A witness that has seen nothing.
pub fn witness() -> Witness {
    Witness::new(log_key(), MERGE_DELAY_MS, View::default()).unwrap()
}

/// Hospitals 1 to 4, of which one may lie: three must agree.
pub fn trust_file() -> TrustFile {
    let entry = |agent| WitnessEntry {
        key: witness_key(agent).to_string(),
        organisation: format!("hospital {agent}"),
    };
    TrustFile {
        log: log_key().to_string(),
        coordinator: "trust office".into(),
        faulty: 1,
        quorum: 3,
        governance: Some(key(GOVERNANCE).public()),
        witnesses: (1..=4).map(entry).collect(),
    }
}

pub fn trust() -> Trust {
    trust_file().check().unwrap()
}

/// The members, as governance lists them.
pub fn roster() -> Roster {
    let member = |i: u8| Agent {
        id: format!("agent-{i}"),
        organisation: format!("hospital {i}"),
        signing_key: key(i).public(),
        tls_key: hash(i),
    };
    Roster {
        consortium: "heart".into(),
        version: 3,
        c: 1,
        min_cohort: 3,
        agents: (1..=4).map(member).collect(),
        analysts: vec![Analyst {
            id: "ana".into(),
            organisation: "university".into(),
            key: key(ANALYST).public(),
            tls_key: hash(50),
        }],
        stewards: vec![],
        coordinator: CoordinatorEntry {
            id: "co".into(),
            organisation: None,
            tls_key: hash(60),
            signing_key: key(COORDINATOR).public(),
        },
        retiring: Vec::new(),
    }
}

pub fn agent(agent: u8) -> Actor {
    Actor {
        role: Role::Agent,
        id: format!("agent-{agent}"),
        key: key(agent).public(),
    }
}

/// An event with what its kind asks for and nothing else.
pub fn event(kind: Kind, actor: Actor, at_ms: u64) -> Event {
    let contract = matches!(kind, Kind::Request | Kind::Decision | Kind::Charge | Kind::Contract);
    let charge = BudgetDelta {
        tokens: 2,
        price: Price::Private {
            epsilon: Real::new(0.1).unwrap(),
            delta: Real::new(1e-6).unwrap(),
            rho: Real::new(0.001).unwrap(),
        },
        ledger: hash(8),
    };
    Event {
        references: kind.concerns().iter().map(|name| (name.to_string(), hash(1))).collect(),
        contract: contract.then_some(hash(2)),
        decision: (kind == Kind::Decision).then_some(Decision::Deny),
        budget_delta: (kind == Kind::Charge).then_some(charge),
        ..Event::new(kind, at_ms, actor)
    }
}

pub fn decided(by: u8, at_ms: u64) -> SignedEvent {
    event(Kind::Decision, agent(by), at_ms).sign(&key(by)).unwrap()
}

/// The coordinator's log.
#[derive(Clone, Default)]
pub struct Log {
    pub tree: Tree,
    pub entries: Vec<(SignedEvent, Option<Payload>)>,
}

impl Log {
    /// Decisions of hospitals 1 to 4 in turn; every third has words beside it.
    pub fn of(size: u64) -> Self {
        let mut log = Self::default();
        for at in 0..size {
            let by = (at % 4 + 1) as u8;
            let payload = (at % 3 == 0).then(|| Payload {
                salt: hash(at as u8),
                text: format!("purpose {at} is not granted"),
            });
            let mut event = event(Kind::Decision, agent(by), at);
            event.payload = payload.as_ref().map(Payload::commitment);
            log.append(event.sign(&key(by)).unwrap(), payload);
        }
        log
    }

    pub fn append(&mut self, event: SignedEvent, payload: Option<Payload>) {
        self.tree.append(event.leaf().as_bytes());
        self.entries.push((event, payload));
    }

    pub fn checkpoint(&self) -> SignedCheckpoint {
        let checkpoint = Checkpoint {
            origin: ORIGIN.into(),
            size: self.tree.size(),
            root: self.tree.root(),
        };
        checkpoint.sign(&key(COORDINATOR)).unwrap()
    }

    /// The head with the lines of these hospitals.
    pub fn cosigned(&self, agents: impl IntoIterator<Item = u8>) -> SignedCheckpoint {
        let mut checkpoint = self.checkpoint();
        for agent in agents {
            let name = format!("agent-{agent}");
            let line = Signature::cosign(&name, &key(agent), checkpoint.note().text(), 1_700_000_000).unwrap();
            checkpoint.attach(line, &witness_key(agent)).unwrap();
        }
        checkpoint
    }

    /// What a witness that has seen `seen` leaves is sent, with proofs of these events.
    pub fn offer(&self, seen: u64, own: &[&SignedEvent]) -> Offer {
        let size = self.tree.size();
        let indices: BTreeMap<_, u64> = self.entries.iter().map(|(event, _)| event.hash()).zip(0..).collect();
        let inclusion = |event: &&SignedEvent| {
            let index = indices[&event.hash()];
            Inclusion {
                leaf: event.hash(),
                index,
                path: self.tree.inclusion(index, size).unwrap(),
            }
        };
        Offer {
            checkpoint: self.checkpoint().to_string().into_bytes(),
            consistency: self.tree.consistency(seen.min(size), size).unwrap(),
            own: own.iter().map(inclusion).collect(),
            added: Vec::new(),
        }
    }
}
