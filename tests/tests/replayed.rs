//! What a simulated consortium leaves behind, read again by somebody who was not there: every decision in the log follows from the acts, the
//! request and the rules as they stood then; and a log that was changed in any one place is found to be, at that place.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use engine::participant::Books;
use engine::record::{CoordinatorRecord, ParticipantRecord};
use engine::{CohortTerms, codes};
use governance::decision::{ColumnsRead, Question, Verdict};
use governance::log::event::Decision;
use governance::log::note::NoteKey;
use governance::log::{Algorithm, Bundle, BundleError, Event, Kind, SignedCheckpoint, SignedEvent, Trust};
use governance::{ContentHash, Request};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tests::sim::run::finished;
use tests::sim::{Options, World};

/// A consortium in which people grant and revoke while messages and machines are lost.
fn lived(seed: u64) -> World {
    let mut options = Options::draw(&mut ChaCha8Rng::seed_from_u64(seed ^ 0xd1ce));
    options.by_grant = true;
    (options.jobs, options.faults_ms) = (5, options.faults_ms.max(60_000));
    finished(seed, options).unwrap_or_else(|failure| panic!("seed {seed}: {}", failure.sentence))
}

/// The requests of a world by their hash.
fn asked(world: &World) -> BTreeMap<ContentHash, Request> {
    let signed = world.requests.values();
    let read = signed.map(|signed| (signed.hash(), serde_json::from_slice(&signed.body).expect("a request")));
    read.collect()
}

/// What an agent's rules say of a request, given the acts that it had heard.
fn decided(world: &World, place: usize, books: &Books, request: &Request, at_ms: u64) -> Verdict {
    let consortium = &world.consortium;
    let config = consortium.participant(place, &world.options);
    let analyst = consortium
        .roster
        .analyst(&request.analyst)
        .expect("an analyst of the roster");
    let terms = CohortTerms {
        n: consortium.names.len() as u32,
        c: consortium.roster.c,
        s_min: consortium.names.len() as u32,
    };
    let plan = consortium.workloads[&request.kind].plan(request, &consortium.contract, &terms);
    let plan = plan.unwrap_or_else(|refusal| panic!("{refusal}"));
    config.rules.decide(&Question {
        request,
        contract: &consortium.contract,
        contract_hash: consortium.contract.hash(),
        organisation: &analyst.organisation,
        owner: &consortium.roster.agents[place].organisation,
        consortium: &consortium.roster.consortium,
        register: books.heard().register(),
        witnessed: books.log(),
        columns: &ColumnsRead::of(&consortium.contract, plan.columns.clone()),
        aggregates: &plan.aggregates,
        noise: true,
        s_min: terms.s_min,
        now_ms: at_ms,
    })
}

/// Decides again what an agent's private log says that it decided. Decisions by leaf, and how many were no.
fn replayed(
    world: &World,
    place: usize,
    requests: &BTreeMap<ContentHash, Request>,
) -> (BTreeMap<String, Decision>, usize) {
    let (mut books, mut found, mut denied) = (Books::default(), BTreeMap::new(), 0);
    for record in world.participants[place].records() {
        let logged = match &record {
            ParticipantRecord::Logged { leaf, payload } => Some((leaf, payload.as_ref(), true)),
            // Its words were erased; the decision stands.
            ParticipantRecord::PayloadErased { leaf, .. } => Some((leaf, None, false)),
            _ => None,
        };
        if let Some((leaf, payload, kept)) = logged {
            let event = SignedEvent::parse(leaf.as_bytes())
                .expect("own events are signed")
                .event()
                .clone();
            if event.kind == Kind::Decision {
                let again = decided(
                    world,
                    place,
                    &books,
                    &requests[&event.references["request"]],
                    event.at_ms,
                );
                let said = event.decision.expect("a decision");
                match (said, &again) {
                    (Decision::Allow, Verdict::Allow { grant }) => {
                        assert_eq!(
                            event.references.get("grant"),
                            grant.as_ref(),
                            "under another grant: {leaf}"
                        );
                    }
                    (Decision::Deny, _) if !kept => {}
                    (Decision::Deny, again) => {
                        let text = &payload.expect("a refusal has its words beside it").text;
                        denied += usize::from(is_again(text, again));
                    }
                    (Decision::Allow, again) => panic!("{leaf} was allowed and is not again: {again:?}"),
                }
                found.insert(leaf.clone(), said);
            }
        }
        books.apply(&record).expect("own records apply");
    }
    (found, denied)
}

/// Whether the rules refused, and then in the same words; budgets, pauses and attempts refuse beside them.
fn is_again(text: &str, again: &Verdict) -> bool {
    let of_rules = [codes::RULES, codes::NO_GRANT, codes::SUSPENDED_HERE];
    if !of_rules.iter().any(|code| text.starts_with(code)) {
        return false;
    }
    let Verdict::Deny { rule, reason, remedy } = again else {
        panic!("refused and not again: {text}");
    };
    assert!(
        text.ends_with(&format!("{reason} [{rule}] ({remedy})")),
        "{text}\nagain: {reason} [{rule}] ({remedy})"
    );
    true
}

#[test]
fn every_decision_in_the_log_follows_again_from_the_acts_the_request_and_the_rules() {
    let (mut allowed, mut denied) = (0, 0);
    for seed in 0..36 {
        let world = lived(seed);
        let requests = asked(&world);
        let mut decisions = BTreeMap::new();
        for place in 0..world.participants.len() {
            let (found, no) = replayed(&world, place, &requests);
            decisions.extend(found);
            denied += no;
        }
        let books = world.coordinator.engine.as_ref().expect("it is up").books();
        for leaf in books.log().leaves(0..books.log().size()) {
            let event = SignedEvent::peek(leaf.as_bytes()).expect("leaves are events");
            if event.kind == Kind::Decision {
                assert_eq!(
                    decisions.get(&**leaf).copied(),
                    event.decision,
                    "seed {seed}: nobody decided {leaf}"
                );
                allowed += usize::from(event.decision == Some(Decision::Allow));
            }
        }
    }
    assert!(
        allowed >= 50 && denied >= 10,
        "{allowed} allowed, {denied} denied by rules"
    );
}

/// The whole log of a world, as an auditor gets it.
fn exported() -> &'static (Bundle, Trust) {
    static EXPORTED: OnceLock<(Bundle, Trust)> = OnceLock::new();
    EXPORTED.get_or_init(|| {
        let world = lived(3);
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
