//! A consortium is founded by files, and every altered file is turned away.

mod foreign;
mod rotation;
mod tokens;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use proto::identity::Role;

use super::*;

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let founding = Founding {
            consortium: "hearts".into(),
            colluders: 1,
            min_cohort: 3,
            authority: None,
        };
        init(&world.consortium(), &founding).unwrap();
        world
    }

    fn consortium(&self) -> PathBuf {
        self.folder.path().join("consortium")
    }

    fn member(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn asks(&self, role: Role, name: &str) -> PathBuf {
        request(role, name, &format!("{name} org"), &self.member(name), None)
            .unwrap()
            .file
    }

    fn founded(&self) -> Approved {
        let requests = [
            self.asks(Role::Coordinator, "hub"),
            self.asks(Role::Agent, "a"),
            self.asks(Role::Agent, "b"),
            self.asks(Role::Agent, "c"),
            self.asks(Role::Analyst, "ann"),
        ];
        approve(&self.consortium(), &requests, None, false).unwrap()
    }
}

fn edit(path: &Path, change: impl FnOnce(String) -> String) {
    let text = fs::read_to_string(path).unwrap();
    fs::write(path, change(text)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_consortium_is_founded_by_one_approval_of_everybody() {
    let world = World::new();
    let approved = world.founded();
    assert_eq!(approved.missing, None);
    assert_eq!(approved.roster_version, 1);
    for name in ["hub", "a", "b", "c", "ann"] {
        let folder = world.member(name);
        let installed = install(&folder.join("approval.json"), &folder, None, None).unwrap();
        assert_eq!(installed.roster_version, 1);
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join("tls.key")), 0o600);
        assert_eq!(mode(&folder.join("signing.key")), 0o600);
        // An interrupted installation may be run again.
        install(&folder.join("approval.json"), &folder, None, None).unwrap();
    }
    assert_eq!(mode(&world.consortium().join("ca.key")), 0o600);
    assert_eq!(mode(&world.consortium().join("governance.key")), 0o600);
}

#[test]
fn an_installed_folder_is_an_identity() {
    let world = World::new();
    world.founded();
    let folder = world.member("ann");
    install(&folder.join("approval.json"), &folder, None, None).unwrap();
    proto::identity::Identity::load(&folder).unwrap();
}

#[test]
fn members_that_come_before_the_roster_is_complete_install_with_it_later() {
    let world = World::new();
    let early = approve(&world.consortium(), &[world.asks(Role::Agent, "a")], None, false).unwrap();
    assert_eq!(
        early.missing.as_deref(),
        Some("1 of at least 3 agents and no coordinator")
    );
    let folder = world.member("a");
    let approval = folder.join("approval.json");
    assert!(matches!(
        install(&approval, &folder, None, None),
        Err(EnrollError::NoRoster)
    ));
    for (role, name) in [(Role::Agent, "b"), (Role::Agent, "c"), (Role::Coordinator, "hub")] {
        approve(&world.consortium(), &[world.asks(role, name)], None, false).unwrap();
    }
    let roster = world.consortium().join("roster.json");
    assert_eq!(
        install(&approval, &folder, None, Some(&roster)).unwrap().roster_version,
        4
    );
}

#[test]
fn keys_are_never_overwritten() {
    let world = World::new();
    world.asks(Role::Agent, "a");
    let key = fs::read(world.member("a").join("tls.key")).unwrap();
    let again = request(
        Role::Agent,
        "a",
        "a org",
        &world.member("a"),
        Some(&world.member("other.json")),
    );
    assert!(matches!(again, Err(EnrollError::Exists(_))));
    assert_eq!(fs::read(world.member("a").join("tls.key")).unwrap(), key);
    let founding = Founding {
        consortium: "hearts".into(),
        colluders: 1,
        min_cohort: 3,
        authority: None,
    };
    assert!(matches!(
        init(&world.consortium(), &founding),
        Err(EnrollError::Exists(_))
    ));
}

#[test]
fn nothing_is_published_before_every_fingerprint_is_confirmed() {
    let world = World::new();
    let requests = [world.asks(Role::Agent, "a"), world.asks(Role::Agent, "b")];
    let told = show(&requests[0]).unwrap().1;
    let before = fs::read(world.consortium().join("members.json")).unwrap();
    let mut only_a = |_: &RequestBody, fingerprint: &str| fingerprint == told;
    let refused = approve_confirmed(&world.consortium(), &requests, None, &Terms::default(), &mut only_a);
    assert!(
        matches!(&refused, Err(EnrollError::Unconfirmed { name, .. }) if name == "b"),
        "{refused:?}"
    );
    assert_eq!(fs::read(world.consortium().join("members.json")).unwrap(), before);
    assert!(!world.member("a").join("approval.json").exists());
    approve_confirmed(
        &world.consortium(),
        &requests[..1],
        None,
        &Terms::default(),
        &mut only_a,
    )
    .unwrap();
}

#[test]
fn the_governance_key_is_pinned_by_the_first_installation() {
    let world = World::new();
    world.founded();
    let folder = world.member("a");
    assert!(!is_pinned(&folder));
    install(&folder.join("approval.json"), &folder, None, None).unwrap();
    assert!(is_pinned(&folder));
}

#[test]
fn an_altered_request_is_not_approved() {
    let world = World::new();
    for (name, from, to) in [
        ("a", r#"\"name\":\"a\""#, r#"\"name\":\"z\""#),
        ("b", r#"\"role\":\"agent\""#, r#"\"role\":\"analyst\""#),
        ("c", "c org", "d org"),
    ] {
        let file = world.asks(Role::Agent, name);
        edit(&file, |text| {
            let altered = text.replace(from, to);
            assert_ne!(altered, text, "{name}");
            altered
        });
        let refused = approve(&world.consortium(), &[file], None, false);
        assert!(matches!(refused, Err(EnrollError::Possession)), "{name}: {refused:?}");
    }
    assert!(!world.consortium().join("roster.json").exists());
}

#[test]
fn a_request_with_somebody_elses_tls_key_under_another_name_is_not_approved() {
    let world = World::new();
    let victim: EnrolRequest = EnrolRequest::parse(&fs::read(world.asks(Role::Agent, "a")).unwrap()).unwrap();
    let mut body = victim.verify().unwrap();
    let key = governance::SigningKey::from_seed(&[9; 32]).unwrap();
    body.name = "mallory".into();
    body.signing_key = key.public();
    let body = governance::canonical::to_string(&body).unwrap();
    let forged = EnrolRequest {
        signature: hex::encode(key.sign("enrolment request", body.as_bytes())),
        body,
    };
    let file = world.member("forged.json");
    fs::write(&file, serde_json::to_vec(&forged).unwrap()).unwrap();
    let refused = approve(&world.consortium(), &[file], None, false);
    assert!(matches!(refused, Err(EnrollError::WrongName { .. })), "{refused:?}");
}

#[test]
fn a_member_gets_new_keys_only_on_purpose() {
    let world = World::new();
    world.founded();
    let again = request(Role::Agent, "a", "a org", &world.member("a2"), None)
        .unwrap()
        .file;
    let refused = approve(&world.consortium(), std::slice::from_ref(&again), None, false);
    assert!(matches!(refused, Err(EnrollError::Member { .. })));
    let approved = approve(&world.consortium(), &[again], None, true).unwrap();
    assert_eq!(approved.roster_version, 2);
    let installed = install(
        &world.member("a2").join("approval.json"),
        &world.member("a2"),
        None,
        None,
    );
    assert_eq!(installed.unwrap().roster_version, 2);
}

#[test]
fn one_organisation_has_one_agent_and_a_consortium_one_coordinator() {
    let world = World::new();
    world.founded();
    let second = request(Role::Agent, "twin", "a org", &world.member("twin"), None)
        .unwrap()
        .file;
    let refused = approve(&world.consortium(), &[second], None, false);
    assert!(matches!(refused, Err(EnrollError::Organisations(_))));
    let hub = world.asks(Role::Coordinator, "hub-two");
    assert!(matches!(
        approve(&world.consortium(), &[hub], None, false),
        Err(EnrollError::Coordinator(_))
    ));
}

#[test]
fn an_approval_is_installed_only_where_its_key_is() {
    let world = World::new();
    world.founded();
    let (a, b) = (world.member("a"), world.member("b"));
    let other = install(&a.join("approval.json"), &b, None, None);
    assert!(matches!(other, Err(EnrollError::OtherMember { .. })));
    fs::copy(b.join("tls.key"), a.join("tls.key")).unwrap();
    let stolen = install(&a.join("approval.json"), &a, None, None);
    assert!(matches!(stolen, Err(EnrollError::OtherKey(_))));
    assert!(!a.join("certificate.pem").exists());
}

#[test]
fn an_approval_by_another_authority_or_governance_is_refused() {
    let world = World::new();
    world.founded();
    let stranger = World::new();
    stranger.founded();
    let folder = world.member("a");
    let approval = folder.join("approval.json");
    let wrong = install(&approval, &folder, Some(&"00".repeat(32)), None);
    assert!(matches!(wrong, Err(EnrollError::OtherGovernance { .. })));

    let mut forged: Approval = serde_json::from_slice(&fs::read(&approval).unwrap()).unwrap();
    forged.ca = fs::read_to_string(stranger.consortium().join("ca.pem")).unwrap();
    fs::write(&approval, serde_json::to_vec(&forged).unwrap()).unwrap();
    assert!(matches!(
        install(&approval, &folder, None, None),
        Err(EnrollError::Certificate(_))
    ));

    forged.ca = fs::read_to_string(world.consortium().join("ca.pem")).unwrap();
    forged.roster = serde_json::from_slice(&fs::read(stranger.consortium().join("roster.json")).unwrap()).unwrap();
    fs::write(&approval, serde_json::to_vec(&forged).unwrap()).unwrap();
    assert!(matches!(
        install(&approval, &folder, None, None),
        Err(EnrollError::Roster(_))
    ));
}

#[test]
fn names_that_could_not_be_a_host_or_a_folder_are_refused() {
    let world = World::new();
    for name in ["", "Cleveland", "a/b", "..", "a.b", "-a", "a-", "9a", "é"] {
        let refused = request(Role::Agent, name, "x", &world.member("m"), None);
        assert!(matches!(refused, Err(EnrollError::Name(_))), "{name:?}");
    }
    assert!(matches!(
        request(Role::Agent, "a", " ", &world.member("m"), None),
        Err(EnrollError::Organisation)
    ));
    assert!(!world.member("m").exists());
}
