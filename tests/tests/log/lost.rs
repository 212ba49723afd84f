//! Stores that were lost or put back, and machines that forgot: what was spent stays spent, and what was never touched comes back once.

use engine::approval::Change;
use governance::request::{MAX_LIFETIME_MS, MAX_SKEW_MS};

use super::*;

/// What an owner's ledger says that was spent, and how much of it waits in open reservations.
fn books(w: &Story, place: usize) -> (f64, u32) {
    let engine = w.world.participants[place].engine.as_ref().unwrap();
    let Some(ledger) = engine.books().ledger("people") else {
        return (0.0, 0);
    };
    let open = ledger.summary(w.world.now_ms).open.into_iter();
    (
        200.0 - ledger.left(w.world.now_ms).unwrap().epsilon,
        open.map(|(_, tokens)| tokens).sum(),
    )
}

#[test]
fn a_ledger_that_was_put_back_is_found_and_two_people_bring_it_up_to_the_log() {
    let mut w = Story::of(4, 1);
    w.wait(5_000);
    let backup = w.participant(2).backup();
    let question = another(&mut w);
    let job = w.submit(question);
    w.run();
    w.wait(5_000);
    w.expect_released(job);
    let paid = books(&w, 2).0;
    assert!(paid > 0.0);

    w.participant(2).restore(backup);
    w.wait(10_000);
    assert_eq!(books(&w, 2).0, 0.0, "the backup knows nothing of the charge");
    let question = another(&mut w);
    let second = w.submit(question);
    w.run();
    assert!(w.heard(codes::LEDGER_BEHIND));
    assert_eq!(w.expect_released(second).receipt.contributors, 3);
    assert_eq!(w.tokens(2, second), 0);
    let of_one = w.participant(2).to_be_replayed(&[0, 0]);
    let mut other = w.participant(2).to_be_replayed(&[0, 1]);
    let engine = w.world.participants[2].engine.as_ref().unwrap();
    assert!(engine.can_replay(&other).is_ok());
    assert!(engine.can_replay(&of_one).is_err(), "one key, one person");
    let Change::Replay { events, .. } = &mut other.proposal.changes[0] else {
        panic!("{other:?}");
    };
    *events += 1;
    assert!(engine.can_replay(&other).is_err(), "they signed something else");

    w.participant(2).replay();
    assert!(books(&w, 2).0 >= paid, "{} of {paid}", books(&w, 2).0);
    // The request that was answered before is closed: it is answered no second time.
    let hash = w.world.requests[&job].hash();
    let engine = w.world.participants[2].engine.as_ref().unwrap();
    assert!(engine.books().tokens(&hash).closed);
    let question = another(&mut w);
    let third = w.submit(question);
    w.run();
    assert_eq!(w.expect_released(third).receipt.contributors, 4);
    // And what was replayed survives the next restart.
    w.participant(2).restart();
    w.wait(10_000);
    assert!(books(&w, 2).0 >= paid);
}

#[test]
fn a_store_that_was_lost_with_its_key_is_found_by_the_name_of_its_agent() {
    let (mut w, _) = answered();
    let (paid, _) = books(&w, 2);
    assert!(paid > 0.0);
    w.participant(2).gets_another_key([0x51; 32]);
    w.wait(15_000);
    assert_eq!(books(&w, 2).0, 0.0, "the new store knows nothing");
    let question = another(&mut w);
    let job = w.submit(question);
    w.run();
    assert!(w.heard(codes::LEDGER_BEHIND));
    assert_eq!(w.expect_released(job).receipt.contributors, 3);
    // What two people sign says whose budget pays.
    let approval = w.participant(2).to_be_replayed(&[0, 1]);
    let [Change::Replay { charged, .. }] = &approval.proposal.changes[..] else {
        panic!("{approval:?}");
    };
    assert_eq!(charged["people"].keys().collect::<Vec<_>>(), [tests::sim::ANALYST]);
    assert!(charged["people"][tests::sim::ANALYST] >= 1);
    w.participant(2).replay();
    assert!(books(&w, 2).0 >= paid);
    let question = another(&mut w);
    let job = w.submit(question);
    w.run();
    assert_eq!(w.expect_released(job).receipt.contributors, 4);
}

#[test]
fn the_end_of_a_run_gives_nothing_back_before_the_log_was_read() {
    let (mut w, _) = answered();
    let question = w.world.question(6);
    let job = w.submit(question);
    w.until("site-02: Charged");
    let backup = w.participant(2).backup();
    w.run();
    w.wait(5_000);
    w.expect_released(job);
    let (paid, open) = books(&w, 2);
    assert_eq!(open, 0);

    w.participant(2).restore(backup);
    w.until("site-02 restarts");
    let ended = ToAgent::JobEnded {
        job,
        request_hash: w.world.requests[&job].hash().0,
    };
    w.say(2, ended);
    w.wait(15_000);
    let engine = w.world.participants[2].engine.as_ref().unwrap();
    assert!(
        engine
            .log_trouble(w.world.now_ms)
            .is_some_and(|trouble| trouble.code == codes::LEDGER_BEHIND)
    );
    assert!(books(&w, 2).1 > 0, "nothing came back");
    w.participant(2).replay();
    w.wait(5_000);
    assert!(books(&w, 2).0 >= paid, "{} of {paid}", books(&w, 2).0);
}

#[test]
fn what_a_restart_forgot_comes_back_when_no_request_can_be_valid_any_more() {
    let (mut w, _) = answered();
    let (paid, _) = books(&w, 0);
    let question = w.world.question(30);
    let job = w.submit(question);
    w.until("site-00: Charged");
    w.world.crash_agent(0, Some(120_000));
    w.cancel(job);
    w.wait(180_000);
    let (held, open) = books(&w, 0);
    assert!(open > 0 && held > paid, "its end was said while the agent was away");
    w.world.now_ms += MAX_LIFETIME_MS + MAX_SKEW_MS;
    w.wait(60_000);
    let (spent, open) = books(&w, 0);
    assert!(open == 0 && spent < held, "{open} open, {spent} of {held}");
    assert!(spent > paid, "the round whose data was touched stays charged");
}
