//! An answer is given again for nothing only while every owner would still give it.

use super::*;

/// What is answered before anything changed, and once more for nothing.
fn repeated() -> (Story, engine::JobId) {
    let mut w = Story::of(4, 1);
    let (first, _) = w.answered_twice();
    (w, first)
}

/// The same question is computed anew, without the owner whose rules changed.
fn is_asked_anew(w: &mut Story) {
    let question = w.question();
    let job = w.submit(question);
    w.run();
    let receipt = w.expect_released(job).receipt;
    assert_eq!((receipt.repeated, receipt.contributors), (None, 3));
}

#[test]
fn an_answer_is_not_given_again_after_an_owner_published_a_policy() {
    let (mut w, _) = repeated();
    // No agent can read this layer, so it refuses everything.
    let policy = policy(&w, 1);
    w.world
        .tell_coordinator(engine::coordinator::Input::Act(policy))
        .unwrap()
        .unwrap();
    w.wait(2_000);
    is_asked_anew(&mut w);
}

#[test]
fn an_answer_is_not_given_again_after_an_owner_took_the_analyst_off_its_list() {
    let (mut w, _) = repeated();
    w.world.options.by_grant = true;
    w.participant(0).restart();
    w.until("EpochLive");
    w.wait(5_000);
    is_asked_anew(&mut w);
}

#[test]
fn an_answer_is_given_again_after_what_changes_no_rule() {
    let (mut w, first) = repeated();
    w.participant(0).restart();
    w.until("EpochLive");
    w.world.decide(0, Decision::Ask);
    w.wait(5_000);
    let question = w.question();
    let job = w.submit(question);
    w.run();
    assert_eq!(w.expect_released(job).receipt.repeated, Some(first));
}
