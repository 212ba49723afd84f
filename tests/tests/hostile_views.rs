//! A coordinator that shows different worlds to different agents, or more than it may: rosters, member lists, survivor sets,
//! certificates. One attack a test; what it says about requests is attacked in `hostile.rs`.

use engine::SlotId;
use engine::message::{EpochOpen, ToAgent};
use secagg::{Certificate, Message, Survivors};
use tests::sim::{Options, Story};

/// Four owners, and a job that is done.
fn after_a_job() -> Story {
    let mut w = Story::of(4, 1);
    let question = w.question();
    let job = w.submit(question);
    w.run();
    w.expect_released(job);
    w
}

#[test]
fn a_roster_that_governance_did_not_sign_is_not_believed() {
    let mut w = after_a_job();
    let mut roster = w.world.consortium.roster.clone();
    roster.version += 1;
    roster.min_cohort = 4;
    let own = governance::SigningKey::from_seed(&[9; 32]).unwrap();
    w.say(0, ToAgent::Roster(roster.sign(&own).unwrap()));
    assert!(w.heard("Suspicious"));
    assert_eq!(w.world.participants[0].engine.as_ref().unwrap().roster().version, 1);
}

#[test]
fn an_older_roster_does_not_come_back() {
    let mut w = after_a_job();
    let old = w.world.consortium.signed_roster.clone();
    let mut roster = w.world.consortium.roster.clone();
    roster.version = 2;
    let newer = roster.sign(&w.world.consortium.governance).unwrap();
    w.say(0, ToAgent::Roster(newer));
    assert!(w.heard("RosterAdopted"));
    w.say(0, ToAgent::Roster(old));
    assert!(w.heard("Suspicious"));
    w.participant(0).restart();
    w.wait(5_000);
    assert_eq!(
        w.world.participants[0].engine.as_ref().unwrap().roster().version,
        2,
        "also not by a restart"
    );
}

#[test]
fn a_truncated_member_list_never_becomes_an_epoch() {
    let mut w = after_a_job();
    let names = w.world.consortium.names.clone();
    let roster_hash = w.world.consortium.signed_roster.hash().0;
    let open = |epoch, members: Vec<engine::AgentId>, roster_hash| {
        ToAgent::EpochOpen(EpochOpen {
            epoch,
            roster_hash,
            members,
            slots: 4,
            timeout_ms: 5_000,
        })
    };
    w.say(0, open(77, names[1..].to_vec(), roster_hash));
    assert!(w.heard("EpochLeft"), "not a member");
    w.say(0, open(78, names[..2].to_vec(), roster_hash));
    assert!(w.heard("EpochLeft"), "too few to tolerate a colluder");
    w.say(0, open(79, names.clone(), [1; 32]));
    assert!(w.heard("EpochLeft"), "another roster");
    // Told different lists, two agents sign different Hellos, and neither goes on with the other's.
    w.say(0, open(80, names[..3].to_vec(), roster_hash));
    assert!(w.heard("EpochJoining"));
    w.say(1, open(80, names, roster_hash));
    w.wait(10_000);
    assert!(!w.heard("EpochLive { epoch: 80"));
}

#[test]
fn a_second_view_of_the_survivors_gets_no_answer() {
    let mut w = Story::of(5, 1);
    let question = w.question();
    let job = w.submit(question);
    w.until("site-00: Accepted");
    let at = w.last_start(0).at;
    w.until(&format!("site-00 {at}: survivors"));
    let told = w.last_message(0, |message| matches!(message, ToAgent::Survivors { .. }));
    let ToAgent::Survivors { at, survivors } = told else {
        unreachable!()
    };
    let mut other = Survivors::decode(&survivors).unwrap();
    other.headers.pop();
    w.wait(0);
    w.say(
        0,
        ToAgent::Survivors {
            at,
            survivors: other.encode().into(),
        },
    );
    assert!(
        w.heard("Suspicious") && w.heard("locked to another survivor set"),
        "{:?}",
        w.world.trace.last()
    );
    assert!(!w.heard("Revealed") && !w.heard("vote"));
    w.run();
    w.expect_released(job);
}

#[test]
fn survivors_below_the_minimum_open_nothing() {
    let mut w = Story::of(4, 1);
    let question = w.question();
    w.submit(question);
    w.until("site-01 epoch 1 slot 0: survivors");
    let told = w.last_message(0, |message| matches!(message, ToAgent::Survivors { .. }));
    let ToAgent::Survivors { at, survivors } = told else {
        unreachable!()
    };
    let mut few = Survivors::decode(&survivors).unwrap();
    few.headers.truncate(2);
    w.say(
        2,
        ToAgent::Survivors {
            at,
            survivors: few.encode().into(),
        },
    );
    assert!(!w.heard("Revealed"));
    assert!(w.heard("Suspicious"), "{:?}", w.world.trace.last());
}

#[test]
fn a_certificate_below_the_threshold_opens_nothing() {
    let mut w = Story::of(5, 1);
    let question = w.question();
    w.submit(question);
    w.until("Charged");
    w.participant(4).crash();
    let at = w.last_start(0).at;
    w.until(&format!("site-00 {at}: survivors"));
    let certificate = Certificate {
        slot: at.slot,
        votes: Vec::new(),
    };
    w.say(
        0,
        ToAgent::Certificate {
            at,
            certificate: certificate.encode().into(),
        },
    );
    assert!(w.heard("Suspicious") && !w.heard("Revealed"));
}

#[test]
fn proofs_are_not_given_before_a_reveal() {
    let mut w = Story::of(4, 1);
    let question = w.question();
    w.submit(question);
    w.until("site-00: Accepted");
    let at = SlotId { epoch: 1, slot: 0 };
    w.say(0, ToAgent::PathsWanted { at });
    assert!(w.heard("Suspicious"));
    w.say(0, ToAgent::EdgesWanted { at });
    assert!(w.heard("Suspicious"));
}

#[test]
fn a_flood_of_epochs_does_not_fill_the_agent() {
    let mut w = after_a_job();
    let members = w.world.consortium.names.clone();
    let roster_hash = w.world.consortium.signed_roster.hash().0;
    for epoch in 100..120 {
        let members = members.clone();
        w.say(
            0,
            ToAgent::EpochOpen(EpochOpen {
                epoch,
                roster_hash,
                members,
                slots: 4,
                timeout_ms: 60_000,
            }),
        );
    }
    let held = w
        .world
        .trace
        .iter()
        .filter(|line| line.contains("site-00: EpochLeft"))
        .count();
    assert!(held >= 17, "all but the last three were dropped: {held}");
}

#[test]
fn every_lie_at_once_breaks_no_sentence() {
    for seed in 0..6 {
        let options = Options {
            jobs: 4,
            rounds: 2,
            hostile: 500,
            colluders: 1,
            in_order: false,
            faults_ms: 60_000,
            ..Options::quiet(5, 1)
        };
        if let Err(failure) = tests::sim::run::run(seed, options) {
            panic!(
                "{}\n{}",
                failure.sentence,
                failure.trace[failure.trace.len().saturating_sub(30)..].join("\n")
            );
        }
    }
}

/// An analyst's key, or a member of the epoch, may be gone with the old roster.
#[test]
fn a_round_does_not_outlive_the_roster_that_it_was_accepted_under() {
    let mut w = Story::of(4, 1);
    let question = w.question();
    w.submit(question);
    w.until("site-00: Charged");
    let mut roster = w.world.consortium.roster.clone();
    roster.version += 1;
    let signed = roster.sign(&w.world.consortium.governance).unwrap();
    w.say(0, ToAgent::Roster(signed));
    w.wait(20_000);
    assert!(w.heard("site-00: Aborted"), "the round ends with its roster");
    assert!(!w.heard("site-00: Sent"));
}
