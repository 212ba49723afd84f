//! A coordinator lost everything: what participants kept is the log and its decisions again, or says what it lacks.

use governance::act::{By, Subject};
use governance::log::event::Role;
use governance::log::mirror::Mirror;
use governance::log::restore::{RestoreError, restore};
use governance::log::{Checkpoint, Nodes, SignedEvent, Tree};
use governance::{Act, SignedAct, SignedRoster, What};

use crate::world::*;

/// Hospital 1's agent suspends the university, and again: acts that are told apart by their time alone.
fn act(at_ms: u64) -> SignedAct {
    let act = Act {
        by: By {
            role: Role::Agent,
            id: "agent-1".into(),
            organisation: "hospital 1".into(),
        },
        at_ms,
        note: String::new(),
        what: What::Suspended {
            subject: Subject::Organisation("university".into()),
        },
    };
    act.sign(&key(1)).unwrap()
}

fn leaf(act: &SignedAct) -> SignedEvent {
    let governance = key(GOVERNANCE).public();
    act.logged(&roster(), &governance).unwrap().unwrap()
}

fn signed_roster() -> SignedRoster {
    roster().sign(&key(GOVERNANCE)).unwrap()
}

/// A participant that saw these acts in the log, between things of other kinds, and heard those.
fn mirror(logged: &[&SignedAct], heard: &[&SignedAct]) -> Mirror {
    let mut leaves = vec![decided(1, 1).leaf().to_owned()];
    leaves.extend(logged.iter().map(|act| leaf(act).leaf().to_owned()));
    let mut tree = Tree::default();
    for leaf in &leaves {
        tree.append(leaf.as_bytes());
    }
    let (origin, size, root) = (ORIGIN.to_owned(), tree.size(), tree.root());
    let checkpoint = Checkpoint { origin, size, root };
    Mirror {
        checkpoint: checkpoint.sign(&key(COORDINATOR)).unwrap().to_string(),
        leaves,
        acts: heard.iter().map(|act| (*act).clone()).collect(),
        rosters: Vec::new(),
    }
}

fn restored(mirrors: Vec<Mirror>) -> Result<governance::log::restore::Restored, RestoreError> {
    restore(mirrors, &log_key(), &key(GOVERNANCE).public(), &signed_roster())
}

fn times(restored: &governance::log::restore::Restored) -> Vec<u64> {
    let read = |(act, _): &(SignedAct, u64)| act.read().unwrap().at_ms;
    restored.acts.iter().map(read).collect()
}

#[test]
fn acts_come_back_in_the_order_of_the_log_whoever_heard_them() {
    let (a, b, c) = (act(30), act(10), act(20));
    let all = [&a, &b, &c];
    let back = restored(vec![mirror(&all, &[&c]), mirror(&all[..2], &[&a, &b])]).unwrap();
    assert_eq!((times(&back), back.missing.len()), (vec![30, 10, 20], 0));
    assert_eq!(back.leaves.len(), 4, "the longest log");
    assert_eq!(back.rosters, [], "the log names none");
}

#[test]
fn what_the_log_names_and_nobody_gives_back_is_named() {
    let (a, b) = (act(10), act(20));
    let back = restored(vec![mirror(&[&a, &b], &[&b])]).unwrap();
    assert_eq!(times(&back), [20]);
    let missing = &back.missing[0];
    assert_eq!((missing.index, missing.hash), (Some(1), a.hash()));
    assert!(missing.what.contains("agent `agent-1`"), "{}", missing.what);
}

#[test]
fn a_copy_that_its_signer_did_not_sign_stands_for_nothing() {
    let a = act(10);
    let forged = SignedAct {
        signature: vec![7; 64],
        ..a.clone()
    };
    assert_eq!(forged.hash(), a.hash(), "the name is that of what is said");
    let back = restored(vec![mirror(&[&a], &[&forged])]).unwrap();
    assert_eq!((back.acts.len(), back.missing.len()), (0, 1));
    let back = restored(vec![mirror(&[&a], &[&forged]), mirror(&[&a], &[&a])]).unwrap();
    assert_eq!(back.acts[0].0, a);
    assert_eq!(back.missing, []);
    // Heard, in no log, and signed by nobody: a coordinator made it up, and the participant that heard it says so.
    let back = restored(vec![mirror(&[], &[&forged])]).unwrap();
    assert_eq!(back.acts.len(), 0);
    assert_eq!(back.missing[0].what, "an act that nobody signed");
}

#[test]
fn what_was_heard_before_the_log_had_it_comes_last_in_the_order_in_which_it_was_heard() {
    let (a, b, c, d) = (act(10), act(50), act(40), act(30));
    let logged = [&a];
    let back = restored(vec![mirror(&logged, &[&a, &c, &d]), mirror(&logged, &[&a, &b, &c])]).unwrap();
    assert_eq!(times(&back), [10, 50, 40, 30]);
    assert_eq!(back.missing, []);
}

#[test]
fn mirrors_of_two_logs_are_refused() {
    let (a, b) = (act(10), act(20));
    let refused = restored(vec![mirror(&[&a], &[]), mirror(&[&b], &[])]).unwrap_err();
    assert_eq!(refused, RestoreError::Contradiction { place: 1 });
    let mut short = mirror(&[&a], &[]);
    short.leaves.pop();
    let refused = restored(vec![mirror(&[&a], &[]), short]).unwrap_err();
    assert!(matches!(refused, RestoreError::Mirror { place: 1, .. }));
    assert_eq!(restored(vec![]), Err(RestoreError::Nothing));
}
