//! An export, checked far away and offline. Whatever was done to it, the first bad index is named.

use governance::log::bundle::Entry;
use governance::log::event::EventError;
use governance::log::{
    Bundle, BundleError, CheckpointError, Fault, NoteError, Payload, ProofError, TileError, TilePath, TileReader,
    TreeError, TrustError, tiles,
};
use proptest::prelude::*;

use crate::world::*;

fn exported(size: u64) -> Bundle {
    let log = Log::of(size);
    Bundle::export(&log.tree, &log.cosigned([1, 2, 3]), 0, log.entries.clone()).unwrap()
}

/// The first bad index and what is wrong there, after this was done to a bundle of ten.
fn tampered(change: impl FnOnce(&mut Bundle)) -> (u64, Fault) {
    let mut bundle = exported(10);
    change(&mut bundle);
    let text = serde_json::to_string(&bundle).unwrap();
    match Bundle::parse(&text).unwrap().verify(&trust()) {
        Err(BundleError::Entry { index, fault }) => (index, fault),
        other => panic!("expected a bad entry, got {other:?}"),
    }
}

#[test]
fn an_export_is_verified_with_a_trust_file_alone() {
    let bundle = exported(10);
    let verified = Bundle::parse(&serde_json::to_string(&bundle).unwrap())
        .unwrap()
        .verify(&trust())
        .unwrap();
    assert!(verified.whole());
    assert_eq!(verified.witnesses, ["agent-1", "agent-2", "agent-3"]);
    let log = Log::of(10);
    assert!(verified.events.iter().eq(log.entries.iter().map(|(event, _)| event)));
}

#[test]
fn a_stretch_is_verified_as_a_stretch() {
    let log = Log::of(10);
    let checkpoint = log.cosigned([1, 2, 3, 4]);
    let bundle = Bundle::export(&log.tree, &checkpoint, 4, log.entries[4..7].to_vec()).unwrap();
    let verified = bundle.verify(&trust()).unwrap();
    assert!(!verified.whole());
    assert_eq!((verified.from, verified.events.len()), (4, 3));
    let beyond = Bundle::export(&log.tree, &checkpoint, 8, log.entries[4..7].to_vec());
    assert_eq!(beyond.err(), Some(TreeError::Leaf { index: 10, size: 10 }));
    let mut overclaimed = bundle;
    overclaimed.to = 11;
    let claims = BundleError::Stretch {
        from: 4,
        to: 11,
        size: 10,
    };
    assert_eq!(overclaimed.verify(&trust()), Err(claims));
}

#[test]
fn an_export_from_tiles_is_the_export_from_memory() {
    let log = Log::of(300);
    let checkpoint = log.cosigned([1, 2, 3]);
    let reader = TileReader {
        size: 300,
        fetch: |path: &TilePath| tiles::hash_tile(&log.tree, *path).ok(),
    };
    let from_tiles: Result<_, TileError> = Bundle::export(&reader, &checkpoint, 0, log.entries.clone());
    let from_memory = Bundle::export(&log.tree, &checkpoint, 0, log.entries.clone()).unwrap();
    assert!(from_tiles.unwrap() == from_memory);
    assert!(from_memory.verify(&trust()).unwrap().whole());
}

#[test]
fn a_flipped_entry_is_named() {
    for at in 0..10 {
        let (index, fault) = tampered(|bundle| {
            let leaf = &mut bundle.entries[at].leaf;
            *leaf = leaf.replace("deny", "allow");
        });
        assert_eq!(index, at as u64);
        assert!(matches!(fault, Fault::Inclusion(ProofError::Root { .. })), "{fault}");
        let (index, fault) = tampered(|bundle| bundle.entries[at].proof[0].0[0] ^= 1);
        assert_eq!(index, at as u64);
        assert!(matches!(fault, Fault::Inclusion(ProofError::Root { .. })), "{fault}");
    }
}

#[test]
fn a_dropped_entry_is_named_also_when_the_rest_is_renumbered() {
    let (index, fault) = tampered(|bundle| drop(bundle.entries.remove(4)));
    assert_eq!((index, fault), (4, Fault::Misplaced { found: 5 }));
    let (index, fault) = tampered(|bundle| {
        bundle.entries.remove(4);
        bundle
            .entries
            .iter_mut()
            .zip(0..)
            .for_each(|(entry, index)| entry.index = index);
        bundle.to = 9;
    });
    assert_eq!(index, 4);
    assert!(matches!(fault, Fault::Inclusion(_)), "{fault}");
}

#[test]
fn reordered_entries_are_named_by_the_first() {
    let (index, fault) = tampered(|bundle| bundle.entries.swap(3, 7));
    assert_eq!((index, fault), (3, Fault::Misplaced { found: 7 }));
    let (index, fault) = tampered(|bundle| {
        bundle.entries.swap(3, 7);
        (bundle.entries[3].index, bundle.entries[7].index) = (3, 7);
    });
    assert_eq!(index, 3);
    assert!(matches!(fault, Fault::Inclusion(ProofError::Root { .. })), "{fault}");
}

#[test]
fn a_truncated_or_padded_export_is_named_and_a_shorter_one_is_not_the_whole_log() {
    assert_eq!(tampered(|bundle| bundle.entries.truncate(7)), (7, Fault::Missing));
    assert_eq!(tampered(|bundle| bundle.entries.clear()), (0, Fault::Missing));
    let (index, fault) = tampered(|bundle| bundle.entries.push(bundle.entries[9].clone()));
    assert_eq!((index, fault), (10, Fault::Surplus));
    let mut shorter = exported(10);
    shorter.entries.truncate(7);
    shorter.to = 7;
    assert!(!shorter.verify(&trust()).unwrap().whole());
}

#[test]
fn a_foreign_entry_at_the_right_place_is_named() {
    let (index, fault) = tampered(|bundle| bundle.entries[6].leaf = decided(1, 6).leaf().into());
    assert_eq!(index, 6);
    assert!(matches!(fault, Fault::Inclusion(_)), "{fault}");
    // The log itself held something that nobody signed: the tree is right, the leaf is not.
    let mut log = Log::of(5);
    let unsigned = decided(1, 5).leaf().replace("deny", "allow");
    log.tree.append(unsigned.as_bytes());
    let checkpoint = log.cosigned([1, 2, 3]);
    let size = checkpoint.checkpoint().size;
    let mut bundle = Bundle::export(&log.tree, &checkpoint, 0, log.entries.clone()).unwrap();
    bundle.entries.push(Entry {
        index: 5,
        leaf: unsigned,
        proof: governance::log::Nodes::inclusion(&log.tree, 5, size).unwrap(),
        payload: None,
    });
    bundle.to = 6;
    let fault = EventError::Signature("agent-1".into()).into();
    assert_eq!(bundle.verify(&trust()), Err(BundleError::Entry { index: 5, fault }));
}

#[test]
fn erased_words_leave_a_verifiable_export_and_exchanged_ones_do_not() {
    let mut bundle = exported(10);
    bundle.entries.iter_mut().for_each(|entry| entry.payload = None);
    assert!(bundle.verify(&trust()).unwrap().whole());
    let words = Payload {
        salt: hash(6),
        text: "purpose 6 is granted".into(),
    };
    let exchanged = tampered(|bundle| bundle.entries[6].payload = Some(words.clone()));
    assert_eq!(exchanged, (6, EventError::Payload.into()));
    let invented = tampered(|bundle| bundle.entries[7].payload = Some(words));
    assert_eq!(invented, (7, EventError::Payload.into()));
}

#[test]
fn without_the_logs_signature_or_a_quorum_nothing_is_read() {
    let log = Log::of(10);
    let verified = |checkpoint: String| {
        let bundle = Bundle {
            checkpoint,
            ..exported(10)
        };
        bundle.verify(&trust()).map(|_| ())
    };
    assert_eq!(verified(log.cosigned([1, 2, 4]).to_string()), Ok(()));
    let no_quorum = TrustError::NoQuorum {
        expected: 3,
        found: 2,
        size: 10,
    };
    assert_eq!(verified(log.cosigned([1, 2]).to_string()), Err(no_quorum.into()));
    let resized = verified(log.cosigned([1, 2, 3]).to_string().replace("\n10\n", "\n11\n"));
    assert!(matches!(
        resized,
        Err(BundleError::Checkpoint(CheckpointError::Note(NoteError::Signature(_))))
    ));
    // A genuine head of another tree: cosigned or not, the first entry is not in it.
    let mut fork = Log::default();
    fork.append(decided(2, 4711), None);
    log.entries[1..]
        .iter()
        .for_each(|(event, payload)| fork.append(event.clone(), payload.clone()));
    let forked = verified(fork.cosigned([1, 2, 3]).to_string());
    assert!(matches!(forked, Err(BundleError::Entry { index: 0, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Every byte counts: the file, changed in one place, is refused or says exactly what it said before.
    #[test]
    fn no_single_changed_byte_changes_what_an_export_says(at in any::<prop::sample::Index>(), flip in 1u8..128) {
        let bundle = exported(7);
        let mut bytes = serde_json::to_vec(&bundle).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        if let Ok(Ok(verified)) = Bundle::parse(&text).map(|bundle| bundle.verify(&trust())) {
            let original = bundle.verify(&trust()).unwrap();
            prop_assert!(verified.events.iter().eq(&original.events[..verified.events.len()]));
            prop_assert_eq!(verified.checkpoint.checkpoint(), original.checkpoint.checkpoint());
        }
    }
}
