//! A member changes its key, and one leaves.

use governance::join::Answer;
use proto::identity::Identity;

use super::super::install::install_approval;
use super::super::request::{EnrolRequest, RequestBody};
use super::super::rotate::rotation;
use super::*;

impl World {
    fn installed(&self) {
        self.founded();
        for name in ["hub", "a", "b", "c", "ann"] {
            let folder = self.member(name);
            install(&folder.join("approval.json"), &folder, None, None).unwrap();
        }
    }

    fn identity(&self, name: &str) -> Identity {
        Identity::load(&self.member(name)).unwrap()
    }

    /// Asks for and is given a new key, without installing it.
    fn rotated(&self, name: &str) -> Approval {
        let folder = self.member(name);
        let asked = rotate(&folder, None).unwrap().file;
        let output = folder.join("rotation.approval.json");
        let _ = fs::remove_file(&output);
        let mut nobody = |_: &RequestBody, _: &str| panic!("a rotation is not confirmed by telephone");
        let terms = Terms::default();
        approve_confirmed(&self.consortium(), &[asked], Some(&output), &terms, &mut nobody).unwrap();
        serde_json::from_slice(&fs::read(output).unwrap()).unwrap()
    }
}

#[test]
fn a_member_of_any_role_rotates_and_the_roster_names_both_keys_for_a_while() {
    let world = World::new();
    world.installed();
    for (version, (role, name)) in (2..).zip([(Role::Agent, "a"), (Role::Analyst, "ann"), (Role::Coordinator, "hub")]) {
        let before = world.identity(name);
        let signing = fs::read(world.member(name).join("signing.key")).unwrap();
        let approval = world.rotated(name);
        let installed = install_approval(&approval, &world.member(name), None, None).unwrap();
        assert_eq!(installed.roster_version, version);
        let after = world.identity(name);
        assert_ne!(after.tls_key, before.tls_key);
        assert_eq!(fs::read(world.member(name).join("signing.key")).unwrap(), signing);
        assert!(!world.member(name).join("tls.key.next").exists());
        assert_eq!(mode(&world.member(name).join("tls.key")), 0o600);
        let accepts = |key, now_ms| after.roster.accepts(role.into(), name, &ContentHash(key), now_ms);
        assert_eq!(accepts(before.tls_key, now_ms()), Some(true));
        assert_eq!(accepts(after.tls_key, now_ms()), Some(true));
        assert_eq!(
            accepts(before.tls_key, now_ms() + OVERLAP_MS),
            Some(false),
            "the overlap ends"
        );
    }
}

#[test]
fn an_installation_that_stops_at_any_step_leaves_a_usable_identity_and_is_finished_by_the_next() {
    let world = World::new();
    world.installed();
    let folder = world.member("a");
    let approval = world.rotated("a");
    let old = world.identity("a").tls_key;
    // The roster is there, nothing else.
    fs::write(
        folder.join("roster.json"),
        serde_json::to_vec(&approval.roster).unwrap(),
    )
    .unwrap();
    assert_eq!(world.identity("a").tls_key, old);
    // And the certificate.
    fs::write(folder.join("certificate.pem"), &approval.certificate).unwrap();
    let new = world.identity("a").tls_key;
    assert_ne!(new, old);
    install_approval(&approval, &folder, None, None).unwrap();
    assert_eq!(world.identity("a").tls_key, new);
    // Once installed, it may be installed again.
    install_approval(&approval, &folder, None, None).unwrap();
    assert_eq!(world.identity("a").tls_key, new);
}

#[test]
fn a_rotation_that_was_interrupted_goes_on_with_its_key() {
    let world = World::new();
    world.installed();
    let folder = world.member("a");
    let first = rotation(&folder, &folder.join("r.json")).unwrap();
    assert_eq!(rotation(&folder, &folder.join("r.json")).unwrap(), first);
    let (asked, again) = (first.application(None).unwrap(), first.application(None).unwrap());
    let Answer::Approved { approval } = world.answers(&asked) else {
        panic!("approved");
    };
    let published = world.everything();
    let Answer::Approved { .. } = world.answers(&again) else {
        panic!("a lost answer is given again");
    };
    assert_eq!(world.everything(), published, "and publishes nothing");
    let approval: Approval = serde_json::from_str(&approval).unwrap();
    install_approval(&approval, &folder, None, None).unwrap();
    world.identity("a");
}

#[test]
fn an_old_request_brings_no_old_key_back() {
    let world = World::new();
    world.installed();
    let folder = world.member("a");
    let first = rotate(&folder, None).unwrap().file;
    let kept = world.member("kept.request.json");
    fs::copy(&first, &kept).unwrap();
    for _ in 0..2 {
        let approval = world.rotated("a");
        install_approval(&approval, &folder, None, None).unwrap();
    }
    let replayed = approve(&world.consortium(), &[kept], None, false);
    assert!(matches!(replayed, Err(EnrollError::Rotation { .. })), "{replayed:?}");
    // The request with which it became a member is no rotation, whoever shows it again.
    let founding = approve(&world.consortium(), &[folder.join("request.json")], None, false);
    assert!(matches!(founding, Err(EnrollError::Member { .. })));
}

#[test]
fn a_rotation_is_signed_by_the_enrolled_key_or_it_is_none() {
    let world = World::new();
    world.installed();
    let (a, b) = (world.identity("a"), world.member("b"));
    let key = super::super::signing_key(&b.join("signing.key")).unwrap();
    let tls = super::super::pki::new_key().unwrap();
    let stolen = EnrolRequest::sign(&a.member, &tls, Some(ContentHash(a.tls_key)), &key).unwrap();
    let file = world.member("stolen.request.json");
    fs::write(&file, serde_json::to_vec(&stolen).unwrap()).unwrap();
    let refused = approve(&world.consortium(), &[file], None, true);
    assert!(matches!(refused, Err(EnrollError::Rotation { .. })), "{refused:?}");
}

#[test]
fn a_rolled_back_roster_is_not_installed() {
    let world = World::new();
    world.installed();
    let folder = world.member("a");
    let old = world.rotated("a");
    approve(&world.consortium(), &[world.asks(Role::Agent, "d")], None, false).unwrap();
    let newest: governance::SignedRoster =
        serde_json::from_slice(&fs::read(world.consortium().join("roster.json")).unwrap()).unwrap();
    fs::write(folder.join("roster.json"), serde_json::to_vec(&newest).unwrap()).unwrap();
    // The certificate is, and the newest roster stays.
    let installed = install_approval(&old, &folder, None, None).unwrap();
    assert_eq!((installed.roster_version, world.identity("a").roster.version), (3, 3));
    // Where the roster that is here names another key of the member's, nothing older is installed.
    let next = world.rotated("a");
    let mut other = newest.read().unwrap();
    (other.version, other.agents[0].tls_key) = (9, ContentHash([7; 32]));
    let governance = super::super::signing_key(&world.consortium().join("governance.key")).unwrap();
    let other = serde_json::to_vec(&other.sign(&governance).unwrap()).unwrap();
    fs::write(folder.join("roster.json"), &other).unwrap();
    let refused = install_approval(&next, &folder, None, None);
    assert!(matches!(refused, Err(EnrollError::Roster(_))), "{refused:?}");
    assert_eq!(fs::read(folder.join("roster.json")).unwrap(), other);
}

#[test]
fn a_member_is_removed_where_enough_are_left() {
    let world = World::new();
    world.installed();
    let consortium = world.consortium();
    let few = remove(&consortium, Role::Agent, "a");
    assert!(matches!(few, Err(EnrollError::Removal { .. })), "{few:?}");
    assert!(remove(&consortium, Role::Coordinator, "hub").is_err());
    assert!(remove(&consortium, Role::Analyst, "bob").is_err());
    approve(&consortium, &[world.asks(Role::Agent, "d")], None, false).unwrap();
    assert_eq!(remove(&consortium, Role::Agent, "a").unwrap(), 3);
    assert_eq!(remove(&consortium, Role::Analyst, "ann").unwrap(), 4);
    let folder = world.member("ann");
    fs::copy(consortium.join("roster.json"), folder.join("roster.json")).unwrap();
    let gone = Identity::load(&folder).err().unwrap().to_string();
    assert!(gone.contains("unknown analyst `ann`"), "{gone}");
}

#[test]
fn a_second_rotation_within_an_overlap_waits_for_a_person_and_a_later_one_does_not() {
    let world = World::new();
    world.installed();
    let folder = world.member("a");
    let asks = || {
        rotation(&folder, &folder.join("r.json"))
            .unwrap()
            .application(None)
            .unwrap()
    };
    let first = asks();
    let Answer::Approved { approval } = world.answers(&first) else {
        panic!("the first in an overlap is approved unasked");
    };
    let approval: Approval = serde_json::from_str(&approval).unwrap();
    install_approval(&approval, &folder, None, None).unwrap();
    let second = asks();
    assert_eq!(world.refused(&second), "SOTTO-7112");
    // The overlap is this member's alone.
    let b = world.member("b");
    let other = rotation(&b, &b.join("r.json")).unwrap().application(None).unwrap();
    assert!(matches!(world.answers(&other), Answer::Approved { .. }));
    // When the key before has retired nobody is asked; within the overlap the governance holder approves by hand.
    let members = Members::read(&world.consortium()).unwrap();
    let body = EnrolRequest::carried(&second).verify().unwrap();
    let (key, later) = (ContentHash([9; 32]), now_ms() + OVERLAP_MS + 60_000);
    assert!(members.may_rotate_unasked(&body, &key, now_ms()).is_err());
    members.may_rotate_unasked(&body, &key, later).unwrap();
    let by_hand = world.rotated("a");
    install_approval(&by_hand, &folder, None, None).unwrap();
    world.identity("a");
}

#[test]
fn the_name_of_somebody_who_left_is_given_to_nobody_else() {
    let world = World::new();
    world.installed();
    let consortium = world.consortium();
    remove(&consortium, Role::Analyst, "ann").unwrap();
    let asks = |folder: &str, role, organisation: &str| {
        request(role, "ann", organisation, &world.member(folder), None)
            .unwrap()
            .file
    };
    for replace in [false, true] {
        let before = world.everything();
        let refused = approve(&consortium, &[asks("other", Role::Analyst, "elsewhere")], None, replace);
        assert!(matches!(refused, Err(EnrollError::Former { .. })), "{refused:?}");
        assert_eq!(world.everything(), before);
        let _ = fs::remove_dir_all(world.member("other"));
    }
    // Whoever comes back with the key that it had is the one who left; somebody of another role was never it.
    fs::remove_file(world.member("ann").join("approval.json")).unwrap();
    approve(&consortium, &[world.member("ann").join("request.json")], None, false).unwrap();
    assert!(Members::read(&consortium).unwrap().former.is_empty());
    // A member that lost its keys has not left.
    approve(&consortium, &[asks("new", Role::Analyst, "ann org")], None, true).unwrap();
}
