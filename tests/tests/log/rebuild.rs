//! The coordinator lost everything, and comes back from what participants kept.

use engine::codes;
use governance::Status;
use governance::grant::Unlogged;
use governance::log::restore::Missing;
use tests::sim::acts::Decision;
use tests::sim::{Options, Story};

use super::{answered, leaves};

/// Four owners, a grant of all of them that one took back, and an answer under it.
fn granted() -> (Story, governance::ContentHash) {
    let mut w = Story::with(Options {
        by_grant: true,
        ..Options::quiet(4, 1)
    });
    w.world.decide(0, Decision::Ask);
    w.wait(2_000);
    let grant = w.world.newest_grant().unwrap();
    let question = w.question();
    let job = w.submit(question);
    w.run();
    assert_eq!(w.expect_released(job).receipt.contributors, 4);
    w.world.decide(0, Decision::Revoke { owner: 2 });
    w.wait(20_000);
    (w, grant)
}

/// What an answer says now of who contributed.
fn contributors(w: &mut Story) -> u32 {
    let question = w.question();
    let job = w.submit(question);
    w.run();
    w.expect_released(job).receipt.contributors
}

#[test]
fn the_log_is_rebuilt_from_any_participants_mirror() {
    let (mut w, job) = answered();
    // Agents that come back make another epoch each time: they have seen its number.
    for place in [0, 1] {
        w.participant(place).restart();
        w.until("EpochLive");
    }
    w.wait(20_000);
    let before = leaves(&w);
    let asked = w.world.requests[&job].clone();
    let absent = [0, 1, 2].map(|place| Missing::Mirror(format!("site-{place:02}")));
    assert_eq!(w.world.lose_coordinator(&[3]), absent);
    w.mark();
    w.until("EpochLive");
    assert!(
        !w.heard("numbers only rise"),
        "agents take the next epoch's number at once"
    );
    w.wait(20_000);
    assert_eq!(leaves(&w)[..before.len()], before[..]);
    let engine = w.world.coordinator.engine.as_ref().unwrap();
    assert!(engine.books().log().release(&job).is_some());
    // Who asks again in the same words is told: agents have spent its tokens, and its answer stands in the log once.
    let refused = w
        .world
        .tell_coordinator(engine::coordinator::Input::Submit(asked))
        .unwrap();
    assert_eq!(refused.unwrap_err().code, codes::REPLAYED);
    let engine = w.world.coordinator.engine.as_ref().unwrap();
    assert!(
        engine.release(&job, tests::sim::ANALYST).is_none(),
        "answers are in no mirror"
    );
}

#[test]
fn grants_and_revocations_come_back_with_the_log_and_hold_as_before() {
    let (mut w, grant) = granted();
    assert_eq!(w.world.lose_coordinator(&[0, 1, 2, 3]), []);
    w.mark();
    w.until("EpochLive");
    w.wait(20_000);
    assert_eq!(contributors(&mut w), 3, "who took it back contributes no more");
    assert!(!w.heard(codes::STALE), "nobody misses an act");
    let engine = w.world.coordinator.engine.as_ref().unwrap();
    let lines = &engine.books().register().any_grant(&grant).unwrap().lines;
    let owner = |place: usize| w.world.consortium.roster.agents[place].organisation.clone();
    assert_eq!(lines[&owner(2)].status(w.world.now_ms, &Unlogged), Status::Revoked);
    assert_eq!(lines[&owner(0)].status(w.world.now_ms, &Unlogged), Status::Active);
    // And what is decided from now on goes on from there.
    w.world.decide(0, Decision::Revoke { owner: 3 });
    w.wait(20_000);
    let question = w.question();
    let job = w.submit(question);
    w.run();
    w.expect_failed(job, codes::OWNERS_REFUSED);
}

#[test]
fn an_act_that_was_heard_and_in_no_checkpoint_yet_is_heard_of_again() {
    let (mut w, grant) = granted();
    // Nobody is shown the log any more; an owner takes its part back all the same, and its agent hears it.
    w.world.unshown.extend(0..4);
    w.world.decide(0, Decision::Revoke { owner: 1 });
    w.wait(1_500);
    let engine = w.world.participants[1].engine.as_ref().unwrap();
    assert!(engine.books().heard().made().is_empty());
    w.world.unshown.clear();
    assert_eq!(w.world.lose_coordinator(&[0, 1, 2, 3]), []);
    w.mark();
    w.until("EpochLive");
    w.wait(20_000);
    assert!(!w.heard(codes::STALE), "nobody misses an act");
    let engine = w.world.coordinator.engine.as_ref().unwrap();
    let owner = &w.world.consortium.roster.agents[1].organisation;
    let line = &engine.books().register().any_grant(&grant).unwrap().lines[owner];
    assert_eq!(line.status(w.world.now_ms, &Unlogged), Status::Revoked);
    let acts = super::events(&w).iter().filter(|event| event.kind.is_of_act()).count();
    assert_eq!(acts, engine.books().acts().len(), "every act has its leaf, once");
}

#[test]
fn without_an_owners_mirror_what_only_it_heard_is_named_and_it_answers_nothing() {
    let (mut w, _) = granted();
    let missing = w.world.lose_coordinator(&[0, 1]);
    let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
    assert!(
        missing.iter().any(|missing| missing.contains("mirror of `site-02`")),
        "{missing:?}"
    );
    assert!(
        missing
            .iter()
            .any(|missing| missing.contains("by steward `steward-02`")),
        "{missing:?}"
    );
    w.mark();
    w.wait(60_000);
    assert!(w.heard(codes::STALE), "they know more than the coordinator, and say so");
    let question = w.question();
    let job = w.submit(question);
    w.run();
    w.expect_failed(job, codes::ATTEMPTS_SPENT);
}
