//! Whether a certificate is what it should be: issued by the consortium's authority, directly or through what its file brings along, for one
//! role and one name, and for the key that asked. For certificates of our own and of an organisation's authority alike.

use std::sync::Arc;

use proto::identity::Role;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, UnixTime, pem::PemObject};
use rustls::server::WebPkiClientVerifier;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::EnrollError;

/// Chain, validity, usage and name of the first certificate in `chain`; answers BLAKE3 of its subject public key info.
pub fn check(authority: &str, chain: &str, role: Role, name: &str) -> Result<[u8; 32], EnrollError> {
    let chain = read(chain)?;
    let [certificate, between @ ..] = chain.as_slice() else {
        return Err(EnrollError::Certificate("no certificate in the file".into()));
    };
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(EnrollError::certificate)?;
    let wanted = role.dns_name(name);
    let names = parsed.subject_alternative_name().map_err(EnrollError::certificate)?;
    let named = names.is_some_and(
        |names| matches!(names.value.general_names.as_slice(), [GeneralName::DNSName(name)] if *name == wanted),
    );
    if !named {
        let (role, name) = (role.as_str(), name.to_owned());
        return Err(EnrollError::WrongName { role, name });
    }
    let mut roots = RootCertStore::empty();
    for ca in read(authority)? {
        roots.add(ca).map_err(EnrollError::certificate)?;
    }
    let (roots, now) = (Arc::new(roots), UnixTime::now());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    match role {
        Role::Agent | Role::Analyst | Role::Steward => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            let verifier = verifier.map_err(EnrollError::certificate)?;
            verifier.verify_client_cert(certificate, between, now).map(drop)
        }
        Role::Coordinator => {
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
            let verifier = verifier.map_err(EnrollError::certificate)?;
            let name = wanted.try_into().map_err(EnrollError::certificate)?;
            verifier
                .verify_server_cert(certificate, between, &name, &[], now)
                .map(drop)
        }
    }
    .map_err(EnrollError::certificate)?;
    Ok(*blake3::hash(parsed.public_key().raw).as_bytes())
}

/// The one certificate on which a consortium rests. What stands between it and a member travels with the member's.
pub fn anchor(authority: &str) -> Result<CertificateDer<'static>, EnrollError> {
    let mut found = read(authority)?;
    match (found.pop(), found.len()) {
        (Some(anchor), 0) => Ok(anchor),
        (_, others) => Err(EnrollError::Anchor(others + 1)),
    }
}

fn read(pem: &str) -> Result<Vec<CertificateDer<'static>>, EnrollError> {
    let read = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    read.map_err(EnrollError::certificate)
}
