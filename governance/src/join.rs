//! Join tokens: governance says in advance that one newcomer may join under one name, and the newcomer's request says that it holds
//! that word. One Ed25519 signature and two verifications a newcomer.
//!
//! A token has a public part, which governance signed (role, name, organisation, expiry, and what the newcomer must pin: the governance
//! key, the authority's certificate, the coordinator's name), and a secret part: the seed of a key of its own, which the public part
//! names. A request proves the secret by a signature over *its own bytes*, so that whoever carries requests, the coordinator above all,
//! can check a token and cannot use it: it would need another request under a proof that it cannot make. That key is also the token's
//! number: it is used once.
//!
//! A token is sent to one person by a confidential channel. It stands in for the fingerprint read by telephone.

mod call;

pub use call::{Answer, Ask, Call, CallError, SignedCall};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::log::event::Role;
use crate::{BadSignature, ContentHash, Roster, SigningKey, VerifyingKey, canonical, keys};

/// What an enrolment request is signed in, by the newcomer's or the member's signing key.
pub const REQUEST_DOMAIN: &str = "enrolment request";
const TOKEN_DOMAIN: &str = "join token";
const PROOF_DOMAIN: &str = "join proof";
const PREFIX: &str = "sotto-join";
/// The longest enrolment request that is carried; one of ours has some 900 bytes.
pub const MAX_REQUEST: usize = 16 * 1024;
/// The longest life of a token.
pub const MAX_VALID_MS: u64 = 30 * 24 * 3_600_000;

/// The public part of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinTerms {
    pub consortium: String,
    pub role: Role,
    pub name: String,
    pub organisation: String,
    /// The public half of the token's own key.
    pub key: VerifyingKey,
    pub expires_at_ms: u64,
    /// What the newcomer pins.
    pub governance: VerifyingKey,
    /// [`authority_hash`] of the consortium's authority.
    pub ca: ContentHash,
    /// Name of the coordinator, whose certificate the newcomer expects.
    pub coordinator: String,
}

/// The public part as it travels with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedTerms {
    pub body: String,
    #[serde(with = "canonical::hexadecimal")]
    pub signature: Vec<u8>,
}

/// A whole token. It holds a secret and has no `Debug`.
pub struct Token {
    pub terms: JoinTerms,
    signed: SignedTerms,
    seed: [u8; 32],
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    #[error("malformed join token: {0}")]
    Token(String),
    #[error("join token of another governance: its signature does not verify")]
    Governance,
    #[error("join token expired {} s ago", .0 / 1000)]
    Expired(u64),
    #[error("the request does not prove that it holds the join token")]
    Proof,
    #[error("the request asks for {found}, the join token is for {expected}")]
    Other { expected: String, found: String },
    #[error("malformed enrolment request: {0}")]
    Request(String),
    #[error("no token, and the request is not signed by an enrolled {role} `{id}`")]
    Stranger { role: Role, id: String },
}

impl JoinError {
    /// Stable code and what to do.
    pub fn code(&self) -> (&'static str, &'static str) {
        match self {
            Self::Token(_) | Self::Request(_) => {
                ("SOTTO-2051", "paste the token whole; ask for a new one if it stays so")
            }
            Self::Governance => ("SOTTO-2052", "ask the governance holder of this consortium for a token"),
            Self::Expired(_) => (
                "SOTTO-2053",
                "ask the governance holder for a new token; your keys can stay",
            ),
            Self::Proof | Self::Other { .. } => (
                "SOTTO-2054",
                "ask with the role, name and organisation that the token was made for",
            ),
            Self::Stranger { .. } => (
                "SOTTO-2055",
                "a newcomer needs a join token; a member's rotation is signed by its enrolled key",
            ),
        }
    }
}

/// The name of an authority: of its certificate in DER.
pub fn authority_hash(der: &[u8]) -> ContentHash {
    ContentHash::of("certificate authority", &[der])
}

impl Token {
    /// Signs a token whose own key is made from `seed`, which the caller drew for it alone.
    pub fn issue(terms: JoinTerms, governance: &SigningKey, seed: [u8; 32]) -> Result<Self, JoinError> {
        let own = SigningKey::from_seed(&seed).map_err(malformed)?;
        if (own.public(), governance.public()) != (terms.key, terms.governance) {
            return Err(JoinError::Token(
                "it names other keys than those that it is made with".into(),
            ));
        }
        let body = canonical::to_string(&terms).map_err(malformed)?;
        let signature = governance.sign(TOKEN_DOMAIN, body.as_bytes());
        let signed = SignedTerms { body, signature };
        Ok(Self { terms, signed, seed })
    }

    /// Reads what [`Token::text`] wrote. That the parts belong together is checked; whether the governance key is the right one,
    /// whoever received the token knows by whom it came.
    pub fn parse(text: &str) -> Result<Self, JoinError> {
        let mut parts = text.trim().split('.');
        let mut part = || parts.next().ok_or_else(|| malformed("expected four parts"));
        if part()? != PREFIX {
            return Err(malformed("expected it to begin with `sotto-join.`"));
        }
        let mut bytes = || URL_SAFE_NO_PAD.decode(part()?).map_err(malformed);
        let body = String::from_utf8(bytes()?).map_err(malformed)?;
        let signature = bytes()?;
        let seed: [u8; 32] = bytes()?
            .try_into()
            .map_err(|_| malformed("its secret is not 32 bytes"))?;
        if parts.next().is_some() {
            return Err(malformed("expected four parts"));
        }
        let terms: JoinTerms = serde_json::from_str(&body).map_err(malformed)?;
        let signed = SignedTerms { body, signature };
        signed.verify(&terms.governance)?;
        let own = SigningKey::from_seed(&seed).map_err(malformed)?;
        if own.public() != terms.key {
            return Err(malformed("its secret is another token's"));
        }
        Ok(Self { terms, signed, seed })
    }

    /// One line without spaces: it may be pasted. It is secret.
    pub fn text(&self) -> String {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (body, signature) = (self.signed.body.as_bytes(), &self.signed.signature);
        [PREFIX, &encode(body), &encode(signature), &encode(&self.seed)].join(".")
    }

    /// The proof that one request holds this token.
    pub fn prove(&self, request: &str) -> Result<TokenProof, JoinError> {
        let own = SigningKey::from_seed(&self.seed).map_err(malformed)?;
        Ok(TokenProof {
            terms: self.signed.clone(),
            proof: own.sign(PROOF_DOMAIN, request.as_bytes()),
        })
    }
}

impl SignedTerms {
    /// The terms, if this governance signed exactly these bytes.
    pub fn verify(&self, governance: &VerifyingKey) -> Result<JoinTerms, JoinError> {
        keys::verify(governance, TOKEN_DOMAIN, self.body.as_bytes(), &self.signature)
            .map_err(|BadSignature| JoinError::Governance)?;
        let terms: JoinTerms = serde_json::from_str(&self.body).map_err(malformed)?;
        match terms.governance == *governance {
            true => Ok(terms),
            false => Err(JoinError::Governance),
        }
    }
}

/// A token's public part, and its key's signature over a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenProof {
    pub terms: SignedTerms,
    #[serde(with = "canonical::hexadecimal")]
    pub proof: Vec<u8>,
}

/// A request on its way to governance: of a newcomer with its token, or of a member that rotates its transport key, whose enrolled signing key is
/// its authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// The enrolment request's body and signature, byte for byte.
    pub body: String,
    #[serde(with = "canonical::hexadecimal")]
    pub signature: Vec<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenProof>,
}

/// On whose word an application rests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    Token(JoinTerms),
    Member { role: Role, id: String },
}

/// Who asks, as far as carrying the request needs it; the rest is governance's to read.
#[derive(Deserialize)]
struct Asker {
    role: Role,
    name: String,
    organisation: String,
    signing_key: VerifyingKey,
}

impl Application {
    /// The name of these very bytes, under which the answer is fetched.
    pub fn hash(&self) -> ContentHash {
        ContentHash::of(REQUEST_DOMAIN, &[self.body.as_bytes()])
    }

    /// On whose word it rests, if that word holds now: what the coordinator asks before it carries it, and governance before it answers.
    pub fn authority(&self, governance: &VerifyingKey, roster: &Roster, now_ms: u64) -> Result<Authority, JoinError> {
        if self.body.len() > MAX_REQUEST {
            return Err(JoinError::Request(format!(
                "expected at most {MAX_REQUEST} bytes, found {}",
                self.body.len()
            )));
        }
        let request = |error: &dyn std::fmt::Display| JoinError::Request(error.to_string());
        let asker: Asker = serde_json::from_str(&self.body).map_err(|error| request(&error))?;
        keys::verify(
            &asker.signing_key,
            REQUEST_DOMAIN,
            self.body.as_bytes(),
            &self.signature,
        )
        .map_err(|_| request(&"it is not signed by the signing key that it names"))?;
        let Some(token) = &self.token else {
            let (role, id) = (asker.role, asker.name);
            return match roster.signing_key(role, &id) == Some(asker.signing_key) {
                true => Ok(Authority::Member { role, id }),
                false => Err(JoinError::Stranger { role, id }),
            };
        };
        let terms = token.terms.verify(governance)?;
        if now_ms >= terms.expires_at_ms {
            return Err(JoinError::Expired(now_ms - terms.expires_at_ms));
        }
        keys::verify(&terms.key, PROOF_DOMAIN, self.body.as_bytes(), &token.proof).map_err(|_| JoinError::Proof)?;
        let who = |role: Role, name: &str, organisation: &str| format!("{role} `{name}` of `{organisation}`");
        let expected = who(terms.role, &terms.name, &terms.organisation);
        let found = who(asker.role, &asker.name, &asker.organisation);
        match expected == found {
            true => Ok(Authority::Token(terms)),
            false => Err(JoinError::Other { expected, found }),
        }
    }
}

fn malformed(error: impl std::fmt::Display) -> JoinError {
    JoinError::Token(error.to_string())
}
