//! The coordinator's certificate as a member judges it: authority, name, and besides the key that the roster names. A certificate holds until its end,
//! whatever governance decided since; with the key pinned, one whose key was replaced is refused by everybody who has the roster that says so.
//!
//! Whoever was away for longer than an overlap knows only the key before. It may dial once more, [`Pinned::to_hear_of`], to be brought a newer
//! roster, and to say nothing else: [`succession`] tells whether governance signed it and named the key that is shown. Costs one parsing a handshake.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use governance::{ContentHash, Roster, RosterError, SignedRoster, VerifyingKey};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use tonic::transport::{ClientTlsConfig, Endpoint};

use super::{Identity, Peer, Role};

/// The code of a coordinator whose key no roster names, for agents and people alike.
pub const OTHER_COORDINATOR: &str = "SOTTO-7208";

/// What a member expects at the other end.
#[derive(Debug)]
pub struct Pinned {
    coordinator: String,
    expects: Expects,
    authority: Arc<WebPkiServerVerifier>,
    unnamed: Mutex<Option<ContentHash>>,
}

#[derive(Debug)]
enum Expects {
    /// The key of the roster, or the one before until it has retired.
    Roster(Box<Roster>),
    /// This very key.
    Key(ContentHash),
}

/// A coordinator whose key no roster names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unnamed {
    #[error(
        "the coordinator shows the key {shown}, which roster version {version} does not name, and brings no newer roster"
    )]
    NoRoster { shown: ContentHash, version: u64 },
    #[error("the coordinator shows the key {shown}, which roster version {version} does not name: {error}")]
    NotNewer {
        shown: ContentHash,
        version: u64,
        error: RosterError,
    },
    #[error(
        "the coordinator shows the key {shown}, which neither roster version {version} names nor version {brought}, which it brings"
    )]
    NotNamed {
        shown: ContentHash,
        version: u64,
        brought: u64,
    },
}

impl Pinned {
    /// The coordinator of a roster.
    pub fn to_coordinator(identity: &Identity, roster: &Roster) -> Result<Arc<Self>, rustls::Error> {
        Self::new(identity, roster, Expects::Roster(Box::new(roster.clone())))
    }

    /// Whoever has this key and a certificate for the coordinator's name: only to hear of a newer roster.
    pub fn to_hear_of(identity: &Identity, roster: &Roster, shown: ContentHash) -> Result<Arc<Self>, rustls::Error> {
        Self::new(identity, roster, Expects::Key(shown))
    }

    fn new(identity: &Identity, roster: &Roster, expects: Expects) -> Result<Arc<Self>, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let authority = WebPkiServerVerifier::builder_with_provider(identity.roots()?, provider).build();
        Ok(Arc::new(Self {
            coordinator: roster.coordinator.id.clone(),
            expects,
            authority: authority.map_err(|error| rustls::Error::General(error.to_string()))?,
            unnamed: Mutex::default(),
        }))
    }

    /// An endpoint that shows the member's certificate and accepts this coordinator's alone.
    pub fn at(self: &Arc<Self>, endpoint: Endpoint, member: &Identity) -> Result<Endpoint, tonic::transport::Error> {
        let tls = ClientTlsConfig::new()
            .identity(member.tls_identity())
            .domain_name(Role::Coordinator.dns_name(&self.coordinator));
        endpoint.tls_config_with_verifier(tls, self.clone())
    }

    /// The last key that was refused, of a certificate that held otherwise.
    pub fn unnamed(&self) -> Option<ContentHash> {
        *self.unnamed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accepts(&self, key: &ContentHash) -> bool {
        match &self.expects {
            Expects::Roster(roster) => names(roster, &self.coordinator, key),
            Expects::Key(expected) => expected == key,
        }
    }
}

fn names(roster: &Roster, coordinator: &str, key: &ContentHash) -> bool {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let role = Role::Coordinator.into();
    roster.accepts(role, coordinator, key, now_ms) == Some(true)
}

/// The roster that was brought over a connection with a key that the known one does not name, if it is governance's, newer, and names it.
pub fn succession(
    known: &Roster,
    governance: &VerifyingKey,
    shown: ContentHash,
    brought: Option<&SignedRoster>,
) -> Result<Roster, Unnamed> {
    let version = known.version;
    let brought = brought.ok_or(Unnamed::NoRoster { shown, version })?;
    let newer = brought
        .verify(governance)
        .and_then(|roster| roster.supersedes(known).map(|()| roster));
    let newer = newer.map_err(|error| Unnamed::NotNewer { shown, version, error })?;
    match names(&newer, &known.coordinator.id, &shown) {
        true => Ok(newer),
        false => {
            let brought = newer.version;
            Err(Unnamed::NotNamed {
                shown,
                version,
                brought,
            })
        }
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self
            .authority
            .verify_server_cert(certificate, between, name, ocsp, now)?;
        let peer = Peer::of_certificate(certificate).map_err(|_| CertificateError::BadEncoding)?;
        let key = ContentHash(peer.tls_key);
        if self.accepts(&key) {
            return Ok(verified);
        }
        *self.unnamed.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authority.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authority.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authority.supported_verify_schemes()
    }
}
