//! Whose word is enough: the trust file and the arithmetic of quorums.

use governance::log::trust::{TrustFile, WitnessEntry, smallest_quorum};
use governance::log::{Algorithm, NoteKey, Trust, TrustError};
use proptest::prelude::*;

use crate::world::*;

#[test]
fn a_trust_file_is_read_as_it_was_written() {
    let text = toml::to_string(&trust_file()).unwrap();
    assert!(text.contains("[[witness]]"), "{text}");
    let read = Trust::parse(&text).unwrap();
    assert_eq!(read, trust());
    assert_eq!((read.log(), read.witnesses().len()), (&log_key(), 4));
    assert_eq!(read.governance(), Some(&key(GOVERNANCE).public()));
    // A file from before it named governance's key.
    let earlier = TrustFile {
        governance: None,
        ..trust_file()
    };
    let earlier = toml::to_string(&earlier).unwrap();
    assert!(!earlier.contains("governance"));
    assert_eq!(Trust::parse(&earlier).unwrap().governance(), None);
    assert!(matches!(
        Trust::parse(&format!("{text}\nextra = 1")),
        Err(TrustError::Malformed(_))
    ));
}

#[test]
fn a_quorum_is_more_than_half_of_witnesses_and_liars() {
    for (witnesses, faulty, quorum) in [
        (1, 0, 1),
        (3, 0, 2),
        (3, 1, 3),
        (4, 1, 3),
        (5, 1, 4),
        (7, 2, 5),
        (10, 3, 7),
    ] {
        assert_eq!(smallest_quorum(witnesses, faulty), quorum);
    }
    for (quorum, faulty, sound) in [
        (2, 1, false),
        (3, 1, true),
        (4, 1, true),
        (5, 1, false),
        (3, 2, false),
        (4, 2, true),
        (4, 4, false),
    ] {
        let checked = TrustFile {
            quorum,
            faulty,
            ..trust_file()
        }
        .check();
        assert_eq!(checked.is_ok(), sound, "{quorum} of 4 with {faulty}: {checked:?}");
    }
    let message = TrustFile {
        quorum: 2,
        ..trust_file()
    }
    .check()
    .unwrap_err()
    .to_string();
    assert_eq!(message, "quorum 2 of 4 witnesses of which 1 may lie: expected 3 to 4");
}

proptest! {
    #[test]
    fn two_quorums_share_an_honest_witness_and_one_fewer_would_not(n in 1usize..200, f in 0usize..200) {
        prop_assume!(f < n);
        let q = smallest_quorum(n, f);
        // The least that two sets of q among n have in common.
        prop_assert!(2 * q > n + f);
        prop_assert!(2 * (q - 1) <= n + f);
    }
}

#[test]
fn the_coordinators_organisation_is_no_witness_and_nobody_counts_twice() {
    let changed = |change: &dyn Fn(&mut Vec<WitnessEntry>)| {
        let mut file = trust_file();
        change(&mut file.witnesses);
        file.check().unwrap_err()
    };
    let own = changed(&|w| w[3].organisation = "trust office".into());
    assert!(matches!(own, TrustError::Coordinator { .. }), "{own}");
    let twice = |what, error: TrustError| {
        assert!(
            matches!(error, TrustError::Twice { what: w, .. } if w == what),
            "{error}"
        )
    };
    twice("organisation", changed(&|w| w[3].organisation = "hospital 1".into()));
    let renamed = NoteKey::new("agent-4", Algorithm::CosignatureV1, key(1).public())
        .unwrap()
        .to_string();
    twice("public key", changed(&|w| w[3].key = renamed.clone()));
    let rekeyed = NoteKey::new("agent-1", Algorithm::CosignatureV1, key(4).public())
        .unwrap()
        .to_string();
    twice("name", changed(&|w| w[3].key = rekeyed.clone()));
    let log_as_witness = changed(&|w| w[3].key = log_key().to_string());
    assert!(matches!(log_as_witness, TrustError::Type { .. }));
    let mut witness_as_log = trust_file();
    witness_as_log.log = witness_key(1).to_string();
    assert!(matches!(witness_as_log.check(), Err(TrustError::Type { .. })));
}

#[test]
fn only_listed_witnesses_make_a_quorum() {
    let (log, trust) = (Log::of(5), trust());
    let names = |agents: &[u8]| {
        let checkpoint = log.cosigned(agents.iter().copied());
        trust
            .quorum(&checkpoint)
            .map(|by| by.iter().map(|w| w.key.name().to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(names(&[4, 2, 1]).unwrap(), ["agent-4", "agent-2", "agent-1"]);
    let missing = |found| {
        Err(TrustError::NoQuorum {
            expected: 3,
            found,
            size: 5,
        })
    };
    assert_eq!(names(&[]), missing(0));
    assert_eq!(names(&[1, 2]), missing(2));
    assert_eq!(names(&[1, 1, 1]), missing(1));
    // Strangers and the coordinator's own agent add nothing.
    assert_eq!(names(&[1, 2, 9, 10, COORDINATOR]), missing(2));
}

#[test]
fn what_members_trust_follows_from_the_roster() {
    let trust = Trust::of(&roster()).unwrap();
    assert_eq!(trust.log().name(), "heart/log");
    assert_eq!(*trust.log().key(), key(COORDINATOR).public());
    let names: Vec<&str> = trust.witnesses().iter().map(NoteKey::name).collect();
    assert_eq!(names, ["agent-1", "agent-2", "agent-3", "agent-4"]);
    assert_eq!(trust.needed(), 3);
    // The file that an outsider gets says the same.
    let text = toml::to_string(&TrustFile::of(&roster()).unwrap()).unwrap();
    assert_eq!(Trust::parse(&text).unwrap(), trust);
}

#[test]
fn an_agent_of_the_coordinators_organisation_is_no_witness() {
    let mut roster = roster();
    roster.coordinator.organisation = Some("hospital 2".into());
    let trust = Trust::of(&roster).unwrap();
    let names: Vec<&str> = trust.witnesses().iter().map(NoteKey::name).collect();
    assert_eq!(names, ["agent-1", "agent-3", "agent-4"]);
    assert_eq!(trust.needed(), 3, "one of three may lie: all must answer");
}

#[test]
fn a_consortium_with_spaces_in_its_name_has_a_log_with_a_name() {
    let mut roster = roster();
    roster.consortium = "heart + lung".into();
    assert_eq!(Trust::of(&roster).unwrap().log().name(), "heart---lung/log");
}
