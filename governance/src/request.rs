//! A request: one analyst asks one thing of one dataset, signed, and every participant sees the same bytes.
//!
//! It carries the *task* (what the analyst wrote), never a plan: each party derives the plan for itself. Its hash names
//! it in ledgers, so a replay of it can neither drain a budget nor average noise away.

use crate::act::Subject;
use crate::log::event::{Actor, Event, Kind, Role};
use crate::log::{EventError, SignedEvent};
use crate::{ContentHash, Roster, SigningKey, VerifyingKey, canonical, keys};
use serde::{Deserialize, Serialize};

const DOMAIN: &str = "request";
/// How a request's event refers to the dataset, as suspensions do.
const DATASET: &str = "dataset";
/// A trial asks how a request would be decided. Of another domain, so that neither can be taken for the other.
const TRIAL: &str = "trial";
/// The longest time a trial may stay valid: clocks may differ by [`MAX_SKEW_MS`] either way.
pub const MAX_TRIAL_MS: u64 = 300_000;
/// How far an analyst's clock may run ahead of ours.
pub const MAX_SKEW_MS: u64 = 120_000;
/// The longest time a request may stay valid; nonces are remembered at least this long.
pub const MAX_LIFETIME_MS: u64 = 7 * 24 * 3_600_000;
/// Attempts of a whole request. A run of thousands of rounds may lose some of them; the ledger bounds what they cost.
pub const MAX_ATTEMPTS: u32 = 1_000;

/// What the analyst asks and accepts. `task` is canonical JSON owned by the workload of this `kind`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// 32 fresh random bytes: two equal questions are two requests.
    pub nonce: ContentHash,
    pub analyst: String,
    pub dataset: String,
    pub contract: ContentHash,
    pub purpose: String,
    pub kind: String,
    pub task: String,
    /// Of one attempt.
    #[serde(with = "canonical::real")]
    pub epsilon: f64,
    #[serde(with = "canonical::real")]
    pub delta: f64,
    pub max_attempts: u32,
    pub issued_at_ms: u64,
    pub expires_at_ms: u64,
}

/// Body and signatures as they travel. The body is the canonical JSON of a `Request`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRequest {
    pub body: Vec<u8>,
    pub signature: Vec<u8>,
    /// The analyst's signature of the request's event in the log. The analyst signs it and not the coordinator: so a leaf alone,
    /// without the words of the request, shows an auditor that this person asked, and nobody can log a question that was not put.
    pub event: Vec<u8>,
}

/// A request that is not to be answered: every owner says how it would decide, and nothing happens. It is never logged, never charged
/// and opens no round, because no signature of a trial is one of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedTrial {
    pub body: Vec<u8>,
    pub signature: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RequestError {
    #[error("malformed request: {0}")]
    Malformed(String),
    #[error("unknown analyst: `{0}` is not in the roster")]
    UnknownAnalyst(String),
    #[error("request is not signed by the key of analyst `{0}`")]
    Signature(String),
    #[error("request expired: valid until {expires_at_ms} ms, it is {now_ms} ms")]
    Expired { expires_at_ms: u64, now_ms: u64 },
    #[error("request comes from the future: issued at {issued_at_ms} ms, it is {now_ms} ms (check both clocks)")]
    Future { issued_at_ms: u64, now_ms: u64 },
    #[error("request is valid for {0} ms: expected 1 to {MAX_LIFETIME_MS}")]
    Lifetime(i128),
    #[error("trial is valid for {0} ms: expected at most {MAX_TRIAL_MS}")]
    TrialLifetime(i128),
    #[error("epsilon is {0}: expected a finite number above zero")]
    Epsilon(f64),
    #[error("delta is {0}: expected a number above zero and below one")]
    Delta(f64),
    #[error("request allows {0} attempts: expected 1 to {MAX_ATTEMPTS}")]
    Attempts(u32),
}

impl Request {
    pub fn sign(&self, key: &SigningKey) -> Result<SignedRequest, RequestError> {
        self.check()?;
        let body = canonical::to_string(self)
            .map_err(|e| RequestError::Malformed(e.to_string()))?
            .into_bytes();
        let signature = key.sign(DOMAIN, &body);
        let event = self
            .event(ContentHash::of(DOMAIN, &[&body]), key.public())
            .signature(key);
        let event = event.map_err(|e| RequestError::Malformed(e.to_string()))?;
        Ok(SignedRequest { body, signature, event })
    }

    /// Signs the same words as a trial: see [`SignedTrial`].
    pub fn sign_trial(&self, key: &SigningKey) -> Result<SignedTrial, RequestError> {
        self.check()?;
        self.check_trial()?;
        let body = canonical::to_string(self)
            .map_err(|e| RequestError::Malformed(e.to_string()))?
            .into_bytes();
        let signature = key.sign(TRIAL, &body);
        Ok(SignedTrial { body, signature })
    }

    /// What the log says of a request: who asked, when, under which contract. Written down alike by everybody.
    fn event(&self, hash: ContentHash, key: VerifyingKey) -> Event {
        let (role, id) = (Role::Analyst, self.analyst.clone());
        let event = Event::new(Kind::Request, self.issued_at_ms, Actor { role, id, key });
        let contract = Some(self.contract);
        Event { contract, ..event }
            .refers("request", hash)
            .refers(DATASET, Subject::Dataset(self.dataset.clone()).hash())
    }

    fn check(&self) -> Result<(), RequestError> {
        if !(self.epsilon.is_finite() && self.epsilon > 0.0) {
            return Err(RequestError::Epsilon(self.epsilon));
        }
        if !(self.delta > 0.0 && self.delta < 1.0) {
            return Err(RequestError::Delta(self.delta));
        }
        if !(1..=MAX_ATTEMPTS).contains(&self.max_attempts) {
            return Err(RequestError::Attempts(self.max_attempts));
        }
        let lifetime = self.expires_at_ms as i128 - self.issued_at_ms as i128;
        if !(1..=MAX_LIFETIME_MS as i128).contains(&lifetime) {
            return Err(RequestError::Lifetime(lifetime));
        }
        Ok(())
    }

    fn check_trial(&self) -> Result<(), RequestError> {
        let lifetime = i128::from(self.expires_at_ms) - i128::from(self.issued_at_ms);
        if lifetime > i128::from(MAX_TRIAL_MS) {
            return Err(RequestError::TrialLifetime(lifetime));
        }
        Ok(())
    }

    /// What stands in a body, if the named analyst signed it in this domain and it holds now.
    fn verified(
        body: &[u8],
        signature: &[u8],
        domain: &str,
        roster: &Roster,
        now_ms: u64,
    ) -> Result<Request, RequestError> {
        let request: Request = serde_json::from_slice(body).map_err(|e| RequestError::Malformed(e.to_string()))?;
        let analyst = roster
            .analyst(&request.analyst)
            .ok_or_else(|| RequestError::UnknownAnalyst(request.analyst.clone()))?;
        keys::verify(&analyst.key, domain, body, signature)
            .map_err(|_| RequestError::Signature(request.analyst.clone()))?;
        request.check()?;
        if now_ms >= request.expires_at_ms {
            return Err(RequestError::Expired {
                expires_at_ms: request.expires_at_ms,
                now_ms,
            });
        }
        if request.issued_at_ms > now_ms.saturating_add(MAX_SKEW_MS) {
            return Err(RequestError::Future {
                issued_at_ms: request.issued_at_ms,
                now_ms,
            });
        }
        Ok(request)
    }
}

impl SignedTrial {
    /// The request that is tried, if the named analyst signed it as a trial and it holds now.
    pub fn verify(&self, roster: &Roster, now_ms: u64) -> Result<Request, RequestError> {
        let request = Request::verified(&self.body, &self.signature, TRIAL, roster, now_ms)?;
        request.check_trial()?;
        Ok(request)
    }

    /// Names the trial between coordinator and agents; never equal to a request's.
    pub fn hash(&self) -> ContentHash {
        ContentHash::of(TRIAL, &[&self.body])
    }
}

impl SignedRequest {
    /// The request, if the named analyst signed these bytes, and they hold now.
    /// Whether this request was seen before is the caller's to know (by `hash`).
    pub fn verify(&self, roster: &Roster, now_ms: u64) -> Result<Request, RequestError> {
        Request::verified(&self.body, &self.signature, DOMAIN, roster, now_ms)
    }

    /// The request's event, if the analyst with this key signed it.
    pub fn logged(&self, request: &Request, analyst: &VerifyingKey) -> Result<SignedEvent, EventError> {
        let event = request.event(self.hash(), *analyst);
        let mut earlier = event.clone();
        match event.signed(self.event.clone()) {
            // Of a client from before requests named their dataset to the log.
            Err(EventError::Signature(_)) => {
                earlier.references.remove(DATASET);
                earlier.signed(self.event.clone())
            }
            signed => signed,
        }
    }

    /// The name of the request in ledgers, logs and messages. It covers the body alone: a second valid signature over
    /// the same body is the same request.
    pub fn hash(&self) -> ContentHash {
        ContentHash::of(DOMAIN, &[&self.body])
    }
}
