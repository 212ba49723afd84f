//! Stories of an agent that does not hold still: whatever it leaves, and however often it comes and goes, the others get an epoch and every
//! job ends.

use engine::coordinator::Input;
use engine::message::ToCoordinator;
use engine::{Refused, SlotId, codes};
use tests::sim::Story;

/// Five owners of whom three just lost their secrets: only a new epoch has enough of them. And a job that waits for it.
fn between_two_epochs() -> (Story, engine::JobId) {
    let mut w = Story::of(5, 1);
    (0..3).for_each(|place| w.participant(place).restart());
    let question = w.question();
    let job = w.submit(question);
    (w, job)
}

/// The last agent says that it cannot go on with an epoch, in one of the two ways there are.
fn leaves(w: &mut Story, epoch: u64) {
    let refused = Refused {
        code: codes::NO_EPOCH.to_owned(),
        message: "too many epochs".to_owned(),
        remedy: None,
    };
    let message = match epoch % 2 {
        0 => ToCoordinator::EpochLeft {
            epoch,
            refused,
            dispute: None,
        },
        _ => ToCoordinator::Refuse {
            at: SlotId { epoch, slot: 0 },
            refused,
        },
    };
    let from = w.world.consortium.names[4].clone();
    w.world.tell_coordinator(Input::Message { from, message });
}

#[test]
fn an_agent_that_leaves_epochs_that_it_does_not_hold_keeps_nobody_from_the_next() {
    let (mut w, job) = between_two_epochs();
    for turn in 0..200 {
        leaves(&mut w, 1_000 + turn);
        w.wait(200);
    }
    assert_eq!(w.expect_released(job).receipt.contributors, 5);
}

#[test]
fn an_agent_that_comes_and_goes_without_end_keeps_nobody_from_an_epoch() {
    let (mut w, job) = between_two_epochs();
    for _ in 0..100 {
        w.participant(4).blink(100);
        w.wait(400);
    }
    assert!(w.expect_released(job).receipt.contributors >= 4);
    // And as long as it goes on, so does everybody else.
    let question = w.world.question(3);
    let job = w.submit(question);
    for _ in 0..300 {
        w.participant(4).blink(100);
        w.wait(400);
    }
    assert!(w.expect_released(job).receipt.contributors >= 4);
}
