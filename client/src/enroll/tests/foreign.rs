//! A consortium under an authority whose key it never sees: a root in one vault, an intermediate in another.

use std::sync::Arc;

use proto::identity::Identity;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

use super::*;

struct Foreign {
    root: CertifiedIssuer<'static, KeyPair>,
    between: CertifiedIssuer<'static, KeyPair>,
}

fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

impl Foreign {
    fn new() -> Self {
        let mut root = authority();
        root.distinguished_name.push(rcgen::DnType::CommonName, "root");
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let mut between = authority();
        between.distinguished_name.push(rcgen::DnType::CommonName, "between");
        let between = CertifiedIssuer::signed_by(between, KeyPair::generate().unwrap(), &root).unwrap();
        Self { root, between }
    }

    /// Issues from a request and writes the certificate with what stands above it.
    fn issues(&self, world: &World, name: &str, usage: ExtendedKeyUsagePurpose) -> PathBuf {
        let (body, _) = show(&world.member(name).join("request.json")).unwrap();
        let mut asked = CertificateSigningRequestParams::from_pem(&body.signing_request).unwrap();
        asked.params.extended_key_usages = vec![usage];
        let certificate = asked.signed_by(&self.between).unwrap();
        let file = world.member(&format!("{name}.pem"));
        fs::write(&file, format!("{}{}", certificate.pem(), self.between.pem())).unwrap();
        file
    }
}

fn founded_under(foreign: &Foreign) -> World {
    let world = World {
        folder: tempfile::tempdir().unwrap(),
    };
    let certificate = world.member("root.pem");
    fs::write(&certificate, foreign.root.pem()).unwrap();
    let founding = Founding {
        consortium: "hearts".into(),
        colluders: 1,
        min_cohort: 3,
        authority: Some(Existing { certificate, key: None }),
    };
    init(&world.consortium(), &founding).unwrap();
    assert!(!world.consortium().join("ca.key").exists());
    world
}

fn approved_with(world: &World, requests: &[PathBuf], certificates: Vec<PathBuf>) -> Result<Approved, EnrollError> {
    let terms = Terms {
        certificates,
        ..Terms::default()
    };
    approve_confirmed(&world.consortium(), requests, None, &terms, &mut |_, _| true)
}

/// Mutual TLS between two identities, in memory.
fn shake_hands(client: &Identity, server: &Identity) -> Result<(), rustls::Error> {
    let certified = client.certified()?;
    let client_config = ClientConfig::builder()
        .with_root_certificates(client.roots()?)
        .with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
    let verifier = rustls::server::WebPkiClientVerifier::builder(server.roots()?)
        .build()
        .unwrap();
    let server_config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(server.certified()?)));
    let name = ServerName::try_from(Role::Coordinator.dns_name(&server.member.name)).unwrap();
    let mut client = ClientConnection::new(Arc::new(client_config), name)?;
    let mut server = ServerConnection::new(Arc::new(server_config))?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets()?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    Ok(())
}

#[test]
fn a_consortium_runs_under_a_foreign_authority_with_an_intermediate() {
    proto::identity::install_crypto_provider();
    let foreign = Foreign::new();
    let world = founded_under(&foreign);
    let mut requests = vec![world.asks(Role::Coordinator, "hub")];
    let mut certificates = vec![foreign.issues(&world, "hub", ExtendedKeyUsagePurpose::ServerAuth)];
    for name in ["a", "b", "c"] {
        requests.push(world.asks(Role::Agent, name));
        certificates.push(foreign.issues(&world, name, ExtendedKeyUsagePurpose::ClientAuth));
    }
    let approved = approved_with(&world, &requests, certificates).unwrap();
    assert_eq!((approved.missing, approved.roster_version), (None, 1));
    for name in ["hub", "a", "b", "c"] {
        let folder = world.member(name);
        install(&folder.join("approval.json"), &folder, None, None).unwrap();
    }
    let identity = |name| Identity::load(&world.member(name)).unwrap();
    shake_hands(&identity("a"), &identity("hub")).unwrap();
    let stranger = World::new();
    stranger.founded();
    let folder = stranger.member("a");
    install(&folder.join("approval.json"), &folder, None, None).unwrap();
    let stranger = Identity::load(&folder).unwrap();
    assert!(shake_hands(&stranger, &identity("hub")).is_err());
}

#[test]
fn a_certificate_of_another_key_name_usage_or_authority_is_not_taken_and_nothing_is_published() {
    let foreign = Foreign::new();
    let world = founded_under(&foreign);
    let (a, b) = (world.asks(Role::Agent, "a"), world.asks(Role::Agent, "b"));
    let of_b = foreign.issues(&world, "b", ExtendedKeyUsagePurpose::ClientAuth);
    let for_servers = foreign.issues(&world, "a", ExtendedKeyUsagePurpose::ServerAuth);
    let other = Foreign::new();
    let before = world.everything();
    let refused = |certificates: Vec<PathBuf>| {
        let refused = approved_with(&world, std::slice::from_ref(&a), certificates);
        assert!(matches!(refused, Err(EnrollError::Elsewhere { .. })), "{refused:?}");
    };
    refused(vec![]);
    refused(vec![of_b.clone()]);
    refused(vec![for_servers]);
    refused(vec![other.issues(&world, "a", ExtendedKeyUsagePurpose::ClientAuth)]);
    // Without what stands between, it does not chain.
    let whole = foreign.issues(&world, "a", ExtendedKeyUsagePurpose::ClientAuth);
    let first = fs::read_to_string(&whole).unwrap();
    let end = first.find("-----END CERTIFICATE-----").unwrap() + "-----END CERTIFICATE-----".len();
    let alone = world.member("alone.pem");
    fs::write(&alone, &first[..end]).unwrap();
    refused(vec![alone]);
    let partly = |certificates| approved_with(&world, &[a.clone(), b.clone()], certificates);
    assert!(partly(vec![of_b.clone()]).is_err(), "all of them or nobody");
    assert_eq!(world.everything(), before);
    partly(vec![of_b, whole]).unwrap();
}

#[test]
fn an_authority_is_one_certificate() {
    let foreign = Foreign::new();
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("both.pem");
    fs::write(&certificate, format!("{}{}", foreign.root.pem(), foreign.between.pem())).unwrap();
    let founding = Founding {
        consortium: "hearts".into(),
        colluders: 1,
        min_cohort: 3,
        authority: Some(Existing { certificate, key: None }),
    };
    let refused = init(&folder.path().join("consortium"), &founding);
    assert!(matches!(refused, Err(EnrollError::Anchor(2))));
    assert!(!folder.path().join("consortium").exists());
}
