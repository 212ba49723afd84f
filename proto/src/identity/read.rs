//! Reading an identity directory: each file on its own, then whether they belong together.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use governance::{Roster, SignedRoster, VerifyingKey};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::{Identity, Member, Peer, Role};

const TLS_KEY: &str = "tls.key";
/// Where the key of the next certificate waits for it.
pub const NEXT_KEY: &str = "tls.key.next";

/// Why an identity directory is refused, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("{path}: {source} (an identity is made by `sotto enroll request` and completed by `sotto enroll install`)")]
    Missing { path: PathBuf, source: std::io::Error },
    #[error(
        "{path}: readable by others (mode {mode:o}): expected 600; run `chmod 600` on it, or make a new key if others may have read it"
    )]
    Permissions { path: PathBuf, mode: u32 },
    #[error("{path}: {reason}")]
    Unreadable { path: PathBuf, reason: String },
    #[error("{path}: {reason}; install certificate and roster again with `sotto enroll install`")]
    Mismatch { path: PathBuf, reason: String },
}

pub(super) fn load(directory: &Path) -> Result<Identity, IdentityError> {
    let member: Member = json(directory, "member.json")?;
    let governance = governance_key(directory)?;
    let signed_roster: SignedRoster = json(directory, "roster.json")?;
    let roster = signed_roster
        .verify(&governance)
        .map_err(|e| unreadable(directory, "roster.json", &e))?;

    let mut tls_key_pem = Zeroizing::new(private(directory, TLS_KEY)?);
    let certificate_pem = file(directory, "certificate.pem")?;
    let ca_pem = file(directory, "ca.pem")?;
    CertificateDer::from_pem_slice(&ca_pem).map_err(|e| unreadable(directory, "ca.pem", &e))?;
    let certificate =
        CertificateDer::from_pem_slice(&certificate_pem).map_err(|e| unreadable(directory, "certificate.pem", &e))?;
    let (peer, certificate_from_s, certificate_until_s) =
        Peer::with_validity(&certificate).map_err(|e| unreadable(directory, "certificate.pem", &e))?;

    if (peer.role, &peer.name) != (member.role, &member.name) {
        let reason = format!(
            "mismatched certificate: expected {} `{}`, found {} `{}`",
            member.role, member.name, peer.role, peer.name
        );
        return Err(mismatch(directory, "certificate.pem", reason));
    }
    if public_key_of(directory, &tls_key_pem)? != peer.tls_key && directory.join(NEXT_KEY).exists() {
        // The certificate is what a rotation exchanges; its key follows, unless the installation was interrupted right there.
        tls_key_pem = Zeroizing::new(private(directory, NEXT_KEY)?);
    }
    if public_key_of(directory, &tls_key_pem)? != peer.tls_key {
        let reason = "the certificate is not that of tls.key".to_owned();
        return Err(mismatch(directory, "certificate.pem", reason));
    }
    let tls_key = peer.tls_key;
    peer.enrolled_as(member.role, &roster)
        .map_err(|e| mismatch(directory, "roster.json", e.to_string()))?;
    let seed = seed(directory)?;
    check_signing_key(directory, &member, &roster, &seed)?;

    Ok(Identity {
        member,
        governance,
        signed_roster,
        roster,
        tls_key,
        certificate_from_s,
        certificate_until_s,
        directory: directory.to_owned(),
        seed,
        tls_key_pem,
        certificate_pem,
        ca_pem,
    })
}

fn check_signing_key(directory: &Path, member: &Member, roster: &Roster, seed: &[u8; 32]) -> Result<(), IdentityError> {
    let expected = match member.role {
        Role::Agent => roster.agent(&member.name).map(|agent| agent.signing_key),
        Role::Analyst => roster.analyst(&member.name).map(|analyst| analyst.key),
        Role::Steward => roster.steward(&member.name).map(|steward| steward.key),
        Role::Coordinator => Some(roster.coordinator.signing_key),
    };
    let key = governance::SigningKey::from_seed(seed).map_err(|e| unreadable(directory, "signing.key", &e))?;
    if expected != Some(key.public()) {
        let reason = format!(
            "the roster names another signing key for {} `{}`",
            member.role, member.name
        );
        return Err(mismatch(directory, "signing.key", reason));
    }
    Ok(())
}

/// BLAKE3 of the public half of a TLS key.
fn public_key_of(directory: &Path, pem: &[u8]) -> Result<[u8; 32], IdentityError> {
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|e| unreadable(directory, "tls.key", &e))?;
    let key =
        rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).map_err(|e| unreadable(directory, "tls.key", &e))?;
    let public = key
        .public_key()
        .ok_or_else(|| unreadable(directory, "tls.key", &"a key without a public half"))?;
    Ok(*blake3::hash(&public).as_bytes())
}

fn seed(directory: &Path) -> Result<Zeroizing<[u8; 32]>, IdentityError> {
    let text = Zeroizing::new(private(directory, "signing.key")?);
    let mut seed = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim_ascii(), &mut *seed)
        .map_err(|_| unreadable(directory, "signing.key", &"expected 64 hexadecimal digits"))?;
    Ok(seed)
}

fn governance_key(directory: &Path) -> Result<VerifyingKey, IdentityError> {
    let text = file(directory, "governance.pub")?;
    let text = str::from_utf8(&text).map_err(|e| unreadable(directory, "governance.pub", &e))?;
    VerifyingKey::from_hex(text)
        .ok_or_else(|| unreadable(directory, "governance.pub", &"expected 64 hexadecimal digits"))
}

fn json<T: DeserializeOwned>(directory: &Path, name: &str) -> Result<T, IdentityError> {
    serde_json::from_slice(&file(directory, name)?).map_err(|e| unreadable(directory, name, &e))
}

fn file(directory: &Path, name: &str) -> Result<Vec<u8>, IdentityError> {
    let path = directory.join(name);
    fs::read(&path).map_err(|source| IdentityError::Missing { path, source })
}

/// A file that nobody else may read.
fn private(directory: &Path, name: &str) -> Result<Vec<u8>, IdentityError> {
    let path = directory.join(name);
    let metadata = fs::metadata(&path).map_err(|source| IdentityError::Missing {
        path: path.clone(),
        source,
    })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(IdentityError::Permissions { path, mode });
    }
    file(directory, name)
}

fn unreadable(directory: &Path, name: &str, reason: &dyn std::fmt::Display) -> IdentityError {
    IdentityError::Unreadable {
        path: directory.join(name),
        reason: reason.to_string(),
    }
}

fn mismatch(directory: &Path, name: &str, reason: String) -> IdentityError {
    IdentityError::Mismatch {
        path: directory.join(name),
        reason,
    }
}
