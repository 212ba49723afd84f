//! The consortium's certificate authority: X.509 in and out, nothing else. A certificate names one role and one member
//! in its subject alternative name (`cleveland.agent.sottovoce.internal`), so a valid certificate of one member cannot
//! speak for another, nor an analyst's for an agent. Costs one P-256 signature a certificate.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use time::{Duration, OffsetDateTime};

use super::EnrollError;
use proto::identity::Role;

/// How long a member's certificate is valid. Renewal is a new request under the same name.
const MEMBER_DAYS: i64 = 397;
const AUTHORITY_DAYS: i64 = 3650;

pub struct Authority {
    pub certificate_pem: String,
    pub key_pem: String,
}

/// A fresh authority for one consortium.
pub fn new_authority(consortium: &str) -> Result<Authority, EnrollError> {
    let key = KeyPair::generate().map_err(EnrollError::certificate)?;
    let key_pem = key.serialize_pem();
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("{consortium} consortium CA"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    (params.not_before, params.not_after) = validity(AUTHORITY_DAYS);
    let issuer = CertifiedIssuer::self_signed(params, key).map_err(EnrollError::certificate)?;
    Ok(Authority {
        certificate_pem: issuer.pem(),
        key_pem,
    })
}

/// A TLS key made where it will be used.
pub fn new_key() -> Result<String, EnrollError> {
    Ok(KeyPair::generate().map_err(EnrollError::certificate)?.serialize_pem())
}

/// The signing request for it, which may travel.
pub fn request(key_pem: &str, role: Role, name: &str, organisation: &str) -> Result<String, EnrollError> {
    let key = KeyPair::from_pem(key_pem).map_err(EnrollError::certificate)?;
    let mut params = CertificateParams::new(vec![role.dns_name(name)]).map_err(EnrollError::certificate)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, organisation);
    let request = params.serialize_request(&key).map_err(EnrollError::certificate)?;
    request.pem().map_err(EnrollError::certificate)
}

/// BLAKE3 of the key that a signing request is for, if it asks for exactly this role and name.
pub fn key_of_request(role: Role, name: &str, request_pem: &str) -> Result<[u8; 32], EnrollError> {
    // Parsing verifies the request's own signature, that is, possession of the TLS key.
    let request = CertificateSigningRequestParams::from_pem(request_pem).map_err(EnrollError::certificate)?;
    let asked = SanType::DnsName(role.dns_name(name).try_into().map_err(EnrollError::certificate)?);
    if request.params.subject_alt_names != [asked] {
        let (role, name) = (role.as_str(), name.to_owned());
        return Err(EnrollError::WrongName { role, name });
    }
    Ok(*blake3::hash(&request.public_key.subject_public_key_info()).as_bytes())
}

/// Issues a certificate for exactly the asked role, name and organisation; whatever else the request wanted is ignored.
pub fn issue(
    authority: &Authority,
    role: Role,
    name: &str,
    organisation: &str,
    request_pem: &str,
) -> Result<String, EnrollError> {
    let key = KeyPair::from_pem(&authority.key_pem).map_err(EnrollError::certificate)?;
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate_pem, key).map_err(EnrollError::certificate)?;
    let mut request = CertificateSigningRequestParams::from_pem(request_pem).map_err(EnrollError::certificate)?;
    let asked = SanType::DnsName(role.dns_name(name).try_into().map_err(EnrollError::certificate)?);
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, organisation);
    params.subject_alt_names = vec![asked];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = match role {
        Role::Coordinator => vec![ExtendedKeyUsagePurpose::ServerAuth],
        Role::Agent | Role::Analyst | Role::Steward => vec![ExtendedKeyUsagePurpose::ClientAuth],
    };
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = validity(MEMBER_DAYS);
    request.params = params;
    let certificate = request.signed_by(&issuer).map_err(EnrollError::certificate)?;
    Ok(certificate.pem())
}

/// BLAKE3 of the public half of a TLS key in PEM, to check that a certificate belongs to the key on this disk.
pub fn tls_key_of(key_pem: &str) -> Result<[u8; 32], EnrollError> {
    let key = KeyPair::from_pem(key_pem).map_err(EnrollError::certificate)?;
    Ok(*blake3::hash(&key.subject_public_key_info()).as_bytes())
}

/// Five minutes of grace before now, for clocks that are a little behind.
fn validity(days: i64) -> (OffsetDateTime, OffsetDateTime) {
    let now = OffsetDateTime::now_utc();
    (now - Duration::minutes(5), now + Duration::days(days))
}
