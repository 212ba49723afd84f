//! Suspensions, told as stories: whoever is stopped hears so at once, from whom, and that somebody lifts it; nobody waits for owners who may
//! not answer.

use engine::{Refusal, codes};
use governance::What;
use governance::act::{By, Subject};
use governance::log::event::Role;
use tests::sim::Story;

fn dataset(w: &Story) -> Subject {
    Subject::Dataset(w.world.consortium.contract.name.clone())
}

/// An owner's steward says it, at the coordinator's door.
fn says(w: &mut Story, owner: usize, what: What) {
    let signed = w.world.steward_says(owner, what);
    let taken = w.world.tell_coordinator(engine::coordinator::Input::Act(signed));
    taken.unwrap().unwrap();
}

fn suspends(w: &mut Story, owner: usize) {
    let subject = dataset(w);
    says(w, owner, What::Suspended { subject });
}

/// What the coordinator says to a new question at its door.
fn refused(w: &mut Story) -> Refusal {
    let question = w.question();
    let request = w.world.consortium.signed(&question);
    let said = w.world.tell_coordinator(engine::coordinator::Input::Submit(request));
    said.unwrap().unwrap_err()
}

fn answered_by(w: &mut Story) -> u32 {
    let question = w.question();
    let job = w.submit(question);
    w.run();
    w.expect_released(job).receipt.contributors
}

#[test]
fn what_governance_suspended_is_refused_at_once() {
    let mut w = Story::of(4, 1);
    w.wait(2_000);
    let name = w.world.consortium.roster.consortium.clone();
    let by = By {
        role: Role::Governance,
        id: name.clone(),
        organisation: name,
    };
    let what = What::Suspended { subject: dataset(&w) };
    let signed = w.world.signed_act(by, what, &w.world.consortium.governance);
    let taken = w.world.tell_coordinator(engine::coordinator::Input::Act(signed));
    taken.unwrap().unwrap();
    let refusal = refused(&mut w);
    assert_eq!(refusal.code, codes::SUSPENDED);
    assert!(refusal.remedy.unwrap().contains("sotto reinstate"));
}

#[test]
fn with_too_few_owners_left_the_stewards_who_suspended_are_named_and_nobody_waits() {
    let mut w = Story::of(4, 1);
    w.wait(2_000);
    suspends(&mut w, 0);
    w.wait(1_000);
    assert_eq!(answered_by(&mut w), 3, "one owner stops its own part alone");

    suspends(&mut w, 1);
    let refusal = refused(&mut w);
    assert_eq!(refusal.code, codes::SUSPENDED);
    for owner in [0, 1] {
        let (agent, steward) = (w.world.consortium.names[owner].to_string(), format!("steward-0{owner}"));
        assert!(refusal.message.contains(&agent), "{}", refusal.message);
        assert!(
            refusal
                .message
                .contains(&format!("the dataset is suspended by `{steward}`")),
            "{}",
            refusal.message
        );
    }
    assert!(!refusal.message.contains("site-02"), "{}", refusal.message);
    let organisation = w.world.organisation(1);
    assert!(
        refusal
            .remedy
            .unwrap()
            .contains(&format!("ask `{organisation}`: `sotto reinstate`"))
    );

    let subject = dataset(&w);
    let signer = By {
        role: Role::Steward,
        id: "steward-01".to_owned(),
        organisation,
    };
    let coordinator = w.world.coordinator.engine.as_ref().unwrap();
    let lifts = coordinator.books().register().held(&signer, &subject);
    says(&mut w, 1, What::Reinstated { subject, lifts });
    w.wait(1_000);
    assert_eq!(answered_by(&mut w), 3);
}

#[test]
fn a_question_that_waits_ends_when_the_owner_that_it_waited_with_is_suspended() {
    let mut w = Story::of(4, 1);
    w.wait(2_000);
    for away in [0, 1] {
        w.participant(away).leave();
    }
    w.wait(2_000);
    let question = w.question();
    let job = w.submit(question);
    w.wait(1_000);
    suspends(&mut w, 2);
    w.wait(2_000);
    // Three could still answer: the two that are away may come back.
    assert!(!w.world.every_job_ended());
    suspends(&mut w, 3);
    w.wait(2_000);
    let message = w.expect_failed(job, codes::SUSPENDED);
    assert!(
        message.contains("steward-02") && message.contains("steward-03"),
        "{message}"
    );
}

#[test]
fn one_owner_that_suspends_the_analysts_organisation_answers_for_itself() {
    let mut w = Story::of(4, 1);
    w.wait(2_000);
    let subject = Subject::Organisation("university".to_owned());
    for owner in [0, 1] {
        let subject = subject.clone();
        says(&mut w, owner, What::Suspended { subject });
    }
    let refusal = refused(&mut w);
    assert_eq!(refusal.code, codes::SUSPENDED);
    assert!(
        refusal
            .message
            .contains("the analyst's organisation is suspended by `steward-00`"),
        "{}",
        refusal.message
    );
}
