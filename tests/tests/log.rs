//! Stories of the transparency log at work: what a coordinator that lies about it comes to, what happens without witnesses, and how a
//! ledger that was put back to an older state is found.

#[path = "log/lost.rs"]
mod lost;
#[path = "log/rebuild.rs"]
mod rebuild;
#[path = "log/refused.rs"]
mod refused;
#[path = "log/weight.rs"]
mod weight;

use std::sync::Arc;

use engine::codes;
use engine::coordinator::JobPhase;
use engine::message::{LogGrown, ToAgent};
use governance::Request;
use governance::log::{Checkpoint, Event, Kind, Nodes, Rosters, SignedEvent, Tree, TreeHash, Trust, scan};
use tests::sim::{ANALYST, Story};

fn leaves(w: &Story) -> Vec<Arc<str>> {
    let engine = w.world.coordinator.engine.as_ref().expect("the coordinator is up");
    engine.books().log().leaves(0..u64::MAX).cloned().collect()
}

fn events(w: &Story) -> Vec<Event> {
    let parsed = leaves(w)
        .into_iter()
        .map(|leaf| SignedEvent::parse(leaf.as_bytes()).unwrap());
    parsed.map(|event| event.event().clone()).collect()
}

/// Who belonged when, as the coordinator kept it.
fn rosters(w: &Story) -> Rosters {
    let engine = w.world.coordinator.engine.as_ref().expect("the coordinator is up");
    let kept: Vec<_> = engine.books().rosters().cloned().collect();
    Rosters::open(&kept, &w.world.consortium.governance.public()).unwrap()
}

fn kinds(events: &[Event], wanted: Kind) -> usize {
    events.iter().filter(|event| event.kind == wanted).count()
}

fn trust(w: &Story) -> Trust {
    Trust::of(&w.world.consortium.roster).unwrap()
}

fn seen(w: &Story, place: usize) -> u64 {
    w.world.participants[place].engine.as_ref().unwrap().witness().size()
}

/// A head that the coordinator's key signs, true or not.
fn signed(w: &Story, size: u64, root: TreeHash) -> String {
    let origin = trust(w).log().name().to_owned();
    let checkpoint = Checkpoint { origin, size, root };
    checkpoint.sign(&w.world.consortium.log_key).unwrap().to_string()
}

fn tree(leaves: &[Arc<str>]) -> Tree {
    let mut tree = Tree::default();
    for leaf in leaves {
        tree.append(leaf.as_bytes());
    }
    tree
}

/// The log as `leaves`, shown to somebody who has seen the first `from` of them.
fn grown(w: &Story, from: u64, leaves: &[Arc<str>]) -> ToAgent {
    let tree = tree(leaves);
    let size = tree.size();
    ToAgent::LogGrown(Box::new(LogGrown {
        from,
        head: size,
        checkpoint: signed(w, size, tree.root()),
        entries: leaves[from as usize..].to_vec(),
        consistency: tree.consistency(from.min(size), size).unwrap(),
    }))
}

/// A question that was not asked before: the same one again would be answered from the books.
fn another(w: &mut Story) -> Request {
    let mut question = w.question();
    let noise = 1_000 + w.world.requests.len();
    question.task = question.task.replace("1000", &noise.to_string());
    question
}

/// Four owners answered one question, and everybody has seen the log.
fn answered() -> (Story, engine::JobId) {
    let mut w = Story::of(4, 1);
    let question = w.question();
    let job = w.submit(question);
    w.run();
    w.wait(5_000);
    w.expect_released(job);
    assert!((0..4).all(|place| seen(&w, place) == leaves(&w).len() as u64));
    w.mark();
    (w, job)
}

#[test]
fn a_question_leaves_every_word_in_the_log_and_the_log_scans_clean() {
    let (w, job) = answered();
    let events = events(&w);
    assert_eq!(kinds(&events, Kind::Request), 1);
    assert_eq!(kinds(&events, Kind::Decision), 4);
    assert_eq!(kinds(&events, Kind::Charge), 4);
    assert_eq!(kinds(&events, Kind::Contribution), 4);
    assert_eq!(kinds(&events, Kind::Release), 1);
    assert_eq!(scan(&events, &rosters(&w)).findings, []);
    // Every participant's word stands before the answer.
    assert_eq!(events.last().unwrap().kind, Kind::Release);
    // The release proves itself to whoever has the trust file.
    let log = w.world.coordinator.engine.as_ref().unwrap().books().log();
    let logged = log.proof(&job).unwrap().verify(&trust(&w)).unwrap();
    let release = &w.world.checks.releases[&job];
    assert_eq!(logged.event.event().references["release"], release.hash());
    assert!(logged.witnesses.len() >= 3);
}

#[test]
fn a_long_run_says_its_contributions_by_the_second() {
    let mut w = Story::of(4, 1);
    let question = w.world.question(40);
    let job = w.submit(question);
    w.run();
    w.wait(5_000);
    assert_eq!(w.expect_released(job).receipt.rounds, 40);
    let events = events(&w);
    assert_eq!(kinds(&events, Kind::Charge), 4, "a run's budget is set aside once");
    assert_eq!(kinds(&events, Kind::Decision), 4);
    let contributions = events.iter().filter(|event| event.kind == Kind::Contribution);
    let vectors: u32 = contributions.clone().map(|event| event.vectors.unwrap_or(1)).sum();
    assert_eq!(vectors, 4 * 40);
    assert!(contributions.count() < 4 * 20, "fewer than one for two rounds");
    assert_eq!(scan(&events, &rosters(&w)).findings, []);
}

#[test]
fn a_refusal_is_logged_once_however_often_it_is_said() {
    let mut w = Story::of(4, 1);
    w.wait(10_000);
    w.participant(3).pause();
    w.wait(1_000);
    let first = another(&mut w);
    let first = w.submit(first);
    let second = another(&mut w);
    let second = w.submit(second);
    w.run();
    w.expect_released(first);
    w.expect_released(second);
    w.wait(5_000);
    // A paused owner is not asked; a start that reaches it all the same is refused, and that is said once.
    let mut start = w.last_start(0);
    for attempt in [3, 4] {
        start.attempt = attempt;
        start.at.slot += 1;
        w.say(3, ToAgent::RoundStart(start.clone()));
        assert!(w.heard(codes::PAUSED), "{:?}", w.world.trace.last());
    }
    w.wait(5_000);
    let denied = events(&w);
    let denied = denied
        .iter()
        .filter(|event| event.decision == Some(governance::log::event::Decision::Deny));
    let denied: Vec<&Event> = denied.collect();
    assert_eq!(denied.len(), 1);
    assert!(
        denied[0].payload.is_some(),
        "why is committed to, and not said in the open"
    );
}

#[test]
fn two_logs_of_one_size_convict_the_coordinator_for_good() {
    let (mut w, _) = answered();
    let size = seen(&w, 0);
    let mut other = leaves(&w);
    other.pop();
    other.push(other[0].clone());
    let fork = grown(&w, size, &other);
    w.say(0, fork);
    assert!(w.heard(codes::LOG_FORKED), "{:?}", w.world.trace.last());
    // The evidence holds before anybody with the log's key, also after a restart.
    w.participant(0).restart();
    w.wait(10_000);
    let witness = w.world.participants[0].engine.as_ref().unwrap().witness();
    let fork = witness.fork().expect("the evidence was kept").clone();
    assert_eq!(fork.size, size);
    fork.verify(trust(&w).log()).unwrap();
    // It answers nothing any more; the three others do.
    let question = another(&mut w);
    let job = w.submit(question);
    w.run();
    assert_eq!(w.expect_released(job).receipt.contributors, 3);
    assert_eq!(w.tokens(0, job), 0);
}

#[test]
fn a_log_that_was_cut_reordered_or_rewritten_is_not_cosigned() {
    let (mut w, _) = answered();
    let (size, all) = (seen(&w, 0), leaves(&w));
    let cut = grown(&w, 0, &all[..all.len() - 2]);
    w.say(0, cut);
    assert!(
        w.heard("rolled back") && !w.heard("cosigned"),
        "{:?}",
        w.world.trace.last()
    );

    // The right tree, and leaves in another order.
    let mut more = all.clone();
    more.extend_from_slice(&all[..2]);
    let ToAgent::LogGrown(mut reordered) = grown(&w, size, &more) else {
        unreachable!()
    };
    reordered.entries.reverse();
    w.say(0, ToAgent::LogGrown(reordered));
    assert!(w.heard("not those of the checkpoint") && !w.heard("cosigned"));

    // New leaves on top of a past that is not the one that was seen.
    let mut rewritten = all.clone();
    rewritten.swap(1, 2);
    rewritten.extend_from_slice(&all[..3]);
    let rewritten = grown(&w, size, &rewritten);
    w.say(0, rewritten);
    assert!(w.heard("not those of the checkpoint") && !w.heard("cosigned"));
    assert_eq!(seen(&w, 0), size, "nothing was accepted");

    // A checkpoint by another key.
    let ToAgent::LogGrown(mut foreign) = grown(&w, size, &more) else {
        unreachable!()
    };
    foreign.checkpoint = foreign.checkpoint.replace("— simulated", "— simulatea");
    w.say(0, ToAgent::LogGrown(foreign));
    assert!(w.heard(codes::LOG_FAULT));

    // Shown the log as it was, it works on; a log that grows otherwise than it was signed to grow it does not follow.
    w.wait(10_000);
    for contributors in [4, 3] {
        let question = another(&mut w);
        let job = w.submit(question);
        w.run();
        assert_eq!(w.expect_released(job).receipt.contributors, contributors);
        w.wait(5_000);
        assert!(w.heard("signed another tree"), "{:?}", w.world.trace.last());
    }
}

#[test]
fn a_coordinator_that_drops_events_loses_its_witnesses_until_it_logs_them() {
    let (mut w, _) = answered();
    w.world.unlogged.extend([0, 1]);
    let question = another(&mut w);
    let first = w.submit(question);
    w.run();
    w.expect_released(first); // within the merge delay nobody can tell
    w.wait(40_000);
    w.mark();
    // Two of four owners take part in nothing more: too few are left for any answer.
    let question = another(&mut w);
    let second = w.submit(question);
    w.wait(20_000);
    assert!(w.heard("own event") && w.heard(codes::LOG_FAULT), "the delay is over");
    w.expect_failed(second, codes::ATTEMPTS_SPENT);
    w.world.unlogged.clear();
    w.wait(10_000);
    let question = another(&mut w);
    let third = w.submit(question);
    w.run();
    w.expect_released(third);
    w.wait(10_000);
    assert_eq!(scan(&events(&w), &rosters(&w)).findings, []);
    assert_eq!(kinds(&events(&w), Kind::Contribution), 12);
}

/// The merge delay is counted over connections: hanging up in time buys a coordinator nothing.
#[test]
fn a_coordinator_that_drops_events_and_hangs_up_in_time_is_found_all_the_same() {
    let (mut w, _) = answered();
    w.world.unlogged.extend([0, 1]);
    let question = another(&mut w);
    let first = w.submit(question);
    w.run();
    w.expect_released(first);
    for _ in 0..3 {
        w.wait(12_000);
        w.participant(0).blink(200);
        w.participant(1).blink(200);
    }
    w.mark();
    let question = another(&mut w);
    w.submit(question);
    w.wait(6_000);
    assert!(
        w.heard("own event") && w.heard(codes::LOG_FAULT),
        "{:?}",
        w.world.trace.last()
    );
}

#[test]
fn a_leaf_that_no_auditor_could_read_is_not_cosigned() {
    let altered = |leaf: &str| leaf.replace("\"at_ms\":", "\"at_ms\":1");
    let spoil: [&dyn Fn(&str) -> String; 3] = [&|_| "not a leaf".to_owned(), &altered, &|_| "x".repeat(70_000)];
    for spoil in spoil {
        let (mut w, _) = answered();
        let (size, all) = (seen(&w, 0), leaves(&w));
        let spoilt: Arc<str> = spoil(&all[0]).into();
        let mut more = all.clone();
        more.push(spoilt);
        let shown = grown(&w, size, &more);
        w.say(0, shown);
        assert!(
            w.heard(codes::LOG_FAULT) && !w.heard("cosigned"),
            "{:?}",
            w.world.trace.last()
        );
        assert_eq!(seen(&w, 0), size);
    }
}

#[test]
fn an_answer_waits_for_witnesses_reading_goes_on_and_liveness_returns() {
    let (mut w, before) = answered();
    let question = another(&mut w);
    let job = w.submit(question);
    w.until("Witnessing");
    w.participant(0).blink(60_000);
    w.participant(1).blink(60_000);
    w.wait(20_000);
    {
        let engine = w.world.coordinator.engine.as_ref().unwrap();
        let Some(JobPhase::Witnessing(refused)) = engine.job(&job, ANALYST).map(|view| view.phase) else {
            panic!("two of three witnesses are no quorum");
        };
        assert_eq!(refused.code, codes::NO_QUORUM);
        assert!(refused.message.contains("2 of 3"), "{}", refused.message);
        assert!(engine.release(&job, ANALYST).is_none());
        assert!(
            engine.release(&before, ANALYST).is_some(),
            "what was shown stays readable"
        );
    }
    w.run();
    let engine = w.world.coordinator.engine.as_ref().unwrap();
    assert!(engine.release(&job, ANALYST).is_some());
}

#[test]
fn without_a_quorum_nobodys_data_is_touched_for_a_new_question() {
    let (mut w, before) = answered();
    for place in [0, 1] {
        w.world.unshown.insert(place);
    }
    let question = another(&mut w);
    let first = w.submit(question);
    w.until("Witnessing");
    w.wait(12_000);
    let question = another(&mut w);
    let second = w.submit(question);
    w.wait(10_000);
    assert!(w.heard(codes::NO_QUORUM), "{:?}", w.world.trace.last());
    for place in 0..4 {
        assert_eq!(
            w.tokens(place, second),
            0,
            "nothing is charged for what could not be shown"
        );
    }
    let engine = w.world.coordinator.engine.as_ref().unwrap();
    assert!(engine.release(&before, ANALYST).is_some(), "reading goes on");
    w.world.unshown.clear();
    for place in [0, 1] {
        w.participant(place).blink(1_000);
    }
    w.run();
    for job in [first, second] {
        w.expect_released(job);
    }
}

#[test]
fn an_answer_that_waited_through_a_restart_is_shown_when_witnesses_are_back() {
    let (mut w, _) = answered();
    let question = another(&mut w);
    let job = w.submit(question);
    w.until("Witnessing");
    w.world.crash_coordinator(Some(1_000));
    w.run();
    assert!(
        w.world
            .coordinator
            .engine
            .as_ref()
            .unwrap()
            .release(&job, ANALYST)
            .is_some()
    );
}
