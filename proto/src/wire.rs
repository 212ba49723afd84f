//! Reading what arrived: every field is checked once, here, and becomes a type that needs no further check. A message that
//! fails is refused with the field, what was expected and what was found; contents never appear in an error.

use std::sync::Arc;

use engine::message::Wire;
use engine::{AgentId, JobId, Refused, SlotId};
use governance::{SignedAct, SignedRequest, SignedRoster};
use prost::bytes::Bytes;

use crate::v1;

/// Longest name of an agent, analyst or dataset.
pub const MAX_NAME: usize = 128;
/// Longest version of a peer's software.
pub const MAX_SOFTWARE: usize = 64;
/// Longest sentence of a refusal; longer ones are cut before they are sent.
pub const MAX_SENTENCE: usize = 4096;
/// Longest document: a request, a contract, a roster.
pub const MAX_DOCUMENT: usize = 4 << 20;

/// Why a message was refused. The sender is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("missing {0}")]
    Missing(&'static str),
    #[error("mismatched length of {what}: expected {expected} bytes, found {found}")]
    Length {
        what: &'static str,
        expected: usize,
        found: usize,
    },
    #[error("oversized {what}: expected at most {limit}, found {found}")]
    Oversized { what: &'static str, limit: u64, found: u64 },
    #[error("unknown {what}: found {found}")]
    Unknown { what: &'static str, found: i64 },
    #[error("mismatched order: expected {expected}, found {found}")]
    Order {
        expected: &'static str,
        found: &'static str,
    },
    #[error("malformed {0}: expected a finite number of at least 0")]
    Number(&'static str),
    #[error("unreadable {0}")]
    Unreadable(&'static str),
}

/// Bytes as the engine keeps them; one copy.
pub(crate) fn wire(bytes: Bytes) -> Wire {
    Arc::from(&bytes[..])
}

/// The engine's bytes on their way out; no copy.
pub(crate) fn bytes(wire: Wire) -> Bytes {
    Bytes::from_owner(wire)
}

pub(crate) fn required<T>(what: &'static str, field: Option<T>) -> Result<T, Malformed> {
    field.ok_or(Malformed::Missing(what))
}

pub(crate) fn fixed<const N: usize>(what: &'static str, bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed::Length {
        what,
        expected: N,
        found: bytes.len(),
    })
}

pub(crate) fn at_most(what: &'static str, limit: usize, found: usize) -> Result<(), Malformed> {
    if found > limit {
        return Err(Malformed::Oversized {
            what,
            limit: limit as u64,
            found: found as u64,
        });
    }
    Ok(())
}

pub(crate) fn text(what: &'static str, limit: usize, text: String) -> Result<String, Malformed> {
    at_most(what, limit, text.len())?;
    Ok(text)
}

pub(crate) fn agent(name: String) -> Result<AgentId, Malformed> {
    Ok(AgentId::from(text("agent name", MAX_NAME, name)?))
}

pub(crate) fn job(bytes: &[u8]) -> Result<JobId, Malformed> {
    fixed("job id", bytes).map(JobId)
}

pub(crate) fn slot(at: Option<v1::SlotId>) -> Result<SlotId, Malformed> {
    let at = required("slot", at)?;
    Ok(SlotId {
        epoch: at.epoch,
        slot: small("slot", at.slot)?,
    })
}

pub(crate) fn small(what: &'static str, number: u32) -> Result<u16, Malformed> {
    number.try_into().map_err(|_| Malformed::Oversized {
        what,
        limit: u16::MAX.into(),
        found: number.into(),
    })
}

pub(crate) fn quantity(what: &'static str, value: f64) -> Result<f64, Malformed> {
    if value.is_finite() && value >= 0.0 {
        Ok(value)
    } else {
        Err(Malformed::Number(what))
    }
}

impl From<SignedAct> for v1::SignedAct {
    fn from(signed: SignedAct) -> Self {
        Self {
            body: signed.body,
            signature: signed.signature.into(),
            event: signed.event.into(),
        }
    }
}

impl TryFrom<v1::SignedAct> for SignedAct {
    type Error = Malformed;

    fn try_from(signed: v1::SignedAct) -> Result<Self, Malformed> {
        Ok(Self {
            body: text("act", MAX_DOCUMENT, signed.body)?,
            signature: signed.signature.into(),
            event: signed.event.into(),
        })
    }
}

/// Reads a list of acts.
pub fn acts(acts: Vec<v1::SignedAct>) -> Result<Vec<SignedAct>, Malformed> {
    acts.into_iter().map(SignedAct::try_from).collect()
}

impl From<SlotId> for v1::SlotId {
    fn from(at: SlotId) -> Self {
        Self {
            epoch: at.epoch,
            slot: at.slot.into(),
        }
    }
}

impl From<Refused> for v1::Refused {
    fn from(refused: Refused) -> Self {
        Self {
            code: cut(refused.code, MAX_NAME),
            message: cut(refused.message, MAX_SENTENCE),
            remedy: refused.remedy.map(|remedy| cut(remedy, MAX_SENTENCE)),
        }
    }
}

impl TryFrom<v1::Refused> for Refused {
    type Error = Malformed;

    fn try_from(refused: v1::Refused) -> Result<Self, Malformed> {
        Ok(Self {
            code: printable(text("refusal code", MAX_NAME, refused.code)?),
            message: printable(text("refusal", MAX_SENTENCE, refused.message)?),
            remedy: match refused.remedy {
                Some(remedy) => Some(printable(text("remedy", MAX_SENTENCE, remedy)?)),
                None => None,
            },
        })
    }
}

impl From<&SignedRequest> for v1::SignedRequest {
    fn from(request: &SignedRequest) -> Self {
        Self {
            body: Bytes::copy_from_slice(&request.body),
            signature: Bytes::copy_from_slice(&request.signature),
            event: Bytes::copy_from_slice(&request.event),
        }
    }
}

impl TryFrom<v1::SignedRequest> for SignedRequest {
    type Error = Malformed;

    fn try_from(request: v1::SignedRequest) -> Result<Self, Malformed> {
        at_most("request", MAX_DOCUMENT, request.body.len())?;
        Ok(Self {
            body: request.body.into(),
            signature: fixed::<64>("request signature", &request.signature)?.to_vec(),
            event: fixed::<64>("signature of a request's event", &request.event)?.to_vec(),
        })
    }
}

impl From<SignedRoster> for v1::SignedRoster {
    fn from(roster: SignedRoster) -> Self {
        Self {
            body: roster.body,
            signature: roster.signature.into(),
        }
    }
}

impl TryFrom<v1::SignedRoster> for SignedRoster {
    type Error = Malformed;

    fn try_from(roster: v1::SignedRoster) -> Result<Self, Malformed> {
        Ok(Self {
            body: text("roster", MAX_DOCUMENT, roster.body)?,
            signature: fixed::<64>("roster signature", &roster.signature)?.to_vec(),
        })
    }
}

/// What a peer wrote, made fit for a terminal and a log: a control character could move the cursor, recolour, or forge the
/// next line. Only for text that people read; what is hashed or signed stays as it came.
pub fn printable(text: String) -> String {
    if text.chars().any(char::is_control) {
        text.replace(char::is_control, "\u{fffd}")
    } else {
        text
    }
}

/// The longest beginning of `text` that fits and ends between two characters.
pub(crate) fn cut(mut text: String, limit: usize) -> String {
    text.truncate(text.floor_char_boundary(limit));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_refusal_is_cut_where_it_leaves_and_refused_where_it_arrives() {
        let refused = Refused {
            code: "SOTTO-0001".to_owned(),
            message: "é".repeat(MAX_SENTENCE),
            remedy: None,
        };
        let sent = v1::Refused::from(refused.clone());
        assert!(Refused::try_from(sent).is_ok());
        let uncut = v1::Refused {
            code: refused.code,
            message: refused.message,
            remedy: None,
        };
        assert!(matches!(Refused::try_from(uncut), Err(Malformed::Oversized { .. })));
    }

    #[test]
    fn what_a_peer_says_cannot_steer_a_terminal_or_forge_a_line_of_a_log() {
        let refused = v1::Refused {
            code: "SOTTO-3005\r".to_owned(),
            message: "no\x1b[2J\n2026-01-01 INFO all is well".to_owned(),
            remedy: Some("\u{9b}31m".to_owned()),
        };
        let read = Refused::try_from(refused).unwrap();
        let all = format!("{}{}{}", read.code, read.message, read.remedy.unwrap());
        assert!(!all.chars().any(char::is_control), "{all:?}");
        assert_eq!(printable("Zürich, 5 °C".to_owned()), "Zürich, 5 °C");
    }

    #[test]
    fn a_signature_of_the_wrong_length_is_refused_by_name() {
        let short = v1::SignedRequest {
            body: Bytes::from_static(b"{}"),
            signature: Bytes::from_static(&[0; 63]),
            event: Bytes::from_static(&[0; 64]),
        };
        let refused = SignedRequest::try_from(short).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "mismatched length of request signature: expected 64 bytes, found 63"
        );
    }
}
