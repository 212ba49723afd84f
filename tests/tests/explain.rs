//! Trials, told as stories: an analyst asks how every owner would decide a question. The way that is shown is a round's own, and nothing
//! else happens: no charge, no slot, no line in any log.

use engine::codes;
use engine::message::{ToAgent, ToCoordinator, Trial, TrialAnswer};
use engine::participant::Input;
use engine::{JobId, Refusal};
use governance::decision::path::Outcome;
use governance::{Analyst, ContentHash, Request, RequestError, SignedRequest, SignedTrial, SigningKey};
use tests::sim::acts::Decision;
use tests::sim::{Options, Story};

/// What an owner's books and the consortium's log hold.
fn all_that_is_durable(w: &Story) -> (Vec<usize>, Vec<String>, u64) {
    let disks = w.world.participants.iter().map(|node| node.disk.rows().len()).collect();
    let engines = w.world.participants.iter().map(|node| node.engine.as_ref().unwrap());
    let heads = engines.map(|engine| format!("{:?}", engine.books().ledger("people").map(|ledger| ledger.head())));
    let log = w.world.coordinator.engine.as_ref().unwrap().books().log().size();
    (disks, heads.collect(), log)
}

fn rules(answer: &TrialAnswer) -> Vec<&str> {
    answer.steps.iter().map(|step| step.rule.as_str()).collect()
}

/// What one owner says to a trial that reaches it, however it came.
fn tried(w: &mut Story, place: usize, request: &Request) -> TrialAnswer {
    let trial = w.world.consortium.trial(request);
    said(w, place, &trial)
}

fn said(w: &mut Story, place: usize, trial: &SignedTrial) -> TrialAnswer {
    let start = w.last_start(place);
    let trial = Trial {
        id: JobId::of(&trial.hash().0),
        trial: trial.clone().into(),
        epoch: start.at.epoch,
        s_min: start.s_min,
        timeout_ms: start.timeout_ms,
    };
    answer(w, place, trial)
}

fn answer(w: &mut Story, place: usize, trial: Trial) -> TrialAnswer {
    let now_ms = w.world.now_ms;
    let node = &mut w.world.participants[place];
    let input = Input::Message(ToAgent::Trial(trial));
    let step = node
        .engine
        .as_mut()
        .unwrap()
        .handle(now_ms, &mut engine::OsEntropy::default(), input);
    assert!(
        step.records.is_empty() && step.afterwards.is_empty(),
        "a trial is not remembered"
    );
    assert!(step.compute.is_none() && step.events.is_empty());
    let mut answers = step.envelopes.into_iter().map(|message| match message {
        ToCoordinator::TrialAnswer { answer, .. } => answer,
        _ => panic!("a trial is answered, and nothing else is said"),
    });
    answers.next().expect("a trial is answered")
}

/// What the same owner says to a round with the same question.
fn started(w: &mut Story, place: usize, request: &Request) -> Option<engine::Refused> {
    let signed = w.world.consortium.signed(request);
    let mut start = w.last_start(place);
    start.job = JobId::of(&signed.hash().0);
    start.request = signed.into();
    start.at.slot = 15;
    let now_ms = w.world.now_ms;
    let node = &mut w.world.participants[place];
    let input = Input::Message(ToAgent::RoundStart(start));
    let step = node
        .engine
        .as_mut()
        .unwrap()
        .handle(now_ms, &mut engine::OsEntropy::default(), input);
    step.envelopes.into_iter().find_map(|message| match message {
        ToCoordinator::Refuse { refused, .. } => Some(refused),
        _ => None,
    })
}

/// A consortium that has answered once, so that an epoch serves and every line of a ledger is open.
fn answered_once(options: Options) -> Story {
    let mut w = Story::with(options);
    let question = w.question();
    let job = w.submit(question);
    w.run();
    w.expect_released(job);
    w
}

#[test]
fn the_way_of_an_allowed_question_is_shown_and_nothing_happens() {
    let mut w = answered_once(Options::quiet(4, 1));
    // Of two rounds: the same question as before would be answered without any.
    let (question, slot) = (w.world.question(2), w.last_start(0).at.slot);
    let before = all_that_is_durable(&w);
    let explained = w.explain(&question).unwrap();
    assert_eq!(explained.owners.len(), 4);
    for (agent, answer) in &explained.owners {
        let answer = answer.as_ref().unwrap_or_else(|| panic!("{agent} answers"));
        assert_eq!(answer.refused, None, "{agent}");
        assert_eq!(
            rules(answer),
            [
                "signature",
                "log",
                "fresh",
                "served",
                "cohort",
                "plan",
                "noise",
                "contract",
                "suspended",
                "local.list",
                "contract.purpose",
                "local.column",
                "policy",
                "consent",
                "budget"
            ]
        );
        assert!(answer.steps.iter().all(|step| step.outcome == Outcome::Passed));
    }
    assert_eq!(all_that_is_durable(&w), before, "no charge, no decision, no leaf");
    // The very same words, asked in earnest, are another signature and take the next slots, one a round.
    let job = w.submit(question);
    w.run();
    w.expect_released(job);
    assert_eq!(w.last_start(0).at.slot, slot + 2, "the trial used no slot");
}

#[test]
fn an_owner_says_to_a_trial_what_it_says_to_a_round() {
    let mut w = answered_once(Options::quiet(4, 1));
    let fine = w.question();
    let contract = governance::ContentHash::of("test", &[b"another contract"]);
    let cases = [
        (
            Request {
                purpose: "marketing".into(),
                ..fine.clone()
            },
            codes::RULES,
            "contract.purpose",
        ),
        (
            Request {
                contract,
                ..fine.clone()
            },
            codes::NOT_SERVED,
            "served",
        ),
        (
            Request {
                kind: "poetry".into(),
                ..fine.clone()
            },
            codes::UNKNOWN_KIND,
            "plan",
        ),
        (w.world.question(1_000_000), codes::BUDGET, "budget"),
    ];
    for (question, code, rule) in cases {
        let answer = tried(&mut w, 0, &question);
        let refused = answer
            .refused
            .clone()
            .unwrap_or_else(|| panic!("{rule}: expected a refusal"));
        assert_eq!((refused.code.as_str(), *rules(&answer).last().unwrap()), (code, rule));
        assert_eq!(answer.steps.last().unwrap().outcome, Outcome::Refused);
        assert!(refused.remedy.is_some(), "{rule}: a refusal says what helps");
        // A round is refused for its plan first where the coordinator's is another one: what the budget says comes after it.
        let real = started(&mut w, 0, &question).expect("a round is refused as well");
        assert!(rule == "budget" || real == refused, "{rule}: {real} and {refused}");
    }
    w.participant(0).pause();
    w.wait(2_000); // the connection that carried the answer before was cut, and is dialled again
    let answer = tried(&mut w, 0, &fine);
    assert_eq!(
        answer.refused.clone().map(|refused| refused.code).as_deref(),
        Some(codes::PAUSED)
    );
    assert_eq!(started(&mut w, 0, &fine), answer.refused);
}

#[test]
fn the_way_names_the_grant_and_a_revoked_one_refuses_at_its_owner_alone() {
    let mut w = Story::with(Options {
        by_grant: true,
        ..Options::quiet(4, 1)
    });
    let question = w.question();
    for (agent, answer) in w.explain(&question).unwrap().owners {
        let answer = answer.unwrap_or_else(|| panic!("{agent} answers"));
        assert_eq!(*rules(&answer).last().unwrap(), "grant.none");
        assert_eq!(
            answer.refused.map(|refused| refused.code).as_deref(),
            Some(codes::NO_GRANT)
        );
    }
    w.world.decide(0, Decision::Ask);
    w.wait(2_000);
    let grant = w.world.newest_grant().unwrap();
    let before = all_that_is_durable(&w);
    let question = w.question();
    for (agent, answer) in w.explain(&question).unwrap().owners {
        let answer = answer.unwrap_or_else(|| panic!("{agent} answers"));
        assert_eq!(answer.refused, None, "{agent}");
        let step = answer.steps.iter().find(|step| step.rule == "grant").unwrap();
        assert!(step.detail.contains(&grant.to_string()), "{}", step.detail);
    }
    assert_eq!(
        all_that_is_durable(&w),
        before,
        "not even the grant's line of the ledger was opened"
    );
    w.world.revoke_here(3);
    w.wait(1_000);
    let question = w.question();
    let explained = w.explain(&question).unwrap();
    let last = |place: usize| {
        let answer = explained.owners[place].1.as_ref().unwrap();
        rules(answer).last().unwrap().to_string()
    };
    assert_eq!((last(0), last(3)), ("budget".to_owned(), "grant.revoked".to_owned()));
}

#[test]
fn a_trial_is_no_request_and_a_request_is_no_trial() {
    let mut w = answered_once(Options::quiet(4, 1));
    let question = w.question();
    let short = Request {
        expires_at_ms: question.issued_at_ms + 60_000,
        ..question.clone()
    };
    let (trial, signed) = (w.world.consortium.trial(&short), w.world.consortium.signed(&short));
    let as_request = SignedRequest {
        body: trial.body.clone(),
        signature: trial.signature.clone(),
        event: signed.event.clone(),
    };
    let (roster, now_ms) = (w.world.consortium.roster.clone(), w.world.now_ms);
    assert_eq!(
        as_request.verify(&roster, now_ms),
        Err(RequestError::Signature("ada".into()))
    );
    let as_trial = SignedTrial {
        body: signed.body.clone(),
        signature: signed.signature.clone(),
    };
    let answer = said(&mut w, 0, &as_trial);
    assert_eq!(
        answer.refused.map(|refused| refused.code).as_deref(),
        Some(codes::REQUEST_REFUSED)
    );
    assert!(answer.steps.is_empty(), "whoever signed nothing learns nothing");
    // The same key under a name that no roster holds, an old trial, and one that would last.
    let stranger = Request {
        analyst: "eve".into(),
        ..short.clone()
    };
    assert!(tried(&mut w, 0, &stranger).steps.is_empty());
    let stale = w.world.consortium.trial(&short);
    w.world.now_ms += governance::request::MAX_TRIAL_MS;
    assert!(said(&mut w, 0, &stale).steps.is_empty());
    let lasting = question.sign_trial(&w.world.consortium.analyst);
    assert!(matches!(lasting, Err(RequestError::TrialLifetime(_))), "{lasting:?}");
}

#[test]
fn an_analyst_tries_so_many_questions_in_a_minute_and_no_more() {
    let mut w = answered_once(Options::quiet(4, 1));
    let most = engine::participant::Limits::default().trials_per_minute;
    // From the beginning of a minute.
    w.world.now_ms += 60_000 - w.world.now_ms % 60_000;
    let end = w.world.participants[0].engine.as_ref().unwrap().books().heard().place();
    w.say(0, ToAgent::Heartbeat(end));
    for _ in 0..most {
        let question = w.question();
        assert_eq!(tried(&mut w, 0, &question).refused, None);
    }
    let question = w.question();
    let answer = tried(&mut w, 0, &question);
    assert_eq!(
        answer.refused.map(|refused| refused.code).as_deref(),
        Some(codes::TRIALS)
    );
    assert!(answer.steps.is_empty());
    w.world.now_ms += 60_000;
    w.say(0, ToAgent::Heartbeat(end));
    let question = w.question();
    assert_eq!(tried(&mut w, 0, &question).refused, None);
}

#[test]
fn of_a_budget_that_is_not_shown_only_the_own_part_is_told() {
    let mut w = answered_once(Options::quiet(4, 1));
    let mut datasets = w.world.participants[0].engine.as_ref().unwrap().datasets().to_vec();
    datasets[0].show_budget = false;
    w.world.tell_participant(0, Input::Datasets(datasets));
    let question = w.question();
    let answer = tried(&mut w, 0, &question);
    let budget = answer.steps.last().unwrap();
    assert_eq!((budget.rule.as_str(), budget.outcome), ("budget", Outcome::Untold));
    assert!(!budget.detail.contains("epsilon"), "no figure: {}", budget.detail);
    let dear = w.world.question(1_000_000);
    let refused = tried(&mut w, 0, &dear).refused.unwrap();
    assert_eq!(
        (refused.code.as_str(), refused.message.as_str()),
        (codes::BUDGET, "the budget does not cover this question")
    );
}

#[test]
fn an_owner_that_is_silent_or_leaves_holds_nobody_up_and_a_third_trial_waits() {
    let mut w = answered_once(Options::quiet(5, 1));
    w.participant(4).hang();
    let question = w.question();
    let explained = w.explain(&question).unwrap();
    let silent: Vec<&str> = explained
        .owners
        .iter()
        .filter(|(_, said)| said.is_none())
        .map(|(agent, _)| agent.as_str())
        .collect();
    assert_eq!(silent, ["site-04"]);
    let open = |w: &mut Story| {
        let question = w.question();
        let trial = w.world.consortium.trial(&question);
        w.world
            .tell_coordinator(engine::coordinator::Input::Explain(trial))
            .unwrap()
    };
    assert!(open(&mut w).is_ok() && open(&mut w).is_ok());
    let third: Result<JobId, Refusal> = open(&mut w);
    assert_eq!(third.unwrap_err().code, codes::TRIALS_OPEN);
    w.participant(4).leave();
    w.wait(1_000);
    assert!(open(&mut w).is_ok(), "who left is not waited for");
}

/// One organisation may have many analysts, and one owner may be silent: whoever asks besides them is heard all the same.
#[test]
fn trials_of_one_organisation_keep_nobody_elses_out() {
    const MANY: u8 = 40;
    let mut w = answered_once(Options::quiet(4, 1));
    let key = |n: u8| SigningKey::from_seed(&[100 + n; 32]).unwrap();
    let analyst = |n: u8| Analyst {
        id: format!("analyst-{n}"),
        organisation: if n < MANY { "university" } else { "clinic" }.to_owned(),
        key: key(n).public(),
        tls_key: ContentHash([100 + n; 32]),
    };
    w.world.govern(|roster| roster.analysts.extend((0..=MANY).map(analyst)));
    w.wait(10_000);
    let open = |w: &mut Story, n: u8| {
        let question = w.question();
        let question = Request {
            analyst: format!("analyst-{n}"),
            expires_at_ms: question.issued_at_ms + governance::request::MAX_TRIAL_MS,
            ..question
        };
        let trial = question.sign_trial(&key(n)).unwrap();
        w.world
            .tell_coordinator(engine::coordinator::Input::Explain(trial))
            .unwrap()
    };
    let mut asked: Vec<Result<JobId, Refusal>> = Vec::new();
    for n in 0..MANY {
        asked.extend([open(&mut w, n), open(&mut w, n)]);
    }
    assert_eq!(asked.iter().filter(|asked| asked.is_ok()).count(), 8);
    let refused = asked.pop().unwrap().unwrap_err();
    assert_eq!(refused.code, codes::TRIALS_OPEN, "{}", refused.message);
    let other = open(&mut w, MANY);
    assert!(other.is_ok(), "{other:?}");
}
