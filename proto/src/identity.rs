//! Who this process is, from its identity directory, and who is at the other end of a connection.
//!
//! ```text
//! tls.key          private key of the certificate, mode 0600
//! tls.key.next     private key of the next certificate, while a rotation is under way
//! certificate.pem  issued by the consortium's authority, with what stands between; its one name is <name>.<role>.sottovoce.internal
//! ca.pem           the consortium's authority: the only one that counts
//! signing.key      seed of the Ed25519 signing key in hex, mode 0600
//! governance.pub   governance's public key in hex
//! roster.json      the signed roster
//! member.json      role, name and organisation
//! ```
//!
//! [`Identity::load`] refuses a directory whose parts do not belong together, and says which part and what to do.

mod peer;
mod pinned;
mod read;
mod watch;

pub use peer::{Peer, PeerError, peer};
pub use pinned::{OTHER_COORDINATOR, Pinned, Unnamed, succession};
pub use read::{IdentityError, NEXT_KEY};
pub use watch::Watch;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use governance::{Roster, SignedRoster, VerifyingKey};
pub use rustls::Error as TlsError;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use tonic::transport::{Certificate, ClientTlsConfig, ServerTlsConfig};
use zeroize::Zeroizing;

/// What a member is to the consortium.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Agent,
    Analyst,
    Coordinator,
    Steward,
}

const SUFFIX: &str = ".sottovoce.internal";

impl Role {
    /// The role as it stands in names and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Analyst => "analyst",
            Self::Coordinator => "coordinator",
            Self::Steward => "steward",
        }
    }

    /// Reads what `as_str` writes.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Agent, Self::Analyst, Self::Coordinator, Self::Steward]
            .into_iter()
            .find(|role| role.as_str() == text)
    }

    /// The one name in a member's certificate.
    pub fn dns_name(self, name: &str) -> String {
        format!("{name}.{}{SUFFIX}", self.as_str())
    }

    /// Role and name of a certificate's name.
    pub fn of_dns_name(dns_name: &str) -> Option<(Self, &str)> {
        let (name, role) = dns_name.strip_suffix(SUFFIX)?.rsplit_once('.')?;
        let label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > 63 || !name.chars().all(label) {
            return None;
        }
        Some((Self::parse(role)?, name))
    }
}

impl From<Role> for governance::log::event::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Agent => Self::Agent,
            Role::Analyst => Self::Analyst,
            Role::Coordinator => Self::Coordinator,
            Role::Steward => Self::Steward,
        }
    }
}

impl Role {
    /// Governance signs and has no connection, so it has no role here.
    pub fn of_signer(signer: governance::log::event::Role) -> Option<Self> {
        Self::parse(&signer.to_string())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The public part of an identity, `member.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    pub role: Role,
    pub name: String,
    pub organisation: String,
}

/// A checked identity directory. It holds private keys and has no `Debug`.
pub struct Identity {
    pub member: Member,
    pub governance: VerifyingKey,
    pub signed_roster: SignedRoster,
    pub roster: Roster,
    /// BLAKE3 of the certificate's public key: what the roster pins.
    pub tls_key: [u8; 32],
    /// Seconds since 1970 between which the certificate holds.
    pub certificate_from_s: i64,
    pub certificate_until_s: i64,
    directory: PathBuf,
    seed: Zeroizing<[u8; 32]>,
    tls_key_pem: Zeroizing<Vec<u8>>,
    certificate_pem: Vec<u8>,
    ca_pem: Vec<u8>,
}

impl Identity {
    /// Reads a directory and checks that its parts belong together: key and certificate, certificate and member,
    /// member and roster, roster and governance.
    pub fn load(directory: &Path) -> Result<Self, IdentityError> {
        read::load(directory)
    }

    /// Where it was read from.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The seed of the Ed25519 signing key, from which `governance` and `secagg` make theirs.
    pub fn signing_seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// For tests: TLS towards a coordinator whose certificate carries its name and comes from our authority, whatever its key. Members dial by
    /// [`Pinned`].
    pub fn client_tls_to_any_key(&self) -> ClientTlsConfig {
        ClientTlsConfig::new()
            .identity(self.tls_identity())
            .ca_certificate(Certificate::from_pem(&self.ca_pem))
            .domain_name(Role::Coordinator.dns_name(&self.roster.coordinator.id))
    }

    /// TLS of the coordinator: nobody connects without a certificate of our authority.
    pub fn server_tls(&self) -> ServerTlsConfig {
        ServerTlsConfig::new()
            .identity(self.tls_identity())
            .client_ca_root(Certificate::from_pem(&self.ca_pem))
    }

    /// Certificate, what stands between it and the authority, and key, for a server that exchanges them while it runs.
    pub fn certified(&self) -> Result<CertifiedKey, rustls::Error> {
        let unreadable = |error: rustls::pki_types::pem::Error| rustls::Error::General(error.to_string());
        let chain = CertificateDer::pem_slice_iter(&self.certificate_pem).collect::<Result<Vec<_>, _>>();
        let key = PrivateKeyDer::from_pem_slice(&self.tls_key_pem).map_err(unreadable)?;
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)?;
        Ok(CertifiedKey::new(chain.map_err(unreadable)?, key))
    }

    /// The consortium's authority.
    pub fn authority(&self) -> Result<Vec<CertificateDer<'static>>, rustls::Error> {
        let read = CertificateDer::pem_slice_iter(&self.ca_pem).collect::<Result<Vec<_>, _>>();
        read.map_err(|error| rustls::Error::General(error.to_string()))
    }

    /// Who may connect to a server of this identity: holders of a certificate of its authority.
    pub fn roots(&self) -> Result<Arc<rustls::RootCertStore>, rustls::Error> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in self.authority()? {
            roots.add(certificate)?;
        }
        Ok(Arc::new(roots))
    }

    fn tls_identity(&self) -> tonic::transport::Identity {
        tonic::transport::Identity::from_pem(&self.certificate_pem, &*self.tls_key_pem)
    }
}

/// Makes aws-lc-rs the process's TLS provider, with X25519MLKEM768 preferred. Every `main` calls it first; calling it again
/// changes nothing.
pub fn install_crypto_provider() {
    let _already_installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

#[cfg(test)]
mod tests;
