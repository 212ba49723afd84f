//! A coordinator that lies, one attack a test: what it says to a participant, and what it gets for it. The checkers of the simulator
//! watch as well; the attacks on the cryptography itself have their tests in `secagg`.

use engine::codes;
use engine::message::{Carried, Previous, RoundStart, ToAgent, Wire};
use engine::participant::Input;
use engine::{CohortTerms, JobId, SlotId};
use governance::{Request, SignedRequest};
use tests::sim::{Options, Story};

/// Four owners, and a job that is done.
fn after_a_job() -> (Story, JobId) {
    let mut w = Story::of(4, 1);
    let question = w.question();
    let job = w.submit(question);
    w.run();
    w.expect_released(job);
    (w, job)
}

/// Four owners, one asked about a request that nobody has answered yet, at a slot that is free.
fn before_a_job() -> (Story, RoundStart) {
    let (mut w, _) = after_a_job();
    let question = w.question();
    let mut start = w.last_start(0);
    let signed = w.world.consortium.signed(&question);
    start.job = JobId::of(&signed.hash().0);
    start.request = signed.into();
    start.at.slot += 1;
    (w, start)
}

fn refused_with(w: &mut Story, start: RoundStart, code: &str) {
    w.say(0, ToAgent::RoundStart(start));
    assert!(w.heard(code), "expected {code}, got {:?}", w.world.trace.last());
    assert!(!w.heard("Accepted"));
}

#[test]
fn an_honest_start_is_accepted() {
    let (mut w, start) = before_a_job();
    w.say(0, ToAgent::RoundStart(start));
    // The plan of the new request differs from the old one's in nothing but its nonce, which is not part of the plan.
    assert!(w.heard("Accepted"), "{:?}", w.world.trace.last());
}

#[test]
fn a_replayed_request_is_refused_after_its_job() {
    let (mut w, job) = after_a_job();
    let mut start = w.last_start(0);
    start.at.slot += 1;
    refused_with(&mut w, start, codes::REPLAYED);
    assert_eq!(w.tokens(0, job), 1);
}

#[test]
fn a_replayed_attempt_is_refused_while_the_job_runs() {
    let mut w = Story::of(4, 1);
    let question = w.question();
    w.submit(question);
    w.until("site-00: Charged");
    let mut start = w.last_start(0);
    start.at.slot += 1;
    refused_with(&mut w, start, codes::TOKEN_USED);
}

#[test]
fn a_replay_is_refused_after_a_restart_too() {
    let mut w = Story::of(4, 1);
    let question = w.question();
    let job = w.submit(question);
    w.until("site-00: Charged");
    let mut start = w.last_start(0);
    w.participant(0).restart();
    w.run();
    w.wait(10_000);
    let live = w.world.coordinator.engine.as_ref().unwrap().epoch().unwrap();
    start.at = SlotId {
        epoch: live.epoch,
        slot: 9,
    };
    refused_with(&mut w, start, codes::TOKEN_USED);
    assert_eq!(w.tokens(0, job), 1);
}

#[test]
fn a_slot_serves_one_round() {
    let (mut w, start) = before_a_job();
    w.say(0, ToAgent::RoundStart(start.clone()));
    assert!(w.heard("Accepted"));
    w.say(
        0,
        ToAgent::RoundEnded {
            at: start.at,
            next: None,
        },
    );
    let mut again = start;
    again.attempt += 1;
    refused_with(&mut w, again, codes::OUT_OF_ORDER);
}

#[test]
fn no_request_gets_more_attempts_than_its_analyst_signed() {
    let (mut w, mut start) = before_a_job();
    start.attempt = 5;
    refused_with(&mut w, start.clone(), codes::REPLAYED);
    start.attempt = 0;
    start.round = 1;
    refused_with(&mut w, start, codes::REPLAYED);
}

#[test]
fn all_attempts_together_cost_what_the_request_allows_and_no_more() {
    let (mut w, mut start) = before_a_job();
    let job = start.job;
    w.world.requests.insert(job, (*start.request).clone());
    for attempt in 0..8 {
        start.attempt = attempt;
        start.at.slot += 1;
        w.say(0, ToAgent::RoundStart(start.clone()));
        w.wait(50);
    }
    w.world.checks.no_request_costs_more_than_it_says(1, 5);
    assert!(w.tokens(0, job) <= 5);
}

#[test]
fn another_plan_than_the_requests_is_refused() {
    let (mut w, mut start) = before_a_job();
    start.plan_hash[7] ^= 1;
    refused_with(&mut w, start, codes::OTHER_PLAN);
}

#[test]
fn a_state_that_does_not_fit_the_round_is_refused() {
    let mut w = Story::of(4, 1);
    let question = w.world.question(6);
    w.submit(question);
    w.until("RoundSummed");
    w.wait(100);
    let mut start = w.last_start(0);
    assert!(start.round > 0);
    start.previous = None;
    start.at.slot += 3;
    start.attempt += 1;
    refused_with(&mut w, start, codes::OTHER_PLAN);
}

#[test]
fn a_state_that_does_not_follow_from_the_sums_is_refused() {
    let next = || {
        let mut w = Story::of(4, 1);
        let question = w.world.question(6);
        w.submit(question);
        w.until("RoundSummed");
        w.wait(100);
        let mut start = w.last_start(0);
        assert!(start.round > 0);
        start.at.slot += 3;
        start.round += 1;
        (w, start)
    };
    let state: Wire = vec![7; 12].into();
    let bent = |start: &mut RoundStart, carried: Carried| {
        let previous = start.previous.as_mut().unwrap();
        previous.state_hash = Previous::hash_of(&state);
        previous.carried = carried;
    };
    let sum = || Carried::Sum {
        values: vec![1; 8 * 5].into(),
        contributors: 4,
    };
    // An agent that was there derives the state itself and compares.
    let (mut w, mut start) = next();
    bent(&mut start, sum());
    refused_with(&mut w, start, codes::OTHER_STATE);
    // Nor does it take a state where it can derive one.
    let (mut w, mut start) = next();
    bent(&mut start, Carried::State(state.clone()));
    refused_with(&mut w, start, codes::SUM_WANTED);
    // Nor does it plan for a cohort that no epoch could have.
    for (n, c, s_min) in [(0, 0, 0), (4, 3, 3), (4, 1, 5), (u32::MAX, 1, u32::MAX)] {
        let (mut w, mut start) = next();
        bent(&mut start, sum());
        start.previous.as_mut().unwrap().terms = CohortTerms { n, c, s_min };
        refused_with(&mut w, start, codes::OTHER_STATE);
    }
    // A sum is of no use two rounds on.
    let (mut w, mut start) = next();
    start.round += 1;
    bent(&mut start, sum());
    refused_with(&mut w, start, codes::NO_STATE);
    // And what came as a state has the hash that everybody signs.
    let (mut w, mut start) = next();
    start.round += 1;
    bent(&mut start, Carried::State(vec![8; 12].into()));
    refused_with(&mut w, start, codes::OTHER_STATE);
}

#[test]
fn a_smaller_cohort_than_the_threshold_is_refused() {
    let (mut w, mut start) = before_a_job();
    start.s_min = 2;
    refused_with(&mut w, start.clone(), codes::COHORT_TOO_SMALL);
    start.s_min = 5;
    refused_with(&mut w, start, codes::COHORT_TOO_SMALL);
}

#[test]
fn an_expired_request_is_refused() {
    let (mut w, start) = before_a_job();
    w.wait(3_700_000);
    let mut start = start;
    let live = w.world.coordinator.engine.as_ref().unwrap().epoch().unwrap();
    start.at = SlotId {
        epoch: live.epoch,
        slot: 9,
    };
    refused_with(&mut w, start, codes::REQUEST_REFUSED);
}

#[test]
fn a_request_that_the_analyst_did_not_sign_is_refused() {
    let (mut w, mut start) = before_a_job();
    let mut request: Request = serde_json::from_slice(&start.request.body).unwrap();
    request.epsilon = 2.0;
    let forged = SignedRequest {
        body: serde_json::to_vec(&request).unwrap(),
        signature: start.request.signature.clone(),
        event: start.request.event.clone(),
    };
    start.job = JobId::of(&forged.hash().0);
    start.request = forged.into();
    refused_with(&mut w, start, codes::REQUEST_REFUSED);
}

#[test]
fn a_job_that_is_not_the_requests_is_refused() {
    let (mut w, mut start) = before_a_job();
    start.job.0[0] ^= 1;
    refused_with(&mut w, start, codes::REQUEST_REFUSED);
}

#[test]
fn a_vector_without_noise_needs_the_owners_word() {
    let (mut w, mut start) = before_a_job();
    let mut request: Request = serde_json::from_slice(&start.request.body).unwrap();
    request.task = request.task.replace("1000", "0");
    let signed = w.world.consortium.signed(&request);
    let workload = w.world.consortium.participant(0, &Options::quiet(4, 1)).workloads[tests::plain::KIND].clone();
    let terms = engine::CohortTerms {
        n: 4,
        c: 1,
        s_min: start.s_min,
    };
    let plan = workload.plan(&request, &w.world.consortium.contract, &terms).unwrap();
    start.job = JobId::of(&signed.hash().0);
    start.request = signed.into();
    start.plan_hash = plan.hash().0;
    refused_with(&mut w, start, codes::WITHOUT_NOISE);
}

#[test]
fn a_round_without_noise_is_answered_once_or_two_sums_would_show_whoever_is_in_one() {
    let mut w = Story::with(Options {
        without_noise: true,
        ..Options::quiet(4, 1)
    });
    let mut question = w.world.question(20);
    question.task = question.task.replace("1000", "0");
    question.max_attempts = 5;
    w.submit(question);
    w.until("site-00: Charged");
    let mut start = w.last_start(0);
    start.at.slot += 1;
    start.attempt += 1;
    refused_with(&mut w, start, codes::WITHOUT_NOISE);
}

#[test]
fn a_round_without_noise_is_answered_once_by_an_agent_that_forgot_it_too() {
    let mut w = Story::with(Options {
        without_noise: true,
        ..Options::quiet(4, 1)
    });
    let mut question = w.world.question(1);
    question.task = question.task.replace("1000", "0");
    question.max_attempts = 5;
    let job = w.submit(question);
    w.until("site-00: Charged");
    let first = w.last_start(0);
    // The end of the job is said while it is down, and never again.
    w.world.crash_agent(0, Some(60_000));
    w.cancel(job);
    w.wait(120_000);
    let question = w.world.question(1);
    w.submit(question);
    w.run();
    let here = w.last_start(0);
    let mut again = first;
    (again.at, again.s_min, again.attempt) = (here.at, here.s_min, 1);
    again.at.slot += 1;
    refused_with(&mut w, again, codes::WITHOUT_NOISE);
}

#[test]
fn nothing_is_computed_and_nothing_leaves_without_a_cohort() {
    let (mut w, start) = before_a_job();
    let at = start.at;
    w.say(0, ToAgent::RoundStart(start));
    assert!(w.heard("Accepted"));
    let bounds = privacy::ComponentBounds::uniform(5, 0, 1).unwrap();
    let clipped = privacy::Clipped::clamp(vec![0; 5], &bounds).unwrap();
    let noised = clipped.add(privacy::NoiseBatch::none(5)).unwrap();
    w.world.tell_participant(0, Input::Computed { at, result: Ok(noised) });
    w.say(0, ToAgent::UploadGrant { at });
    w.wait(1_000);
    assert!(!w.world.trace.iter().any(|line| line.contains(&format!("{at}: vector"))));
}

#[test]
fn no_vector_leaves_for_a_run_that_was_ended_while_it_was_made() {
    let mut w = Story::with(Options {
        grants: true,
        ..Options::quiet(4, 1)
    });
    let question = w.world.question(6);
    let job = w.submit(question);
    w.until("site-00: Charged");
    let at = w.last_start(0).at;
    let request_hash = w.world.requests[&job].hash().0;
    w.say(0, ToAgent::JobEnded { job, request_hash });
    w.wait(1_000);
    w.say(0, ToAgent::UploadGrant { at });
    w.wait(1_000);
    let vector = format!("<- site-00 {at}: vector");
    assert!(
        !w.world.trace.iter().any(|line| line.contains(&vector)),
        "what no log would name"
    );
    assert!(
        w.world
            .trace
            .iter()
            .any(|line| line.contains(&vector.replace("00", "01")))
    );
}

#[test]
fn closing_a_job_early_gives_the_coordinator_no_second_try() {
    let (mut w, start) = before_a_job();
    w.say(0, ToAgent::RoundStart(start.clone()));
    w.say(
        0,
        ToAgent::JobEnded {
            job: start.job,
            request_hash: start.request.hash().0,
        },
    );
    let mut again = start;
    again.at.slot += 1;
    again.attempt += 1;
    refused_with(&mut w, again, codes::REPLAYED);
}
