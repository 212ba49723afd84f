//! A coordinator lost everything: what participants kept is the log and its decisions again, or says what it lacks.

use governance::act::{By, Subject};
use governance::log::event::Role;
use governance::log::mirror::Mirror;
use governance::log::restore::{Missing, RestoreError, Restored, restore};
use governance::log::{Checkpoint, Nodes, SignedEvent, Tree};
use governance::{Act, Agent, Roster, SignedAct, SignedRoster, SigningKey, What};

use crate::world::*;

/// When the coordinator is rebuilt.
const NOW: u64 = 2_000_000_000;

/// Somebody suspends the university, and again: acts that are told apart by their time alone.
fn suspends(by: By, at_ms: u64, key: &SigningKey) -> SignedAct {
    let subject = Subject::Organisation("university".into());
    let act = Act {
        by,
        at_ms,
        note: String::new(),
        what: What::Suspended { subject },
    };
    act.sign(key).unwrap()
}

/// Hospital 1's agent does: nobody else hears of it.
fn act(at_ms: u64) -> SignedAct {
    of_agent(1, at_ms)
}

fn of_agent(agent: u8, at_ms: u64) -> SignedAct {
    let by = By {
        role: Role::Agent,
        id: format!("agent-{agent}"),
        organisation: format!("hospital {agent}"),
    };
    suspends(by, at_ms, &key(agent))
}

/// Governance does: everybody hears of it.
fn of_governance(at_ms: u64) -> SignedAct {
    let by = By {
        role: Role::Governance,
        id: "heart".into(),
        organisation: "heart".into(),
    };
    suspends(by, at_ms, &key(GOVERNANCE))
}

/// The roster before the one in force: a fifth hospital was in it.
fn former() -> Roster {
    let mut roster = roster();
    roster.version -= 1;
    roster.agents.push(Agent {
        id: "agent-5".into(),
        organisation: "hospital 5".into(),
        signing_key: key(5).public(),
        tls_key: hash(5),
    });
    roster
}

fn leaf(act: &SignedAct) -> SignedEvent {
    let governance = key(GOVERNANCE).public();
    let mut known = [roster(), former()].into_iter();
    known
        .find_map(|roster| act.logged(&roster, &governance).ok().flatten())
        .unwrap()
}

fn signed(roster: &Roster) -> SignedRoster {
    roster.sign(&key(GOVERNANCE)).unwrap()
}

/// A participant that saw these acts in the log, after something of another kind, and heard those.
fn mirror(of: u8, logged: &[&SignedAct], heard: &[&SignedAct]) -> Mirror {
    let mut leaves = vec![decided(1, 1).leaf().to_owned()];
    leaves.extend(logged.iter().map(|act| leaf(act).leaf().to_owned()));
    let mut tree = Tree::default();
    for leaf in &leaves {
        tree.append(leaf.as_bytes());
    }
    let (origin, size, root) = (ORIGIN.to_owned(), tree.size(), tree.root());
    let checkpoint = Checkpoint { origin, size, root };
    Mirror {
        participant: format!("agent-{of}"),
        checkpoint: checkpoint.sign(&key(COORDINATOR)).unwrap().to_string(),
        leaves,
        acts: heard.iter().map(|act| (*act).clone()).collect(),
        rosters: vec![signed(&former())],
    }
}

fn restored(mirrors: Vec<Mirror>) -> Result<Restored, RestoreError> {
    restore(mirrors, &log_key(), &key(GOVERNANCE).public(), &signed(&roster()), NOW)
}

fn times(restored: &Restored) -> Vec<u64> {
    let read = |(act, _): &(SignedAct, u64)| act.read().unwrap().at_ms;
    restored.acts.iter().map(read).collect()
}

/// What does not come back, beside mirrors that were not given.
fn lacks(restored: &Restored) -> Vec<String> {
    let beside = restored.missing.iter();
    let beside = beside.filter(|missing| !matches!(missing, Missing::Mirror(_)));
    beside.map(ToString::to_string).collect()
}

#[test]
fn acts_come_back_in_the_order_of_the_log_whoever_heard_them() {
    let (a, b, c) = (act(30), act(10), of_agent(5, 20));
    let all = [&a, &b, &c];
    let back = restored(vec![mirror(1, &all, &[&c]), mirror(2, &all[..2], &[&a, &b])]).unwrap();
    assert_eq!((times(&back), lacks(&back)), (vec![30, 10, 20], vec![]));
    assert_eq!(back.leaves.len(), 4, "the longest log");
    assert_eq!(back.rosters, [], "the log names none");
}

#[test]
fn what_the_log_names_and_nobody_gives_back_is_named_and_so_is_who_gave_no_mirror() {
    let (a, b) = (act(10), act(20));
    let back = restored(vec![mirror(1, &[&a, &b], &[&b])]).unwrap();
    assert_eq!(times(&back), [20]);
    let lacks = lacks(&back);
    assert!(
        lacks[0].contains("entry 1 of the log, suspension by agent `agent-1`"),
        "{lacks:?}"
    );
    let absent = ["agent-2", "agent-3", "agent-4"].map(|name| Missing::Mirror(name.to_owned()));
    assert_eq!(back.missing[..3], absent);
}

#[test]
fn a_copy_that_its_signer_did_not_sign_stands_for_nothing() {
    let a = act(10);
    let forged = SignedAct {
        signature: vec![7; 64],
        ..a.clone()
    };
    assert_eq!(forged.hash(), a.hash(), "the name is that of what is said");
    let back = restored(vec![mirror(1, &[&a], &[&forged])]).unwrap();
    assert_eq!((back.acts.len(), lacks(&back).len()), (0, 1));
    // A copy whose leaf nobody can write any more gives way to a whole one.
    let stripped = SignedAct {
        event: Vec::new(),
        ..a.clone()
    };
    let copies = [&forged, &stripped, &a].into_iter().zip(1..);
    let copies = copies.map(|(copy, of)| mirror(of, &[&a], &[copy]));
    let back = restored(copies.collect()).unwrap();
    assert_eq!(back.acts[0].0, a);
    assert_eq!(lacks(&back), [""; 0]);
    // Heard, in no log, and signed by nobody: a coordinator made it up, and the participant that heard it says so.
    let back = restored(vec![mirror(1, &[], &[&forged])]).unwrap();
    assert_eq!(back.acts.len(), 0);
    assert!(lacks(&back)[0].ends_with("nobody signed it"), "{:?}", lacks(&back));
}

#[test]
fn what_was_heard_before_the_log_had_it_comes_last_in_the_order_in_which_it_was_heard() {
    let (a, b, c) = (of_governance(10), act(50), of_governance(40));
    let back = restored(vec![mirror(1, &[], &[&a, &b, &c]), mirror(2, &[], &[&a, &c])]).unwrap();
    assert_eq!((times(&back), lacks(&back)), (vec![10, 50, 40], vec![]));
    // Who heard less than another one heard the beginning of it.
    let back = restored(vec![mirror(1, &[], &[&a]), mirror(2, &[], &[&a, &c])]).unwrap();
    assert_eq!((times(&back), lacks(&back)), (vec![10, 40], vec![]));
}

#[test]
fn who_is_no_member_any_more_gives_copies_and_holds_up_nobodys_list() {
    let (a, b) = (of_governance(10), act(20));
    let former = mirror(5, &[], &[&a]);
    let back = restored(vec![mirror(1, &[], &[&b, &a]), former]).unwrap();
    assert_eq!((times(&back), lacks(&back)), (vec![20, 10], vec![]));
    let refused = restored(vec![mirror(1, &[], &[]), mirror(1, &[], &[])]).unwrap_err();
    assert!(matches!(refused, RestoreError::Twice { place: 1, .. }));
}

#[test]
fn nobody_is_given_another_list_than_it_heard() {
    let (a, b) = (of_governance(10), of_governance(20));
    let turned = restored(vec![mirror(1, &[], &[&a, &b]), mirror(2, &[], &[&b, &a])]).unwrap();
    // Hospital 1 heard one alone: another one that concerns it cannot have come first.
    let before = restored(vec![mirror(1, &[], &[&a]), mirror(2, &[], &[&b, &a])]).unwrap();
    for back in [turned, before] {
        assert_eq!(back.acts, []);
        assert!(lacks(&back)[0].contains("orders that do not fit"), "{:?}", lacks(&back));
    }
}

#[test]
fn nothing_comes_in_by_a_mirror_that_the_door_would_not_take() {
    let end = of_governance(1_000_000_000);
    let (old, former) = (of_governance(10), of_agent(5, 1_000_000_000));
    let back = restored(vec![mirror(1, &[&end], &[&end, &old])]).unwrap();
    assert!(
        lacks(&back)[0].contains("older than the log's end"),
        "{:?}",
        lacks(&back)
    );
    let back = restored(vec![mirror(1, &[&end], &[&end, &former])]).unwrap();
    assert!(
        lacks(&back)[0].contains("does not stand in the roster"),
        "{:?}",
        lacks(&back)
    );
    // What an agent stopped while it was cut off it stopped.
    let back = restored(vec![mirror(1, &[&end], &[&end, &act(10)])]).unwrap();
    assert_eq!((times(&back), lacks(&back)), (vec![1_000_000_000, 10], vec![]));
    // An agent's clock moves nobody's end of the log, and nobody decides ahead of time.
    let ahead = of_agent(1, u64::MAX);
    let back = restored(vec![mirror(1, &[&ahead], &[&ahead, &old])]).unwrap();
    assert_eq!((times(&back), lacks(&back)), (vec![u64::MAX, 10], vec![]));
    let back = restored(vec![mirror(1, &[], &[&of_governance(u64::MAX)])]).unwrap();
    assert!(lacks(&back)[0].contains("ahead of now"), "{:?}", lacks(&back));
    let many: Vec<SignedAct> = (0..1_001).map(|at_ms| of_agent(9, at_ms)).collect();
    let mut flood = mirror(1, &[], &[]);
    flood.acts = many.into_iter().chain((0..1_001).map(act)).collect();
    let refused = restored(vec![flood]).unwrap_err();
    assert!(matches!(refused, RestoreError::Unlogged { place: 0, .. }), "{refused}");
}

#[test]
fn a_coordinator_whose_roster_was_replaced_is_given_the_newest_first() {
    let mut newer = roster();
    newer.version += 1;
    let mut given = mirror(1, &[], &[]);
    given.rosters.push(signed(&newer));
    let refused = restored(vec![given]).unwrap_err();
    let (own, found) = (3, 4);
    assert_eq!(refused, RestoreError::Newer { place: 0, own, found });
}

#[test]
fn mirrors_of_two_logs_are_refused() {
    let (a, b) = (act(10), act(20));
    let refused = restored(vec![mirror(1, &[&a], &[]), mirror(2, &[&b], &[])]).unwrap_err();
    assert_eq!(refused, RestoreError::Contradiction { place: 1 });
    let mut short = mirror(2, &[&a], &[]);
    short.leaves.pop();
    let refused = restored(vec![mirror(1, &[&a], &[]), short]).unwrap_err();
    assert!(matches!(refused, RestoreError::Mirror { place: 1, .. }));
    assert_eq!(restored(vec![]), Err(RestoreError::Nothing));
}
