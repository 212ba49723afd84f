//! A release with its proof: it reads back, holds with the trust file alone, and nothing in it can be changed.

use governance::log::event::EventError;
use governance::log::{Nodes, Proven, ProvenError, TrustError};

use crate::world::*;

/// The event at `index` of a log of 9, cosigned by these hospitals.
fn proven(index: u64, witnesses: &[u8]) -> Proven {
    let log = Log::of(9);
    Proven {
        leaf: log.entries[index as usize].0.leaf().to_owned(),
        index,
        path: log.tree.inclusion(index, 9).unwrap(),
        checkpoint: log.cosigned(witnesses.iter().copied()).to_string(),
    }
}

#[test]
fn a_proof_reads_back_and_says_who_saw_the_event() {
    for index in 0..9 {
        let sent = proven(index, &[1, 2, 4]);
        let read: Proven = sent.to_string().parse().unwrap();
        assert_eq!(read, sent);
        let logged = read.verify(&trust()).unwrap();
        assert_eq!((logged.index, logged.size), (index, 9));
        assert_eq!(logged.event.leaf(), sent.leaf);
        let names: Vec<&str> = logged.witnesses.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["agent-1", "agent-2", "agent-4"]);
    }
}

#[test]
fn too_few_witnesses_prove_nothing() {
    let short = proven(3, &[1, 2]).verify(&trust());
    assert!(matches!(
        short,
        Err(ProvenError::Trust(TrustError::NoQuorum { found: 2, .. }))
    ));
}

#[test]
fn another_leaf_another_place_or_another_path_does_not_verify() {
    let good = proven(3, &[1, 2, 3]);
    let other_leaf = Proven {
        leaf: proven(4, &[]).leaf,
        ..good.clone()
    };
    let other_place = Proven {
        index: 4,
        ..good.clone()
    };
    let other_path = Proven {
        path: proven(5, &[]).path,
        ..good.clone()
    };
    for bad in [other_leaf, other_place, other_path] {
        assert!(
            matches!(bad.verify(&trust()), Err(ProvenError::Inclusion { .. })),
            "{bad:?}"
        );
    }
    // A leaf that is in the tree and no event.
    let mut log = Log::of(2);
    log.tree.append(b"no event");
    let bad = Proven {
        leaf: "no event".into(),
        index: 2,
        path: log.tree.inclusion(2, 3).unwrap(),
        checkpoint: log.cosigned([1, 2, 3]).to_string(),
    };
    assert!(matches!(
        bad.verify(&trust()),
        Err(ProvenError::Event {
            index: 2,
            error: EventError::Malformed(_)
        })
    ));
}

#[test]
fn a_file_with_a_flipped_byte_does_not_read_or_does_not_verify() {
    let text = proven(3, &[1, 2, 3]).to_string();
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(flipped) = String::from_utf8(bytes) else {
            continue;
        };
        let read: Result<Proven, _> = flipped.parse();
        // A flip in a witness's name makes its line one of a stranger: the quorum is missing.
        assert!(read.is_err() || read.unwrap().verify(&trust()).is_err(), "byte {at}");
    }
}
