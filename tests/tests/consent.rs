//! A consent that changes in the middle of a round, in virtual time: what was computed under another one does not leave, and nobody can
//! tell that from a computation that failed.

use tests::plain;
use tests::sim::{Options, Story};

fn contributions(release: &engine::Release) -> Vec<i64> {
    let body: plain::Body = serde_json::from_str(&release.body).unwrap();
    body.sum[..body.sum.len() - 1].to_vec()
}

#[test]
fn a_vector_whose_consents_changed_before_it_left_stays() {
    let mut w = Story::of(5, 1);
    let question = w.question();
    let job = w.submit(question);
    w.until("site-02: Charged");
    w.world.consortium.consents[2].change();
    w.run();
    let release = w.expect_released(job);
    assert_eq!(contributions(&release), [1, 1, 0, 1, 1]);
    assert_eq!((release.receipt.cohort, release.receipt.attempts), (5, 1));
    assert_eq!(w.tokens(2, job), 1, "data was touched: the charge stays");
}

#[test]
fn a_vector_that_waits_for_its_tick_or_a_grant_stays_too_and_with_a_tick_in_silence() {
    for (tick_ms, grants) in [(Some(2_000), false), (None, true), (Some(2_000), true)] {
        let mut w = Story::with(Options {
            tick_ms,
            grants,
            ..Options::quiet(5, 1)
        });
        let question = w.question();
        let job = w.submit(question);
        // Computed within 200 ms; with a tick it waits for seconds.
        w.until("site-02: Charged");
        w.wait(if tick_ms.is_some() { 500 } else { 0 });
        w.world.consortium.consents[2].change();
        let mark = w.world.trace.len();
        w.run();
        assert_eq!(
            contributions(&w.expect_released(job)),
            [1, 1, 0, 1, 1],
            "{tick_ms:?} {grants}"
        );
        let told = |line: &String| line.contains("<- site-02") && line.contains("aborted");
        let said = w.world.trace[mark..].iter().any(told);
        assert_eq!(said, tick_ms.is_none(), "{tick_ms:?} {grants}");
    }
}

#[test]
fn a_change_before_data_is_touched_or_after_the_vector_left_stops_nothing() {
    let mut w = Story::of(5, 1);
    let question = w.question();
    let job = w.submit(question);
    w.until("site-02: Accepted");
    w.world.consortium.consents[2].change();
    w.until("site-02: Sent");
    w.world.consortium.consents[2].change();
    w.run();
    assert_eq!(contributions(&w.expect_released(job)), [1, 1, 1, 1, 1]);
}

#[test]
fn a_run_goes_on_under_consents_that_change_in_it() {
    let mut w = Story::of(5, 1);
    let question = w.world.question(12);
    let job = w.submit(question);
    for _ in 0..4 {
        w.until("RoundSummed");
        w.world.consortium.consents[0].change();
    }
    w.run();
    let body: plain::Body = serde_json::from_str(&w.expect_released(job).body).unwrap();
    assert_eq!(body.rounds, 12);
}
