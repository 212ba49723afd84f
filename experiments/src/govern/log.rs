//! The log by itself: leaves that become durable in a second, and what a proof costs whoever checks it.

use std::time::Instant;

use engine::coordinator::Books;
use engine::record::CoordinatorRecord;
use governance::log::event::{Actor, Decision, Role};
use governance::log::{
    Checkpoint, Event, Kind, Nodes, Proven, SignedEvent, Tree, TreeHash, Trust, TrustFile, verify_inclusion,
};
use governance::{ContentHash, SigningKey};
use proto::store::{NEWEST, Schema, SqliteStore, Store};
use serde_json::{Map, Value, json};

use crate::measure::median_seconds;

/// Leaves in one transaction: what a busy second brings.
const BATCH: usize = 256;
const SCHEMA: Schema = Schema {
    application_id: 0x534f_434f,
    migrations: &[include_str!("../../../coordinator/migrations/0001_records.sql"), NEWEST],
};
/// Events that were signed; the log repeats them, as signing is not what is measured.
const SIGNED: u64 = 2_000;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).expect("a seed is a key")
}

fn event(number: u64) -> SignedEvent {
    let (role, id, key) = (Role::Agent, "agent-001".to_owned(), key(1));
    let event = Event::new(
        Kind::Decision,
        number,
        Actor {
            role,
            id,
            key: key.public(),
        },
    );
    let event = Event {
        contract: Some(ContentHash([7; 32])),
        decision: Some(Decision::Allow),
        ..event
    };
    event
        .refers("request", ContentHash([9; 32]))
        .sign(&key)
        .expect("a complete event")
}

/// Leaves a second through the coordinator's books and its store, a transaction for each batch.
pub fn append(leaves: u64) -> Map<String, Value> {
    let signed: Vec<String> = (0..SIGNED.min(leaves))
        .map(|number| event(number).leaf().to_owned())
        .collect();
    let began = Instant::now();
    signed
        .iter()
        .for_each(|leaf| drop(SignedEvent::parse(leaf.as_bytes()).expect("own leaves are good")));
    let verified = signed.len() as f64 / began.elapsed().as_secs_f64();

    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut store = SqliteStore::open(&folder.path().join("log.sqlite"), &SCHEMA, None).expect("a fresh store");
    let mut books = Books::default();
    let began = Instant::now();
    for first in (0..leaves).step_by(BATCH) {
        let batch = first..leaves.min(first + BATCH as u64);
        let leaves = batch
            .map(|number| signed[number as usize % signed.len()].clone())
            .collect();
        let record = CoordinatorRecord::Logged { first, leaves };
        books.apply(&record).expect("the next leaves");
        store
            .append(&[record.to_row().expect("a record has a row")])
            .expect("a disk with room");
    }
    let appended = leaves as f64 / began.elapsed().as_secs_f64();
    json!({ "log_leaves": leaves, "log_leaves_per_second": appended, "log_events_verified_per_second": verified })
        .as_object()
        .cloned()
        .unwrap_or_default()
}

/// An inclusion proof, and all that the reader of a release checks.
pub fn verify(leaves: u64, runs: usize) -> Map<String, Value> {
    let mut tree = Tree::default();
    for number in 0..leaves - 1 {
        tree.append(&number.to_le_bytes());
    }
    let last = event(leaves);
    let index = tree.append(last.leaf().as_bytes());
    let path = tree.inclusion(index / 3, leaves).expect("a leaf of the tree");
    let (leaf, root) = (TreeHash::leaf(&(index / 3).to_le_bytes()), tree.root());
    let many = 1_000;
    let proof = median_seconds(runs, || {
        (0..many).for_each(|_| verify_inclusion(&leaf, index / 3, leaves, &path, &root).expect("a proof that holds"));
    }) / f64::from(many);

    let (trust, proven) = cosigned(&tree, &last, index);
    let whole = median_seconds(runs, || drop(proven.verify(&trust).expect("a proof that holds")));
    json!({ "proof_verify_microseconds": proof * 1e6, "release_proof_verify_microseconds": whole * 1e6 })
        .as_object()
        .cloned()
        .unwrap_or_default()
}

/// The proof of a leaf under a checkpoint that three of four witnesses signed.
fn cosigned(tree: &Tree, event: &SignedEvent, index: u64) -> (Trust, Proven) {
    use governance::log::note::{Algorithm, NoteKey, Signature};
    use governance::log::trust::WitnessEntry;
    let origin = "bench/log".to_owned();
    let log = NoteKey::new(&origin, Algorithm::Ed25519, key(60).public()).expect("a name");
    let witness = |i: u8| NoteKey::new(&format!("w{i}"), Algorithm::CosignatureV1, key(i).public()).expect("a name");
    let entry = |i| WitnessEntry {
        key: witness(i).to_string(),
        organisation: format!("organisation {i}"),
    };
    let (size, root) = (tree.size(), tree.root());
    let mut checkpoint = Checkpoint { origin, size, root }.sign(&key(60)).expect("a checkpoint");
    for i in 1..=3 {
        let line = Signature::cosign(&format!("w{i}"), &key(i), checkpoint.note().text(), 1).expect("a line");
        checkpoint.attach(line, &witness(i)).expect("own line");
    }
    let file = TrustFile {
        log: log.to_string(),
        coordinator: "nobody".to_owned(),
        faulty: 1,
        quorum: 3,
        governance: None,
        witnesses: (1..=4).map(entry).collect(),
    };
    let proven = Proven {
        leaf: event.leaf().to_owned(),
        index,
        path: tree.inclusion(index, size).expect("a leaf of the tree"),
        checkpoint: checkpoint.to_string(),
    };
    (file.check().expect("a trust file"), proven)
}
