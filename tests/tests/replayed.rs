//! What a simulated consortium leaves behind, read again by somebody who was not there: every decision in the log follows from the acts, the
//! request, the rules and the budgets as they stood then (`replayed/decisions.rs`); and a log that was changed in any one place is found to be, at that place.

#[path = "replayed/decisions.rs"]
mod decisions;

use std::sync::{Arc, OnceLock};

use engine::record::CoordinatorRecord;
use governance::ContentHash;
use governance::log::note::NoteKey;
use governance::log::{Algorithm, Bundle, BundleError, Event, Kind, SignedCheckpoint, SignedEvent, Trust};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tests::sim::run::finished;
use tests::sim::{Options, World};

/// A consortium in which people grant and revoke while messages and machines are lost; every owner's budget, and what else is asked.
fn lived(seed: u64, budget: u32, asked: impl FnOnce(&mut World)) -> World {
    let mut options = Options::draw(&mut ChaCha8Rng::seed_from_u64(seed ^ 0xd1ce));
    (options.by_grant, options.budget) = (true, budget);
    (options.jobs, options.faults_ms) = (5, options.faults_ms.max(60_000));
    finished(seed, options, asked).unwrap_or_else(|failure| panic!("seed {seed}: {}", failure.sentence))
}

/// The whole log of a world, as an auditor gets it.
fn exported() -> &'static (Bundle, Trust) {
    static EXPORTED: OnceLock<(Bundle, Trust)> = OnceLock::new();
    EXPORTED.get_or_init(|| {
        let world = lived(3, 200, |_| {});
        let trust = Trust::of(&world.consortium.roster).expect("a roster's trust");
        let closed = world
            .coordinator
            .records()
            .into_iter()
            .rev()
            .find_map(|record| match record {
                CoordinatorRecord::Cosigned { checkpoint, .. } => Some(checkpoint),
                _ => None,
            });
        let key = NoteKey::new(trust.log().name(), Algorithm::Ed25519, *trust.log().key()).expect("the log's key");
        let signed =
            SignedCheckpoint::open(closed.expect("a quorum signed").as_bytes(), &key).expect("its own checkpoint");
        let books = world.coordinator.engine.as_ref().expect("it is up").books();
        let leaves: Vec<Arc<str>> = books.log().leaves(0..signed.checkpoint().size).cloned().collect();
        let events = leaves
            .iter()
            .map(|leaf| (SignedEvent::parse(leaf.as_bytes()).expect("an event"), None));
        let bundle = Bundle::export(books.log().tree(), &signed, 0, events.collect()).expect("the whole log");
        (bundle, trust)
    })
}

/// An event that somebody really signed and that is not in the log.
fn elsewhere(seed: u64) -> String {
    let key = governance::SigningKey::from_seed(&[7; 32]).expect("a seed is a key");
    let actor = governance::log::event::Actor {
        role: governance::log::event::Role::Coordinator,
        id: "coordinator".to_owned(),
        key: key.public(),
    };
    let event = Event::new(Kind::Roster, seed, actor).refers("roster", ContentHash([3; 32]));
    event.sign(&key).expect("a complete event").leaf().to_owned()
}

/// Changes a bundle in one of the ways in which people do, and says where first.
fn tampered(bundle: &mut Bundle, way: u8, seed: u64) -> u64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let entries = bundle.entries.len();
    let at = rng.random_range(0..entries);
    match way {
        // Flip.
        0 => {
            let mut leaf = bundle.entries[at].leaf.clone().into_bytes();
            let place = rng.random_range(0..leaf.len());
            leaf[place] = if leaf[place] == b'x' { b'y' } else { b'x' };
            bundle.entries[at].leaf = String::from_utf8_lossy(&leaf).into_owned();
        }
        // Drop, and renumber or not.
        1 | 2 => {
            bundle.entries.remove(at);
            if way == 2 {
                bundle.entries[at..].iter_mut().for_each(|entry| entry.index -= 1);
            }
        }
        // Reorder, with the places put right or not.
        3 | 4 => {
            let to = (at + 1 + rng.random_range(0..entries - 1)) % entries;
            bundle.entries.swap(at, to);
            if way == 4 {
                (bundle.entries[at].index, bundle.entries[to].index) = (at as u64, to as u64);
            }
            return at.min(to) as u64;
        }
        // Truncate.
        5 => bundle.entries.truncate(at),
        // Fork: another history from here on, each word of it signed.
        6 => (at..entries).for_each(|place| bundle.entries[place].leaf = elsewhere(place as u64)),
        // Its proof.
        _ => {
            let proof = &mut bundle.entries[at].proof;
            let place = rng.random_range(0..proof.len());
            proof[place].0[0] ^= 1;
        }
    }
    at as u64
}

#[test]
fn the_log_of_a_world_verifies_and_is_all_of_it() {
    let (bundle, trust) = exported();
    assert!(bundle.entries.len() > 30, "{} leaves", bundle.entries.len());
    assert!(bundle.verify(trust).expect("an honest log").whole());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_log_that_was_flipped_cut_reordered_or_forked_is_bad_at_the_first_place_that_was_changed(way in 0u8..8, seed: u64) {
        let (honest, trust) = exported();
        let mut bundle = honest.clone();
        let first = tampered(&mut bundle, way, seed);
        match bundle.verify(trust) {
            Err(BundleError::Entry { index, .. }) => prop_assert_eq!(index, first, "way {}", way),
            other => prop_assert!(false, "way {}: expected a bad entry {}, got {:?}", way, first, other.map(|_| ())),
        }
    }

    /// A checkpoint that the coordinator signs for another history has its signature, and no quorum.
    #[test]
    fn another_root_for_the_same_size_has_no_quorum(seed: u64) {
        let (honest, trust) = exported();
        let mut bundle = honest.clone();
        let lines: Vec<&str> = honest.checkpoint.lines().collect();
        let root = governance::log::TreeHash(ChaCha8Rng::seed_from_u64(seed).random());
        bundle.checkpoint = honest.checkpoint.replace(lines[2], &root.to_string());
        prop_assert!(matches!(bundle.verify(trust), Err(BundleError::Checkpoint(_) | BundleError::Trust(_))));
    }
}
