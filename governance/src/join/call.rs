//! What governance says to the mailbox that carries requests: signed calls, each fresh and each once. The mailbox can hand them to nobody:
//! a call names its coordinator.

use serde::{Deserialize, Serialize};

use crate::{BadSignature, ContentHash, SignedRoster, SigningKey, VerifyingKey, canonical, keys};

const DOMAIN: &str = "enrolment call";
/// How old a call may be, and how far the clocks may be apart.
pub const FRESH_MS: u64 = 60_000;

/// One call. Times rise strictly, so that none counts twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    pub coordinator: String,
    pub at_ms: u64,
    pub ask: Ask,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ask {
    /// What waits?
    Waiting,
    /// Here is the answer to the application of this hash, and a newer roster if there is one.
    Answer {
        application: ContentHash,
        answer: Answer,
        roster: Option<SignedRoster>,
    },
    /// Here is a newer roster.
    Roster { roster: SignedRoster },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// The approval's file, as it would have been sent.
    Approved { approval: String },
    Refused {
        code: String,
        message: String,
        remedy: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedCall {
    pub body: String,
    #[serde(with = "canonical::hexadecimal")]
    pub signature: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error("call is not signed by the governance key")]
    Signature,
    #[error("malformed call: {0}")]
    Malformed(String),
    #[error("call for coordinator `{found}`: this is `{expected}`")]
    Coordinator { expected: String, found: String },
    #[error("call of another time: expected within {} s of {now_ms}, found {at_ms}", FRESH_MS / 1000)]
    Stale { now_ms: u64, at_ms: u64 },
    #[error("call of {at_ms} was heard already: the last was of {last_ms}")]
    Again { at_ms: u64, last_ms: u64 },
}

impl Call {
    pub fn sign(&self, governance: &SigningKey) -> Result<SignedCall, CallError> {
        let body = canonical::to_string(self).map_err(|error| CallError::Malformed(error.to_string()))?;
        let signature = governance.sign(DOMAIN, body.as_bytes());
        Ok(SignedCall { body, signature })
    }
}

impl SignedCall {
    /// The call, if governance signed it for this coordinator, lately, and after the last one that was heard.
    pub fn verify(
        &self,
        governance: &VerifyingKey,
        coordinator: &str,
        now_ms: u64,
        last_ms: u64,
    ) -> Result<Call, CallError> {
        keys::verify(governance, DOMAIN, self.body.as_bytes(), &self.signature)
            .map_err(|BadSignature| CallError::Signature)?;
        let call: Call = serde_json::from_str(&self.body).map_err(|error| CallError::Malformed(error.to_string()))?;
        if call.coordinator != coordinator {
            return Err(CallError::Coordinator {
                expected: coordinator.to_owned(),
                found: call.coordinator,
            });
        }
        let at_ms = call.at_ms;
        if now_ms.abs_diff(at_ms) > FRESH_MS {
            return Err(CallError::Stale { now_ms, at_ms });
        }
        match at_ms > last_ms {
            true => Ok(call),
            false => Err(CallError::Again { at_ms, last_ms }),
        }
    }
}
