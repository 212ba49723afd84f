//! Grants in a consortium, told as stories: nobody is on an owner's list, and a question is answered as long as both sides of a
//! grant want it to be.

#[path = "grants/accepts.rs"]
mod accepts;
#[path = "grants/repeats.rs"]
mod repeats;
#[path = "grants/rosters.rs"]
mod rosters;

use std::sync::Arc;

use engine::codes;
use engine::message::{Acts, Cursor, LogGrown, RoundStart, ToAgent};
use engine::participant::Input;
use governance::act::{By, Layer};
use governance::grant::Unlogged;
use governance::log::event::{Actor, Role};
use governance::log::{Checkpoint, Event, Kind, Nodes, Rosters, SignedEvent, Tree, Trust, Uncovered, scan};
use governance::{Act, ContentHash, SignedAct, Status, Steward, What};
use tests::sim::acts::Decision;
use tests::sim::{Options, Story};

/// Four owners who list nobody.
fn unlisted() -> Story {
    Story::with(Options {
        by_grant: true,
        ..Options::quiet(4, 1)
    })
}

/// The same, with a grant of all four.
fn granted() -> (Story, ContentHash) {
    let mut w = unlisted();
    w.world.decide(0, Decision::Ask);
    w.wait(2_000);
    let grant = w.world.newest_grant().unwrap();
    (w, grant)
}

fn status_at(w: &Story, place: usize, grant: &ContentHash) -> Status {
    let engine = w.world.participants[place].engine.as_ref().unwrap();
    let owner = &w.world.consortium.roster.agents[place].organisation;
    let line = &engine.books().heard().register().any_grant(grant).unwrap().lines[owner];
    line.status(w.world.now_ms, &Unlogged)
}

#[test]
fn a_grant_admits_what_no_list_does_and_pays_from_a_line_of_its_own() {
    let mut w = unlisted();
    let question = w.question();
    let job = w.submit(question);
    w.run();
    let message = w.expect_failed(job, codes::OWNERS_REFUSED);
    assert!(message.contains("[grant.none]"), "{message}");

    w.world.decide(0, Decision::Ask);
    w.wait(2_000);
    let grant = w.world.newest_grant().unwrap();
    assert_eq!(status_at(&w, 0, &grant), Status::Active);
    let question = w.question();
    let job = w.submit(question);
    w.run();
    assert_eq!(w.expect_released(job).receipt.contributors, 4);
    let engine = w.world.participants[0].engine.as_ref().unwrap();
    let ledger = engine.books().ledger("people").unwrap();
    assert!(ledger.left_for(&format!("grant/{grant}"), w.world.now_ms).is_some());
    assert!(
        ledger.left_for("ada", w.world.now_ms).is_none(),
        "the analyst's own part is untouched"
    );
    let coordinator = w.world.coordinator.engine.as_ref().unwrap();
    assert_eq!(coordinator.books().grants_of(&job).len(), 4);
}

#[test]
fn a_line_of_a_grant_admits_nobody_before_a_quorum_saw_that_it_was_agreed() {
    let mut w = unlisted();
    let asked = w.world.request_of_grant();
    let (grant, act) = (asked.hash(), asked.read().unwrap());
    let What::GrantRequested { terms, .. } = act.what else {
        unreachable!()
    };
    w.world
        .tell_coordinator(engine::coordinator::Input::Act(asked))
        .unwrap()
        .unwrap();
    let offers = |w: &mut Story, owner: usize| {
        let terms = Box::new(terms.clone());
        w.world.decide(0, Decision::Offer { owner, grant, terms });
        w.wait(2_000);
    };
    (0..3).for_each(|owner| offers(&mut w, owner));
    // Of the last offer everybody hears, and hardly anybody is heard to say so.
    w.world.unsigned.extend(0..3);
    offers(&mut w, 3);
    let engine = w.world.participants[3].engine.as_ref().unwrap();
    let owner = &w.world.consortium.roster.agents[3].organisation;
    let line = &engine.books().heard().register().any_grant(&grant).unwrap().lines[owner];
    assert_eq!(
        line.status(w.world.now_ms, engine.books().log()),
        Status::Active,
        "to its own witness"
    );
    let question = w.question();
    let job = w.submit(question);
    w.until("RoundSummed");
    w.world.unsigned.clear();
    w.run();
    assert_eq!(w.expect_released(job).receipt.contributors, 3);
    let question = w.question();
    let job = w.submit(question);
    w.run();
    assert_eq!(w.expect_released(job).receipt.contributors, 4);
}

#[test]
fn a_local_revocation_ends_what_is_under_way_with_the_coordinator_gone() {
    let (mut w, grant) = granted();
    w.participant(3).slow_down();
    let question = w.question();
    let job = w.submit(question);
    w.until("site-03: Charged");
    w.world.crash_coordinator(Some(60_000));
    w.world.revoke_here(3);
    assert_eq!(status_at(&w, 3, &grant), Status::Revoked);
    assert!(w.heard("site-03: Aborted"), "{:?}", w.world.trace.last());
    w.run();
    w.wait(20_000);
    // The others heard of it when the coordinator did; the job, if it was asked again, was refused by site-03 alone.
    let coordinator = w.world.coordinator.engine.as_ref().unwrap();
    let owner = &w.world.consortium.roster.agents[3].organisation;
    let line = &coordinator.books().register().any_grant(&grant).unwrap().lines[owner];
    assert_eq!(line.status(w.world.now_ms, &Unlogged), Status::Revoked);
    let held = w.world.participants[3].engine.as_ref().unwrap().books().heard();
    assert!(
        held.made().is_empty(),
        "what was decided while cut off came back as heard"
    );
    assert_eq!(w.tokens(3, job), 1);
}

#[test]
fn a_revocation_ends_the_job_that_runs_under_the_grant_and_says_so() {
    let (mut w, _) = granted();
    w.participant(3).slow_down();
    let question = w.question();
    let job = w.submit(question);
    w.until("site-03: Charged");
    w.world.decide(0, Decision::Revoke { owner: 1 });
    w.run();
    let message = w.expect_failed(job, codes::GRANT_ENDED);
    assert!(message.contains("is revoked"), "{message}");
}

#[test]
fn an_answer_is_not_repeated_after_its_grant_ended_and_carries_the_flag() {
    let (mut w, grant) = granted();
    let (first, second) = w.answered_twice();
    w.world.decide(0, Decision::Revoke { owner: 2 });
    w.wait(1_000);
    let question = w.question();
    let third = w.submit(question);
    w.run();
    let release = w.expect_released(third);
    assert_eq!((release.receipt.repeated, release.receipt.contributors), (None, 3));
    let coordinator = w.world.coordinator.engine.as_ref().unwrap();
    let owner = w.world.consortium.roster.agents[2].organisation.clone();
    for job in [first, second] {
        assert_eq!(coordinator.revoked_under(&job), [(grant, owner.clone())]);
    }
    assert_eq!(coordinator.revoked_under(&third), []);
}

#[test]
fn an_agent_that_hears_nothing_for_three_beats_answers_nothing() {
    let (mut w, _) = granted();
    let question = w.question();
    let job = w.submit(question);
    w.run();
    w.expect_released(job);
    let question = w.question();
    let mut start = w.last_start(0);
    let signed = w.world.consortium.signed(&question);
    start.job = engine::JobId::of(&signed.hash().0);
    start.request = signed.into();
    start.at.slot += 1;
    // The link is dead and nobody noticed: time passes at the agent alone.
    w.world.now_ms += 15_001;
    w.say(0, ToAgent::RoundStart(start.clone()));
    assert!(w.heard(codes::STALE), "{:?}", w.world.trace.last());
    let end = w.world.participants[0].engine.as_ref().unwrap().books().heard().place();
    w.say(0, ToAgent::Heartbeat(end));
    w.say(0, ToAgent::RoundStart(start));
    assert!(w.heard("Accepted"), "{:?}", w.world.trace.last());
}

#[test]
fn acts_that_are_lost_swapped_or_meant_for_others_are_not_taken() {
    let (mut w, _) = granted();
    let heard = |w: &Story| w.world.participants[0].engine.as_ref().unwrap().books().heard().place();
    let before = heard(&w);
    let next = w.last_message(
        1,
        |message| matches!(message, ToAgent::Acts(acts) if !acts.acts.is_empty()),
    );
    let ToAgent::Acts(foreign) = next else { unreachable!() };
    // A neighbour's act in this agent's place; an act twice; a list that goes on where nothing is.
    let swapped = Acts {
        from: before,
        acts: foreign.acts.clone(),
    };
    w.say(0, ToAgent::Acts(swapped));
    assert!(w.heard("Suspicious"));
    w.say(0, ToAgent::Acts(foreign));
    let gone = Cursor {
        count: before.count + 1,
        head: [9; 32],
    };
    w.say(0, ToAgent::Heartbeat(gone));
    assert_eq!(heard(&w), before);
    // A coordinator that knows less than it said is one that lost acts.
    w.say(0, ToAgent::Heartbeat(Cursor::default()));
    assert!(w.heard(codes::STALE));
}

#[test]
fn an_operator_revokes_for_its_own_organisation_and_for_nobody_else() {
    let (mut w, grant) = granted();
    let what = governance::What::GrantRevoked { grant, owner: None };
    let by = w.world.participants[0].engine.as_ref().unwrap().by();
    for (by, key) in [
        (by.clone(), 1),
        (
            governance::act::By {
                id: "site-01".into(),
                ..by
            },
            1,
        ),
    ] {
        let act = governance::Act {
            by,
            at_ms: w.world.now_ms,
            note: String::new(),
            what: what.clone(),
        };
        let signed = act.sign(&w.world.consortium.actor_keys[key]).unwrap();
        w.world.tell_participant(0, Input::Act(signed));
        assert_eq!(status_at(&w, 0, &grant), Status::Active);
    }
}

/// A stripped signature must not make an agent skip for good what was decided, a policy above all.
#[test]
fn an_act_whose_signature_was_stripped_is_not_passed_over() {
    let (mut w, _) = granted();
    let owner = w.world.participants[0].engine.as_ref().unwrap().by().organisation;
    let act = governance::Act {
        by: governance::act::By {
            role: governance::log::event::Role::Steward,
            id: "steward-00".into(),
            organisation: owner.clone(),
        },
        at_ms: w.world.now_ms,
        note: String::new(),
        what: governance::What::PolicyPublished {
            layer: governance::act::Layer::Owner(owner),
            version: 1,
            bundle: "forbid".into(),
        },
    };
    let signed = act.sign(&w.world.consortium.steward_keys[0]).unwrap();
    let mut stripped = signed.clone();
    stripped.signature[0] ^= 1;
    let place = |w: &Story| w.world.participants[0].engine.as_ref().unwrap().books().heard().place();
    let from = place(&w);
    let tell = |act| ToAgent::Acts(Acts { from, acts: vec![act] });
    w.say(0, tell(stripped));
    assert!(w.heard("Suspicious"));
    assert_eq!(
        place(&w),
        from,
        "it stays stale until it is shown the act as it was signed"
    );
    w.say(0, tell(signed));
    assert_eq!(place(&w).count, from.count + 1);
}

/// What the first owner's steward decides about its policy.
fn policy(w: &Story, version: u64) -> SignedAct {
    let organisation = w.world.consortium.roster.agents[0].organisation.clone();
    let act = Act {
        by: By {
            role: Role::Steward,
            id: "steward-00".into(),
            organisation: organisation.clone(),
        },
        at_ms: w.world.now_ms,
        note: String::new(),
        what: What::PolicyPublished {
            layer: Layer::Owner(organisation),
            version,
            bundle: format!("forbid {version}"),
        },
    };
    act.sign(&w.world.consortium.steward_keys[0]).unwrap()
}

fn policy_version(w: &Story) -> u64 {
    let engine = w.world.participants[0].engine.as_ref().unwrap();
    let organisation = engine.by().organisation;
    let policy = engine.books().heard().register().policy(&Layer::Owner(organisation));
    policy.map_or(0, |policy| policy.version)
}

fn place(w: &Story, place: usize) -> Cursor {
    w.world.participants[place]
        .engine
        .as_ref()
        .unwrap()
        .books()
        .heard()
        .place()
}

/// A question that an agent is asked again, to see what it says.
fn asked_again(w: &mut Story, place: usize, slots_on: u16) -> RoundStart {
    let question = w.question();
    let mut start = w.last_start(place);
    let signed = w.world.consortium.signed(&question);
    start.job = engine::JobId::of(&signed.hash().0);
    start.request = signed.into();
    start.at.slot += slots_on;
    start
}

/// The coordinator's true log, and events of its own behind it.
fn log_with(w: &Story, place: usize, events: Vec<Event>) -> ToAgent {
    let coordinator = w.world.coordinator.engine.as_ref().unwrap().books().log();
    let mut leaves: Vec<Arc<str>> = coordinator.leaves(0..u64::MAX).cloned().collect();
    for event in events {
        leaves.push(event.sign(&w.world.consortium.log_key).unwrap().leaf().into());
    }
    let mut tree = Tree::default();
    for leaf in &leaves {
        tree.append(leaf.as_bytes());
    }
    let trust = Trust::of(&w.world.consortium.roster).unwrap();
    let (origin, size, root) = (trust.log().name().to_owned(), tree.size(), tree.root());
    let from = w.world.participants[place].engine.as_ref().unwrap().witness().size();
    let checkpoint = Checkpoint { origin, size, root };
    ToAgent::LogGrown(Box::new(LogGrown {
        from,
        head: size,
        checkpoint: checkpoint.sign(&w.world.consortium.log_key).unwrap().to_string(),
        entries: leaves[from as usize..].to_vec(),
        consistency: tree.consistency(from, size).unwrap(),
    }))
}

fn coordinator(w: &Story) -> Actor {
    let key = &w.world.consortium.log_key;
    Actor {
        role: Role::Coordinator,
        id: "coordinator".into(),
        key: key.public(),
    }
}

fn leaf_of(w: &Story, signed: &SignedAct) -> Event {
    let act = signed.read().unwrap();
    act.event_by(signed.hash(), w.world.now_ms, coordinator(w))
}

#[test]
fn a_local_revocation_takes_back_what_the_connection_still_holds() {
    let (mut w, grant) = granted();
    let question = w.question();
    w.submit(question);
    w.until("site-03: Sent");
    w.world.revoke_here(3);
    assert!(w.heard("severs its connection"), "{:?}", w.world.trace.last());
    assert_eq!(status_at(&w, 3, &grant), Status::Revoked);
    w.run();
    // Dialled again at once, and the coordinator heard of it.
    let coordinator = w.world.coordinator.engine.as_ref().unwrap();
    let owner = &w.world.consortium.roster.agents[3].organisation;
    let line = &coordinator.books().register().any_grant(&grant).unwrap().lines[owner];
    assert_eq!(line.status(w.world.now_ms, &Unlogged), Status::Revoked);
    // Its own act in the log does not look like an event that its store lost.
    w.wait(5_000);
    let trouble = w.world.participants[3]
        .engine
        .as_ref()
        .unwrap()
        .log_trouble(w.world.now_ms);
    assert!(trouble.is_none(), "{trouble:?}");
    // What carried nothing under the grant stays.
    w.mark();
    w.world.revoke_here(2);
    w.wait(1_000);
    w.mark();
    w.world.revoke_here(2);
    w.wait(1_000);
    assert!(
        !w.heard("severs its connection"),
        "an act that was made before cuts nothing"
    );
}

/// A vector and a revocation may cross on their ways to the log: its agent had not seen the revocation there, and nobody is at fault.
#[test]
fn a_vector_that_left_before_its_agent_could_know_of_a_revocation_crossed_it() {
    let (mut w, grant) = granted();
    let question = w.question();
    w.submit(question);
    w.until("site-03: Sent");
    w.world.decide(0, Decision::Revoke { owner: 3 });
    w.run();
    w.wait(5_000);
    let log = w.world.coordinator.engine.as_ref().unwrap().books().log();
    let leaves: Vec<_> = log.leaves(0..u64::MAX).cloned().collect();
    let read = |leaf: &Arc<str>| SignedEvent::parse(leaf.as_bytes()).unwrap().event().clone();
    let mut events: Vec<Event> = leaves.iter().map(read).collect();
    let governance = w.world.consortium.governance.public();
    let rosters = Rosters::open(&[w.world.consortium.signed_roster.clone()], &governance).unwrap();
    let found = scan(&events, &rosters);
    assert_eq!(found.findings, []);
    let crossed: Vec<_> = found
        .crossed
        .iter()
        .map(|one| (one.actor.as_str(), one.fault))
        .collect();
    assert_eq!(crossed, [("site-03", Uncovered::Revoked(grant))]);
    // One that says nothing of what it knew is named, as before.
    events[found.crossed[0].index as usize].references.remove("seen");
    assert_eq!(scan(&events, &rosters).findings.len(), 1);
}

/// A coordinator that stops something in somebody's name is believed, since it could as well have stayed silent, and not without a word to the operator.
#[test]
fn a_stop_that_nobody_signed_holds_and_is_told_of() {
    let (mut w, grant) = granted();
    let owner = Some(w.world.organisation(0));
    let mut forged = w.world.steward_says(0, What::GrantRevoked { grant, owner });
    forged.signature[0] ^= 1;
    let acts = Acts {
        from: place(&w, 0),
        acts: vec![forged],
    };
    w.mark();
    w.say(0, ToAgent::Acts(acts));
    assert_eq!(status_at(&w, 0, &grant), Status::Revoked);
    assert!(
        w.heard("Suspicious") && w.heard("only takes away and is heard"),
        "{:?}",
        w.world.trace.last()
    );
}

#[test]
fn a_stop_that_its_signer_signed_holds_without_suspicion() {
    let (mut w, grant) = granted();
    let owner = Some(w.world.organisation(0));
    let signed = w.world.steward_says(0, What::GrantRevoked { grant, owner });
    let acts = Acts {
        from: place(&w, 0),
        acts: vec![signed],
    };
    w.mark();
    w.say(0, ToAgent::Acts(acts));
    assert_eq!(status_at(&w, 0, &grant), Status::Revoked);
    assert!(!w.heard("Suspicious"), "{:?}", w.world.trace.last());
}

/// A grant is capped by its epsilon, and exact sums cost none: whoever is not on the owner's list gets none.
#[test]
fn no_grant_admits_to_sums_without_noise() {
    let mut w = Story::with(Options {
        by_grant: true,
        without_noise: true,
        ..Options::quiet(4, 1)
    });
    w.world.decide(0, Decision::Ask);
    w.wait(2_000);
    let mut question = w.question();
    question.task = question.task.replace("1000", "0");
    question.epsilon = 1e-9;
    let job = w.submit(question);
    w.run();
    let message = w.expect_failed(job, codes::OWNERS_REFUSED);
    assert!(message.contains("[grant.noise]"), "{message}");
    assert!(w.heard(codes::WITHOUT_NOISE));
    assert_eq!(w.tokens(0, job), 0);
    let question = w.question();
    let job = w.submit(question);
    w.run();
    assert_eq!(w.expect_released(job).receipt.contributors, 4);
}

/// The cap is the grant's: people under another name do not open it again.
#[test]
fn what_a_grant_paid_for_these_people_it_cannot_pay_again_under_another_name() {
    let (mut w, grant) = granted();
    let question = w.question();
    let job = w.submit(question);
    w.run();
    w.expect_released(job);
    w.world.consortium.population = "patients".to_owned();
    // A name that is new is a cap that is new: two people sign it, and the grant does not pay from it all the same.
    let approval = w.participant(0).to_be_approved(&[0, 1]);
    w.world.consortium.approvals.push(approval);
    w.participant(0).restart();
    w.wait(20_000);
    w.mark();
    let question = w.world.question(2);
    let job = w.submit(question);
    w.run();
    assert!(w.heard(codes::BUDGET), "{:?}", w.world.trace.last());
    assert_eq!(w.expect_released(job).receipt.contributors, 3);
    assert_eq!(w.tokens(0, job), 0);
    let engine = w.world.participants[0].engine.as_ref().unwrap();
    let line = format!("grant/{grant}");
    let spent = |population: &str| {
        let ledger = engine.books().ledger(population)?;
        ledger.left_for(&line, w.world.now_ms)
    };
    assert!(spent("people").is_some() && spent("patients").is_none());
    let patients = engine.books().ledger("patients").unwrap();
    assert!(patients.cap().is_some() && engine.unapproved().is_empty());
}

/// Who took part in the rounds before a restart of the coordinator took part in the run.
#[test]
fn the_grants_of_a_run_outlive_a_restart_of_the_coordinator() {
    let (mut w, grant) = granted();
    let owner = w.world.consortium.roster.agents[3].organisation.clone();
    let question = w.world.question(6);
    let job = w.submit(question);
    w.until("RoundSummed");
    w.until("RoundSummed");
    w.participant(3).crash();
    w.world.crash_coordinator(Some(500));
    w.run();
    let release = w.expect_released(job);
    assert_eq!(release.receipt.contributors, 3, "site-03 was in the first rounds only");
    let coordinator = w.world.coordinator.engine.as_ref().unwrap();
    assert!(coordinator.books().grants_of(&job).contains(&(grant, owner.clone())));
    w.world.decide(0, Decision::Revoke { owner: 3 });
    w.wait(5_000);
    let coordinator = w.world.coordinator.engine.as_ref().unwrap();
    assert_eq!(coordinator.revoked_under(&job), [(grant, owner)]);
}

#[test]
fn a_revocation_ends_a_run_that_a_restarted_coordinator_goes_on_with() {
    let (mut w, _) = granted();
    let question = w.world.question(30);
    let job = w.submit(question);
    w.until("RoundSummed");
    w.until("RoundSummed");
    w.participant(3).crash();
    w.world.crash_coordinator(Some(500));
    w.world.decide(1_000, Decision::Revoke { owner: 3 });
    w.run();
    let message = w.expect_failed(job, codes::GRANT_ENDED);
    assert!(message.contains("is revoked"), "{message}");
}
