//! An identity directory that holds together loads; one that does not says which part and what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use governance::{Agent, Analyst, ContentHash, CoordinatorEntry, Roster, SigningKey, VerifyingKey};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PublicKeyData};

use super::*;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

struct World {
    directory: tempfile::TempDir,
    certificate_der: Vec<u8>,
    roster: Roster,
}

/// A complete identity of agent `a`, whose certificate carries `dns_name`.
fn world(dns_name: &str) -> World {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let tls = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![dns_name.to_owned()])
        .unwrap()
        .signed_by(&tls, &authority)
        .unwrap();
    let tls_key = *blake3::hash(&tls.subject_public_key_info()).as_bytes();
    let agent = |id: &str, seed: u8, tls_key| Agent {
        id: id.to_owned(),
        organisation: format!("org {id}"),
        signing_key: key(seed).public(),
        tls_key: ContentHash(tls_key),
    };
    let roster = Roster {
        consortium: "hearts".to_owned(),
        version: 1,
        c: 1,
        min_cohort: 3,
        agents: vec![agent("a", 1, tls_key), agent("b", 2, [2; 32]), agent("c", 3, [3; 32])],
        analysts: vec![Analyst {
            id: "ann".to_owned(),
            organisation: "org a".to_owned(),
            key: key(4).public(),
            tls_key: ContentHash([4; 32]),
        }],
        stewards: Vec::new(),
        coordinator: CoordinatorEntry {
            id: "hub".to_owned(),
            organisation: None,
            tls_key: ContentHash([5; 32]),
            signing_key: key(5).public(),
        },
        retiring: Vec::new(),
    };
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str, mode: u32| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    write("tls.key", &tls.serialize_pem(), 0o600);
    write("certificate.pem", &certificate.pem(), 0o644);
    write("ca.pem", &authority.pem(), 0o644);
    write("signing.key", &format!("{}\n", "01".repeat(32)), 0o600);
    write("governance.pub", &format!("{}\n", key(9).public()), 0o644);
    let signed = roster.sign(&key(9)).unwrap();
    write("roster.json", &serde_json::to_string(&signed).unwrap(), 0o644);
    let member = r#"{"role":"agent","name":"a","organisation":"org a"}"#;
    write("member.json", member, 0o644);
    World {
        directory,
        certificate_der: certificate.der().to_vec(),
        roster,
    }
}

fn refusal(directory: &Path) -> String {
    Identity::load(directory).err().expect("a refusal").to_string()
}

#[test]
fn a_whole_identity_loads_and_makes_tls_for_both_sides() {
    install_crypto_provider();
    let world = world("a.agent.sottovoce.internal");
    let identity = Identity::load(world.directory.path()).unwrap();
    assert_eq!(
        (identity.member.role, identity.member.name.as_str()),
        (Role::Agent, "a")
    );
    assert_eq!(identity.signing_seed(), &[1; 32]);
    assert_eq!(identity.roster, world.roster);
    assert!(identity.certificate_from_s < identity.certificate_until_s);
    let server = tonic::transport::Server::builder().tls_config(identity.server_tls());
    assert!(server.is_ok());
    let endpoint =
        tonic::transport::Endpoint::from_static("https://127.0.0.1:1").tls_config(identity.client_tls_to_any_key());
    assert!(endpoint.is_ok());
}

#[test]
fn a_private_key_that_others_may_read_is_refused() {
    let world = world("a.agent.sottovoce.internal");
    for name in ["tls.key", "signing.key"] {
        let path = world.directory.path().join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(refusal(world.directory.path()).contains("mode 640"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    assert!(Identity::load(world.directory.path()).is_ok());
}

#[test]
fn parts_that_do_not_belong_together_are_refused_with_the_part() {
    let other = world("a.agent.sottovoce.internal");
    for (name, text) in [
        ("tls.key", "certificate.pem: the certificate is not that of tls.key"),
        (
            "governance.pub",
            "roster.json: roster is not signed by the governance key",
        ),
        ("signing.key", "signing.key: the roster names another signing key"),
        (
            "member.json",
            "certificate.pem: mismatched certificate: expected agent `b`, found agent `a`",
        ),
    ] {
        let world = world("a.agent.sottovoce.internal");
        let path = world.directory.path().join(name);
        match name {
            "tls.key" => drop(fs::copy(other.directory.path().join(name), &path).unwrap()),
            "governance.pub" => fs::write(&path, VerifyingKey([7; 32]).to_string()).unwrap(),
            "signing.key" => fs::write(&path, "02".repeat(32)).unwrap(),
            _ => fs::write(&path, r#"{"role":"agent","name":"b","organisation":"org b"}"#).unwrap(),
        }
        let refusal = refusal(world.directory.path());
        assert!(refusal.contains(text), "{refusal}");
    }
    fs::remove_file(other.directory.path().join("ca.pem")).unwrap();
    assert!(refusal(other.directory.path()).contains("sotto enroll install"));
}

#[test]
fn an_analysts_certificate_does_not_speak_for_an_agent() {
    let world = world("a.analyst.sottovoce.internal");
    let peer = Peer::of_certificate(&world.certificate_der).unwrap();
    assert_eq!((peer.role, peer.name.as_str()), (Role::Analyst, "a"));
    let refused = peer.enrolled_as(Role::Agent, &world.roster).unwrap_err();
    assert!(matches!(
        refused,
        PeerError::WrongRole {
            expected: Role::Agent,
            ..
        }
    ));
    let status = tonic::Status::from(refused);
    assert_eq!(status.code(), tonic::Code::PermissionDenied);
}

#[test]
fn a_member_with_another_key_or_outside_the_roster_is_refused() {
    let ours = world("a.agent.sottovoce.internal");
    let peer = |world: &World| Peer::of_certificate(&world.certificate_der).unwrap();
    assert!(peer(&ours).enrolled_as(Role::Agent, &ours.roster).is_ok());
    let copy = world("a.agent.sottovoce.internal");
    assert!(matches!(
        peer(&copy).enrolled_as(Role::Agent, &ours.roster),
        Err(PeerError::OtherKey { .. })
    ));
    let stranger = world("d.agent.sottovoce.internal");
    assert!(matches!(
        peer(&stranger).enrolled_as(Role::Agent, &ours.roster),
        Err(PeerError::NotInRoster { .. })
    ));
}

#[test]
fn a_certificate_with_a_foreign_name_is_nobody() {
    let foreign = world("example.org");
    assert!(matches!(
        Peer::of_certificate(&foreign.certificate_der),
        Err(PeerError::Name(_))
    ));
    assert!(matches!(
        Peer::of_certificate(b"not a certificate"),
        Err(PeerError::Unreadable(_))
    ));
}

#[test]
fn a_name_in_a_certificate_reads_back_as_role_and_member() {
    for role in [Role::Agent, Role::Analyst, Role::Coordinator] {
        let dns_name = role.dns_name("cleveland-2");
        assert_eq!(Role::of_dns_name(&dns_name), Some((role, "cleveland-2")));
    }
}

#[test]
fn other_names_are_nobody() {
    for name in [
        "cleveland.agent.example.org",
        "cleveland.sottovoce.internal",
        "cleveland.owner.sottovoce.internal",
        ".agent.sottovoce.internal",
        "a.b.agent.sottovoce.internal",
        "Cleveland.agent.sottovoce.internal",
        "*.agent.sottovoce.internal",
    ] {
        assert_eq!(Role::of_dns_name(name), None, "{name}");
    }
}

#[test]
fn the_key_before_a_rotation_speaks_for_its_member_until_the_overlap_ends() {
    let (new, old) = (world("a.agent.sottovoce.internal"), world("a.agent.sottovoce.internal"));
    let mut roster = new.roster.clone();
    roster.retiring.push(governance::Retiring {
        role: governance::log::event::Role::Agent,
        id: "a".to_owned(),
        tls_key: old.roster.agent("a").unwrap().tls_key,
        until_ms: 100,
    });
    let at = |world: &World, now_ms| {
        let peer = Peer::of_certificate(&world.certificate_der).unwrap();
        peer.enrolled_at(Role::Agent, &roster, now_ms)
    };
    assert!(at(&old, 99).is_ok() && at(&new, 99).is_ok() && at(&new, 1_000).is_ok());
    assert!(matches!(at(&old, 100), Err(PeerError::OtherKey { .. })));
}

#[test]
fn an_exchange_of_the_certificate_is_noticed_once_and_its_key_is_found_where_an_interruption_left_it() {
    let (ours, next) = (world("a.agent.sottovoce.internal"), world("a.agent.sottovoce.internal"));
    let (folder, from) = (ours.directory.path(), next.directory.path());
    let mut watch = Watch::of(&Identity::load(folder).unwrap());
    assert!(watch.newer().is_none());
    for name in ["certificate.pem", "ca.pem"] {
        fs::copy(from.join(name), folder.join(name)).unwrap();
    }
    assert!(watch.newer().unwrap().is_err(), "the roster does not name it yet");
    assert!(watch.newer().is_none(), "said once");
    fs::copy(from.join("roster.json"), folder.join("roster.json")).unwrap();
    assert!(watch.newer().is_none(), "nor is the key there");
    fs::copy(from.join("tls.key"), folder.join(NEXT_KEY)).unwrap();
    let found = watch.newer().unwrap().unwrap();
    assert_eq!(found.tls_key, next.roster.agent("a").unwrap().tls_key.0);
    assert!(watch.newer().is_none(), "noticed once");
    fs::write(folder.join("signing.key"), "05".repeat(32)).unwrap();
    fs::write(folder.join("certificate.pem"), "another").unwrap();
    assert!(watch.newer().unwrap().is_err());
}
