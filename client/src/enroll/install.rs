//! Installing an approval: everything that governance said is checked against the keys on this disk before a byte is
//! written, and what is written once stays.

use std::path::Path;
use std::sync::Arc;

use governance::{Roster, SignedRoster, VerifyingKey};
use proto::identity::{Member, Role};
use rustls::pki_types::{CertificateDer, UnixTime, pem::PemObject};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, client::WebPkiServerVerifier};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::approve::Approval;
use super::consortium::{CA, GOVERNANCE, ROSTER};
use super::request::{MEMBER, SIGNING_KEY, TLS_KEY, json};
use super::{EnrollError, files, pki, signing_key};

pub const CERTIFICATE: &str = "certificate.pem";

/// What was installed, for the person to compare.
#[derive(Clone, Debug)]
pub struct Installed {
    pub member: String,
    pub governance: String,
    pub roster_version: u64,
}

/// Whether a governance key is pinned in `folder`: after the first installation it is.
pub fn is_pinned(folder: &Path) -> bool {
    folder.join(GOVERNANCE).exists()
}

/// Checks the approval in `file` against `folder` and installs it. `governance` pins the governance key, if it is known
/// from another channel; `roster` is a newer roster than the approval carries.
pub fn install(
    file: &Path,
    folder: &Path,
    governance: Option<&str>,
    roster: Option<&Path>,
) -> Result<Installed, EnrollError> {
    let approval: Approval = serde_json::from_slice(&files::read(file)?).map_err(EnrollError::malformed)?;
    let member: Member = serde_json::from_slice(&files::read(&folder.join(MEMBER))?).map_err(EnrollError::malformed)?;
    let (expected, found) = (describe(&member), format!("{} `{}`", approval.role, approval.name));
    if expected != found {
        return Err(EnrollError::OtherMember { expected, found });
    }
    let role = member.role;
    let key_path = folder.join(TLS_KEY);
    let tls_key = pki::tls_key_of(&files::read_text(&key_path)?)?;
    if check_certificate(&approval, role)? != tls_key {
        return Err(EnrollError::OtherKey(key_path));
    }

    let pinned = folder.join(GOVERNANCE);
    let pinned = if pinned.exists() {
        Some(files::read_text(&pinned)?)
    } else {
        None
    };
    for expected in [governance, pinned.as_deref()].into_iter().flatten().map(str::trim) {
        if expected != approval.governance.trim() {
            return Err(EnrollError::OtherGovernance {
                expected: expected.to_owned(),
                found: approval.governance.trim().to_owned(),
            });
        }
    }
    let key = VerifyingKey::from_hex(&approval.governance)
        .ok_or_else(|| EnrollError::Malformed("governance key: expected 64 hexadecimal digits".into()))?;
    let signed: SignedRoster = match (roster, &approval.roster) {
        (Some(path), _) => serde_json::from_slice(&files::read(path)?).map_err(EnrollError::malformed)?,
        (None, Some(signed)) => signed.clone(),
        (None, None) => return Err(EnrollError::NoRoster),
    };
    let roster = signed.verify(&key)?;
    if !names_me(
        &roster,
        role,
        &member,
        &tls_key,
        &signing_key(&folder.join(SIGNING_KEY))?.public(),
    ) {
        return Err(EnrollError::NotInRoster);
    }

    files::create_or_same(&folder.join(CA), files::PUBLIC, approval.ca.as_bytes())?;
    files::create_or_same(&folder.join(GOVERNANCE), files::PUBLIC, approval.governance.as_bytes())?;
    files::create_or_same(&folder.join(ROSTER), files::PUBLIC, &json(&signed)?)?;
    files::create_or_same(
        &folder.join(CERTIFICATE),
        files::PUBLIC,
        approval.certificate.as_bytes(),
    )?;
    Ok(Installed {
        member: expected,
        governance: approval.governance,
        roster_version: roster.version,
    })
}

fn describe(member: &Member) -> String {
    format!("{} `{}`", member.role, member.name)
}

fn names_me(roster: &Roster, role: Role, me: &Member, tls_key: &[u8; 32], signing: &VerifyingKey) -> bool {
    match role {
        Role::Agent => roster
            .agent(&me.name)
            .is_some_and(|a| a.tls_key.0 == *tls_key && a.signing_key == *signing),
        Role::Analyst => roster
            .analyst(&me.name)
            .is_some_and(|a| a.tls_key.0 == *tls_key && a.key == *signing),
        Role::Steward => roster
            .steward(&me.name)
            .is_some_and(|s| s.tls_key.0 == *tls_key && s.key == *signing),
        Role::Coordinator => {
            let entry = &roster.coordinator;
            entry.id == me.name && entry.tls_key.0 == *tls_key && entry.signing_key == *signing
        }
    }
}

/// Chain, validity, usage and name; answers BLAKE3 of the subject public key info.
fn check_certificate(approval: &Approval, role: Role) -> Result<[u8; 32], EnrollError> {
    let der = CertificateDer::from_pem_slice(approval.certificate.as_bytes()).map_err(EnrollError::certificate)?;
    let (_, parsed) = X509Certificate::from_der(&der).map_err(EnrollError::certificate)?;
    let wanted = role.dns_name(&approval.name);
    let names = parsed.subject_alternative_name().map_err(EnrollError::certificate)?;
    let named = names.is_some_and(
        |names| matches!(names.value.general_names.as_slice(), [GeneralName::DNSName(name)] if *name == wanted),
    );
    if !named {
        return Err(EnrollError::WrongName {
            role: role.as_str(),
            name: approval.name.clone(),
        });
    }
    let mut roots = RootCertStore::empty();
    for ca in CertificateDer::pem_slice_iter(approval.ca.as_bytes()) {
        roots
            .add(ca.map_err(EnrollError::certificate)?)
            .map_err(EnrollError::certificate)?;
    }
    let (roots, now) = (Arc::new(roots), UnixTime::now());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    match role {
        Role::Agent | Role::Analyst | Role::Steward => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            verifier
                .map_err(EnrollError::certificate)?
                .verify_client_cert(&der, &[], now)
                .map(drop)
        }
        Role::Coordinator => {
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
            let name = wanted.try_into().map_err(EnrollError::certificate)?;
            let verifier = verifier.map_err(EnrollError::certificate)?;
            rustls::client::danger::ServerCertVerifier::verify_server_cert(&*verifier, &der, &[], &name, &[], now)
                .map(drop)
        }
    }
    .map_err(EnrollError::certificate)?;
    Ok(*blake3::hash(parsed.public_key().raw).as_bytes())
}
