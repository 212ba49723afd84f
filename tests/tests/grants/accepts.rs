//! What an agent says it accepts under: its word counts for its own owner, and for nobody else's answer.

use engine::coordinator::Input;
use engine::message::ToCoordinator;

use super::*;

/// Four owners whose lists admit the analyst, and a grant that was asked for and that nobody agreed to.
fn asked() -> (Story, ContentHash) {
    let mut w = Story::of(4, 1);
    let signed = w.world.request_of_grant();
    let grant = signed.hash();
    w.world.tell_coordinator(Input::Act(signed)).unwrap().unwrap();
    w.wait(1_000);
    (w, grant)
}

/// The last agent says in time that it accepts, under this grant.
fn accepts(w: &mut Story, grant: ContentHash) {
    w.until("RoundStarted");
    let (at, from) = (w.last_start(0).at, w.world.consortium.names[3].clone());
    let message = ToCoordinator::Accept {
        at,
        accept: Vec::new().into(),
        grant: Some(grant),
    };
    w.world.tell_coordinator(Input::Message { from, message });
}

#[test]
fn an_accept_under_a_grant_that_was_never_agreed_ends_nobodys_job() {
    let (mut w, grant) = asked();
    let question = w.question();
    let job = w.submit(question);
    accepts(&mut w, grant);
    w.run();
    assert_eq!(
        w.expect_released(job).receipt.contributors,
        3,
        "it counts as a refusal of its own"
    );
}

#[test]
fn a_vector_whose_accept_names_a_grant_that_was_never_agreed_is_in_no_sum() {
    let (mut w, grant) = asked();
    w.world.claims.insert(3, grant);
    let question = w.question();
    let job = w.submit(question);
    w.run();
    assert_eq!(w.expect_released(job).receipt.contributors, 3);
    let coordinator = w.world.coordinator.engine.as_ref().unwrap();
    assert!(coordinator.books().grants_of(&job).is_empty());
}

#[test]
fn an_accept_of_an_agent_that_is_not_asked_is_nobodys() {
    let (mut w, grant) = asked();
    w.participant(3).serve_nothing();
    w.wait(1_000);
    let question = w.question();
    let job = w.submit(question);
    accepts(&mut w, grant);
    w.run();
    assert_eq!(w.expect_released(job).receipt.contributors, 3);
}

#[test]
fn what_is_not_an_accept_leaves_no_grant_behind_that_could_end_the_job() {
    let (mut w, grant) = granted();
    w.participant(2).slow_down();
    let question = w.question();
    let job = w.submit(question);
    accepts(&mut w, grant);
    w.until("site-02: Charged");
    w.wait(1_000);
    w.world.decide(0, Decision::Revoke { owner: 3 });
    w.run();
    let coordinator = w.world.coordinator.engine.as_ref().unwrap();
    assert_eq!(w.expect_released(job).receipt.contributors, 3);
    assert_eq!(coordinator.books().grants_of(&job).len(), 3);
}
