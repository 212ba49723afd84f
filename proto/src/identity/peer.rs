//! Who is at the other end: role, name and key from the certificate that TLS has already verified. Parsing costs about
//! 10 us, once a connection or call.

use std::time::{SystemTime, UNIX_EPOCH};

use engine::{Refusal, codes};
use governance::ContentHash;
use tonic::{Code, Request};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Role;
use crate::refusal::status;

/// The authenticated other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub role: Role,
    pub name: String,
    /// BLAKE3 of the SubjectPublicKeyInfo in DER, to be compared with the roster's.
    pub tls_key: [u8; 32],
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    #[error("no client certificate on this connection")]
    NoCertificate,
    #[error("unreadable client certificate: {0}")]
    Unreadable(String),
    #[error("certificate names {0:?}: expected exactly one name <member>.<role>.sottovoce.internal")]
    Name(Vec<String>),
    #[error("certificate is that of {role} `{name}`: expected {expected}")]
    WrongRole { role: Role, name: String, expected: Role },
    #[error("unknown {role} `{name}`: not in the roster")]
    NotInRoster { role: Role, name: String },
    #[error("certificate of {role} `{name}` has another key than the roster pins")]
    OtherKey { role: Role, name: String },
}

impl PeerError {
    /// As it is told to whoever dialled.
    pub fn refusal(&self) -> Refusal {
        let code = match self {
            Self::NoCertificate | Self::Unreadable(_) | Self::Name(_) => codes::NO_IDENTITY,
            Self::WrongRole { .. } => codes::WRONG_ROLE,
            Self::NotInRoster { .. } => codes::NO_MEMBER,
            Self::OtherKey { .. } => codes::OTHER_KEY,
        };
        Refusal::new(code, self.to_string())
    }
}

impl From<PeerError> for tonic::Status {
    fn from(error: PeerError) -> Self {
        let refusal = error.refusal();
        let code = match refusal.code {
            codes::NO_IDENTITY => Code::Unauthenticated,
            _ => Code::PermissionDenied,
        };
        status(code, &refusal)
    }
}

/// The authenticated sender of a request.
pub fn peer<T>(request: &Request<T>) -> Result<Peer, PeerError> {
    let chain = request.peer_certs().ok_or(PeerError::NoCertificate)?;
    Peer::of_certificate(chain.first().ok_or(PeerError::NoCertificate)?)
}

impl Peer {
    /// Reads a certificate in DER.
    pub fn of_certificate(der: &[u8]) -> Result<Self, PeerError> {
        Ok(Self::with_validity(der)?.0)
    }

    /// The peer, and the seconds since 1970 between which the certificate holds.
    pub(super) fn with_validity(der: &[u8]) -> Result<(Self, i64, i64), PeerError> {
        let unreadable = |error: &dyn std::fmt::Display| PeerError::Unreadable(error.to_string());
        let (_, certificate) = X509Certificate::from_der(der).map_err(|e| unreadable(&e))?;
        let names = certificate.subject_alternative_name().map_err(|e| unreadable(&e))?;
        let names: Vec<String> = names
            .map(|san| san.value.general_names.iter().map(name_of).collect())
            .unwrap_or_default();
        let (role, name) = match names.as_slice() {
            [one] => Role::of_dns_name(one).map(|(role, name)| (role, name.to_owned())),
            _ => None,
        }
        .ok_or(PeerError::Name(names))?;
        let peer = Self {
            role,
            name,
            tls_key: *blake3::hash(certificate.public_key().raw).as_bytes(),
        };
        let validity = certificate.validity();
        Ok((peer, validity.not_before.timestamp(), validity.not_after.timestamp()))
    }

    /// This peer, if it has the role and the roster accepts its key now: the pinned one, or the one before while it retires.
    pub fn enrolled_as(self, expected: Role, roster: &governance::Roster) -> Result<Self, PeerError> {
        self.enrolled_at(expected, roster, now_ms())
    }

    /// The same at a moment of the caller's.
    pub fn enrolled_at(self, expected: Role, roster: &governance::Roster, now_ms: u64) -> Result<Self, PeerError> {
        let Self { role, name, tls_key } = self;
        if role != expected {
            return Err(PeerError::WrongRole { role, name, expected });
        }
        match roster.accepts(role.into(), &name, &ContentHash(tls_key), now_ms) {
            None => Err(PeerError::NotInRoster { role, name }),
            Some(false) => Err(PeerError::OtherKey { role, name }),
            Some(true) => Ok(Self { role, name, tls_key }),
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn name_of(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        other => other.to_string(),
    }
}
