//! A participant's mirror is the log again, or is refused whole.

use governance::log::mirror::{Mirror, MirrorError};

use crate::world::*;

fn mirror(size: u64) -> Mirror {
    let log = Log::of(size);
    Mirror {
        participant: String::new(),
        checkpoint: log.checkpoint().to_string(),
        leaves: log.entries.iter().map(|(event, _)| event.leaf().to_owned()).collect(),
        acts: Vec::new(),
        rosters: Vec::new(),
    }
}

#[test]
fn a_mirror_is_the_tree_that_the_log_signed() {
    for size in [0, 1, 7, 64] {
        let read = Mirror::parse(&serde_json::to_string(&mirror(size)).unwrap()).unwrap();
        let signed = read.verify(&log_key()).unwrap();
        assert_eq!(signed.checkpoint().root, Log::of(size).tree.root());
    }
}

#[test]
fn a_mirror_with_a_leaf_missing_moved_or_forged_is_refused() {
    let mut short = mirror(7);
    short.leaves.pop();
    assert!(matches!(
        short.verify(&log_key()),
        Err(MirrorError::Size { expected: 7, found: 6 })
    ));
    let mut moved = mirror(7);
    moved.leaves.swap(2, 3);
    assert!(matches!(moved.verify(&log_key()), Err(MirrorError::Root { .. })));
    let mut forged = mirror(7);
    forged.leaves[4] = forged.leaves[4].replace("\"at_ms\":4", "\"at_ms\":5");
    assert!(matches!(
        forged.verify(&log_key()),
        Err(MirrorError::Leaf { index: 4, .. })
    ));
    let other = governance::log::NoteKey::new(ORIGIN, governance::log::Algorithm::Ed25519, key(9).public()).unwrap();
    assert!(matches!(mirror(7).verify(&other), Err(MirrorError::Checkpoint(_))));
}
