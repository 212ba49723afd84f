//! Whose word counts, and when: people who left, people whom nobody lists, and acts that the log shows and the stream does not bring.

use super::*;

#[test]
fn what_a_former_steward_decided_stands_whenever_it_is_read() {
    let mut w = unlisted();
    let first = policy(&w, 1);
    w.world
        .tell_coordinator(engine::coordinator::Input::Act(first))
        .unwrap()
        .unwrap();
    w.wait(2_000);
    assert_eq!(policy_version(&w), 1);
    // One agent is away while the steward decides once more and leaves; another comes with a store that holds nothing.
    w.participant(0).leave();
    let second = policy(&w, 2);
    w.world
        .tell_coordinator(engine::coordinator::Input::Act(second))
        .unwrap()
        .unwrap();
    w.wait(2_000);
    w.world
        .govern(|roster| roster.stewards.retain(|steward| steward.id != "steward-00"));
    w.wait(2_000);
    assert_eq!(policy_version(&w), 1);
    w.participant(0).blink(0);
    w.world.heal();
    w.wait(10_000);
    assert_eq!(policy_version(&w), 2, "{:?}", w.world.trace.last());
    let away = w.world.participants[0].engine.as_ref().unwrap().books().heard().clone();

    w.participant(0).restore(0);
    w.wait(15_000);
    assert_eq!(policy_version(&w), 2, "{:?}", w.world.trace.last());
    let fresh = w.world.participants[0].engine.as_ref().unwrap().books().heard().clone();
    assert_eq!(
        fresh.register(),
        away.register(),
        "whoever reads it later reads the same"
    );
    // It is not stale: what it refuses, it refuses because nobody was granted anything.
    let question = w.question();
    let job = w.submit(question);
    w.run();
    w.expect_failed(job, codes::OWNERS_REFUSED);
    let owner = w.world.consortium.names[0].to_string();
    assert!(w.heard(&format!("{owner}: Refused")) && !w.heard(codes::ACT_WAITS));
}

#[test]
fn nobody_decides_after_leaving_whatever_the_coordinator_says_of_then() {
    let mut w = unlisted();
    let taken = policy(&w, 1);
    w.world
        .tell_coordinator(engine::coordinator::Input::Act(taken))
        .unwrap()
        .unwrap();
    w.wait(2_000);
    let before = w.world.consortium.signed_roster.clone();
    w.world
        .govern(|roster| roster.stewards.retain(|steward| steward.id != "steward-00"));
    w.wait(2_000);
    let late = policy(&w, 2);
    let reply = w.world.tell_coordinator(engine::coordinator::Input::Act(late.clone()));
    assert_eq!(reply.unwrap().unwrap_err().code, codes::ACT);

    // A coordinator that brings it all the same, with the log silent: it waits, and so does everything else here.
    let from = place(&w, 0);
    let brings = ToAgent::Acts(Acts {
        from,
        acts: vec![late.clone()],
    });
    w.say(0, brings.clone());
    assert!(w.heard("ActWaits"), "{:?}", w.world.trace.last());
    assert_eq!((policy_version(&w), place(&w, 0)), (1, from));
    // The old roster again, as if it were in force once more, and the act behind it: in the log, in the order that convicts.
    let again = Event::new(Kind::Roster, w.world.now_ms, coordinator(&w)).refers("roster", before.hash());
    let shown = log_with(&w, 0, vec![again, leaf_of(&w, &late)]);
    w.say(0, shown);
    w.say(0, brings);
    assert!(w.heard("ActPassedOver"), "{:?}", w.world.trace.last());
    assert_eq!((policy_version(&w), place(&w, 0).count), (1, from.count + 1));
}

/// Who decided something is for its own agent's operator to read, and not for whoever asks a question meanwhile.
#[test]
fn what_waits_is_not_told_to_an_analyst_with_the_name_of_who_signed_it() {
    let mut w = unlisted();
    w.world
        .govern(|roster| roster.stewards.retain(|steward| steward.id != "steward-00"));
    w.wait(10_000);
    let question = w.question();
    w.submit(question);
    w.run();
    let (late, from) = (policy(&w, 1), place(&w, 0));
    w.say(0, ToAgent::Acts(Acts { from, acts: vec![late] }));
    assert!(
        w.heard("ActWaits") && w.heard("steward-00"),
        "{:?}",
        w.world.trace.last()
    );
    let start = asked_again(&mut w, 0, 1);
    w.say(0, ToAgent::RoundStart(start));
    assert!(w.heard(codes::ACT_WAITS), "{:?}", w.world.trace.last());
    assert!(!w.heard("steward"), "{:?}", w.world.trace.last());
}

/// Whoever holds governance's key can make somebody a steward of anybody; whose word over its data counts the owner says.
#[test]
fn a_steward_whom_the_owner_does_not_list_grants_and_publishes_nothing() {
    let mut w = unlisted();
    let key = governance::SigningKey::from_seed(&[78; 32]).unwrap();
    let organisation = w.world.consortium.roster.agents[0].organisation.clone();
    let made_up = Steward {
        id: "made-up".into(),
        organisation: organisation.clone(),
        key: key.public(),
        tls_key: ContentHash([78; 32]),
    };
    w.world.govern(|roster| roster.stewards.push(made_up));
    w.wait(2_000);
    let act = Act {
        by: By {
            role: Role::Steward,
            id: "made-up".into(),
            organisation: organisation.clone(),
        },
        at_ms: w.world.now_ms,
        note: String::new(),
        what: What::PolicyPublished {
            layer: Layer::Owner(organisation),
            version: 1,
            bundle: "permit everything".into(),
        },
    };
    let signed = act.sign(&key).unwrap();
    w.world
        .tell_coordinator(engine::coordinator::Input::Act(signed))
        .unwrap()
        .unwrap();
    w.wait(15_000);
    assert!(w.heard("ActPassedOver"), "{:?}", w.world.trace.last());
    assert_eq!(policy_version(&w), 0);
    let listed = policy(&w, 2);
    w.world
        .tell_coordinator(engine::coordinator::Input::Act(listed))
        .unwrap()
        .unwrap();
    w.wait(5_000);
    assert_eq!(policy_version(&w), 2);
}

#[test]
fn an_act_that_the_log_shows_and_the_stream_does_not_bring_stops_the_agent() {
    let (mut w, grant) = granted();
    let question = w.question();
    let job = w.submit(question);
    w.run();
    w.expect_released(job);
    // Somebody else's owner revokes as well: that is none of this agent's.
    w.world.withheld.insert(1);
    w.world.decide(0, tests::sim::acts::Decision::Revoke { owner: 2 });
    w.wait(20_000);
    let start = asked_again(&mut w, 1, 1);
    w.say(1, ToAgent::RoundStart(start));
    assert!(w.heard("Accepted"), "{:?}", w.world.trace.last());

    w.world.decide(0, tests::sim::acts::Decision::Revoke { owner: 1 });
    w.wait(20_000);
    assert_eq!(status_at(&w, 1, &grant), Status::Active, "nobody told it");
    let start = asked_again(&mut w, 1, 2);
    w.say(1, ToAgent::RoundStart(start.clone()));
    assert!(w.heard(codes::ACT_WITHHELD), "{:?}", w.world.trace.last());
    // It goes on when the act comes.
    w.world.withheld.clear();
    w.wait(6_000);
    assert_eq!(status_at(&w, 1, &grant), Status::Revoked);
    w.say(1, ToAgent::RoundStart(start));
    assert!(w.heard("[grant.revoked]"), "{:?}", w.world.trace.last());
}

#[test]
fn an_agent_asks_again_whether_a_steward_of_the_requesters_side_must_agree() {
    let mut w = unlisted();
    let key = governance::SigningKey::from_seed(&[77; 32]).unwrap();
    let una = Steward {
        id: "una".into(),
        organisation: "university".into(),
        key: key.public(),
        tls_key: ContentHash([77; 32]),
    };
    w.world.govern(|roster| roster.stewards.push(una));
    w.wait(2_000);
    w.world.decide(0, Decision::Ask);
    w.wait(2_000);
    let asked = w.world.newest_grant().unwrap();
    let register = w.world.coordinator.engine.as_ref().unwrap().books().register();
    assert!(register.any_grant(&asked).is_none(), "the door refuses it");
    // A coordinator that lets it in, and logs it.
    let (signed, from) = (w.world.request_of_grant(), place(&w, 0));
    let shown = log_with(&w, 0, vec![leaf_of(&w, &signed)]);
    w.say(0, shown);
    let acts = vec![signed.clone()];
    w.say(0, ToAgent::Acts(Acts { from, acts }));
    assert!(w.heard("ActPassedOver"), "{:?}", w.world.trace.last());
    let engine = w.world.participants[0].engine.as_ref().unwrap();
    assert!(engine.books().heard().register().any_grant(&signed.hash()).is_none());
}

/// A coordinator that takes what nobody should: a request that names its sides wrongly. What follows from it is passed over with it, and the
/// list goes on.
#[test]
fn what_is_said_of_a_grant_whose_request_was_passed_over_is_passed_over_with_it() {
    let mut w = unlisted();
    let mut wrong = w.world.request_of_grant().read().unwrap();
    let What::GrantRequested { steward_agrees, .. } = &mut wrong.what else {
        panic!("a request");
    };
    *steward_agrees = true;
    let by = wrong.by.clone();
    let wrong = wrong.sign(&w.world.consortium.analyst).unwrap();
    let (grant, owner) = (wrong.hash(), None);
    let ends = w
        .world
        .signed_act(by, What::GrantRevoked { grant, owner }, &w.world.consortium.analyst);
    let next = policy(&w, 1);
    let from = place(&w, 0);
    let events = [&wrong, &ends, &next].map(|signed| leaf_of(&w, signed));
    let shown = log_with(&w, 0, events.into());
    w.say(0, shown);
    let acts = vec![wrong, ends, next];
    w.say(0, ToAgent::Acts(Acts { from, acts }));
    assert!(w.heard("ActPassedOver"), "{:?}", w.world.trace.last());
    assert_eq!((policy_version(&w), place(&w, 0).count), (1, from.count + 3));
}
