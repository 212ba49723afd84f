//! What the ledger writes down: events, and entries that chain them.
//!
//! An entry's hash covers everything in it and the hash before it, in a byte encoding of its own (lengths before texts, little-endian
//! numbers), so that no change of a serializer can change what was signed or witnessed. Names are those of the owner's books.

use super::Cap;
use crate::cost::{Charge, ORDERS};
use serde::{Deserialize, Serialize};

/// The people a ledger is about: fixed locally for the physical source and its unit column. Every dataset, contract version and snapshot
/// over the same people shares one ledger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PopulationId(String);

impl PopulationId {
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a reservation is called: the hash of the request it pays for, or anything else the caller never uses twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReservationId(String);

impl ReservationId {
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One thing that happened to a budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum LedgerEvent {
    /// What the population may spend from now on.
    CapSet { cap: Cap, approvals: Vec<String> },
    /// What one analyst may spend inside it.
    AnalystCapSet {
        analyst: String,
        cap: Cap,
        approvals: Vec<String>,
    },
    /// `tokens` releases of `charge` each are set aside and count as spent.
    Reserved {
        id: ReservationId,
        analyst: String,
        charge: Charge,
        tokens: u32,
    },
    /// The owner opted in to `tokens` releases without noise: the charge is infinite and stands beside the caps. It is counted for the owner;
    /// statements of other releases are about those alone (`proofs/no-noise.md`).
    ReservedWithoutNoise {
        id: ReservationId,
        analyst: String,
        tokens: u32,
        approvals: Vec<String>,
    },
    /// The data is about to be touched for so many tokens: they can never come back.
    Committed { id: ReservationId, tokens: u32 },
    /// So many tokens, for which data was never touched, come back.
    Voided { id: ReservationId, tokens: u32 },
    /// Spent before the ledger was put back to an older state: charged again, whatever the caps, as two people say.
    Restored {
        id: ReservationId,
        analyst: String,
        charge: Charge,
        tokens: u32,
        approvals: Vec<String>,
    },
}

/// A line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Counted from 0.
    pub seq: u64,
    /// When, in milliseconds since 1970; never falls.
    pub at_ms: u64,
    pub population: PopulationId,
    pub event: LedgerEvent,
    /// The hash of the entry before, or of the empty ledger.
    pub previous: EntryHash,
    pub hash: EntryHash,
}

impl Entry {
    pub(super) fn chain(
        seq: u64,
        at_ms: u64,
        population: PopulationId,
        event: LedgerEvent,
        previous: EntryHash,
    ) -> Self {
        let mut entry = Self {
            seq,
            at_ms,
            population,
            event,
            previous,
            hash: EntryHash([0; 32]),
        };
        entry.hash = entry.digest();
        entry
    }

    /// The hash this entry should have.
    pub fn digest(&self) -> EntryHash {
        let mut bytes = Bytes(blake3::Hasher::new_derive_key("sottovoce privacy ledger entry 1"));
        bytes.number(self.seq);
        bytes.number(self.at_ms);
        bytes.text(self.population.as_str());
        bytes.0.update(&self.previous.0);
        match &self.event {
            LedgerEvent::CapSet { cap, approvals } => {
                bytes.number(0);
                bytes.cap(cap);
                bytes.texts(approvals);
            }
            LedgerEvent::AnalystCapSet {
                analyst,
                cap,
                approvals,
            } => {
                bytes.number(1);
                bytes.text(analyst);
                bytes.cap(cap);
                bytes.texts(approvals);
            }
            LedgerEvent::Reserved {
                id,
                analyst,
                charge,
                tokens,
            } => {
                bytes.number(2);
                bytes.text(id.as_str());
                bytes.text(analyst);
                bytes.charge(charge);
                bytes.number((*tokens).into());
            }
            LedgerEvent::ReservedWithoutNoise {
                id,
                analyst,
                tokens,
                approvals,
            } => {
                bytes.number(3);
                bytes.text(id.as_str());
                bytes.text(analyst);
                bytes.number((*tokens).into());
                bytes.texts(approvals);
            }
            LedgerEvent::Committed { id, tokens } => {
                bytes.number(4);
                bytes.text(id.as_str());
                bytes.number((*tokens).into());
            }
            LedgerEvent::Voided { id, tokens } => {
                bytes.number(5);
                bytes.text(id.as_str());
                bytes.number((*tokens).into());
            }
            LedgerEvent::Restored {
                id,
                analyst,
                charge,
                tokens,
                approvals,
            } => {
                bytes.number(6);
                bytes.text(id.as_str());
                bytes.text(analyst);
                bytes.charge(charge);
                bytes.number((*tokens).into());
                bytes.texts(approvals);
            }
        }
        EntryHash(*bytes.0.finalize().as_bytes())
    }
}

/// 32 bytes, written as hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntryHash(pub [u8; 32]);

impl EntryHash {
    /// What stands before the first entry of a population.
    pub(super) fn empty(population: &PopulationId) -> Self {
        let mut bytes = Bytes(blake3::Hasher::new_derive_key("sottovoce privacy ledger empty 1"));
        bytes.text(population.as_str());
        Self(*bytes.0.finalize().as_bytes())
    }
}

impl From<EntryHash> for String {
    fn from(hash: EntryHash) -> String {
        blake3::Hash::from_bytes(hash.0).to_hex().to_string()
    }
}

impl TryFrom<String> for EntryHash {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let bad = |_| {
            format!(
                "malformed hash: expected 64 hexadecimal digits, got {} characters",
                text.len()
            )
        };
        blake3::Hash::from_hex(&text)
            .map(|hash| EntryHash(*hash.as_bytes()))
            .map_err(bad)
    }
}

struct Bytes(blake3::Hasher);

impl Bytes {
    fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
    }

    fn texts(&mut self, texts: &[String]) {
        self.number(texts.len() as u64);
        for text in texts {
            self.text(text);
        }
    }

    fn charge(&mut self, charge: &Charge) {
        for order in ORDERS {
            self.number(charge.curve.at(order));
        }
        self.number(charge.delta.units());
    }

    fn cap(&mut self, cap: &Cap) {
        self.number(cap.epsilon_nano);
        self.number(cap.delta.units());
        self.number(u32::from(cap.order).into());
        self.number(cap.renews.windows_a_year().into());
    }
}
