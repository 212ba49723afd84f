//! Stories of limits and of forgetting: an owner that is asked too often, and words of a refusal whose time is over.

use engine::message::ToAgent;
use engine::participant::Participant;
use engine::{JobId, codes};
use governance::log::{Event, Kind, Rosters, SignedEvent, scan};
use tests::sim::{Options, Story};

const HOUR_MS: u64 = 3_600_000;

fn engine(w: &Story, place: usize) -> &Participant {
    w.world.participants[place].engine.as_ref().expect("it is up")
}

/// A question that was not asked before.
fn another(w: &mut Story, rounds: u32) -> governance::Request {
    let mut question = w.world.question(rounds);
    let noise = 1_000 + w.world.requests.len();
    question.task = question.task.replace("1000", &noise.to_string());
    question
}

fn events(w: &Story) -> Vec<Event> {
    let coordinator = w.world.coordinator.engine.as_ref().expect("it is up");
    let leaves = coordinator.books().log().leaves(0..u64::MAX);
    let parsed = leaves.map(|leaf| SignedEvent::parse(leaf.as_bytes()).unwrap());
    parsed.map(|event| event.event().clone()).collect()
}

/// How often words stand on an agent's disk.
fn on_disk(w: &Story, place: usize, words: &str) -> usize {
    let rows = w.world.participants[place].disk.rows();
    rows.iter().map(|row| row.json.matches(words).count()).sum()
}

#[test]
fn an_owner_lets_itself_be_asked_so_often_in_an_hour_and_a_run_of_many_rounds_is_asked_once() {
    let mut w = Story::with(Options {
        requests_per_hour: Some(2),
        ..Options::quiet(4, 1)
    });
    for rounds in [6, 1] {
        let question = another(&mut w, rounds);
        let job = w.submit(question);
        w.run();
        w.expect_released(job);
    }
    w.mark();
    let question = another(&mut w, 1);
    let tried = w.explain(&question).unwrap();
    for (agent, answer) in &tried.owners {
        let refused = answer.as_ref().unwrap().refused.as_ref();
        let code = refused.map(|refused| refused.code.as_str());
        assert_eq!(
            code,
            Some(codes::TOO_OFTEN),
            "{agent}: a trial says what a request would be told"
        );
    }
    let job = w.submit(question);
    w.run();
    w.expect_failed(job, codes::OWNERS_REFUSED);
    assert!(w.heard(codes::TOO_OFTEN));
    assert_eq!(w.tokens(0, job), 0, "whoever is refused pays nothing");
    // Half an hour brings one of two back, and trials took none.
    w.wait(HOUR_MS / 2);
    let question = another(&mut w, 1);
    assert!(
        w.explain(&question)
            .unwrap()
            .owners
            .iter()
            .all(|(_, answer)| answer.as_ref().unwrap().refused.is_none())
    );
    let job = w.submit(question);
    w.run();
    w.expect_released(job);
}

#[test]
fn words_of_a_refusal_are_erased_with_their_salt_and_the_leaf_that_commits_to_them_stays() {
    let mut w = Story::with(Options {
        keep_payloads_ms: Some(HOUR_MS),
        ..Options::quiet(4, 1)
    });
    let mut question = another(&mut w, 1);
    question.purpose = "marketing".to_owned();
    w.submit(question);
    w.run();
    let words = "[contract.purpose]";
    let (_, kept) = engine(&w, 0)
        .books()
        .log()
        .payloads()
        .next()
        .expect("a refusal has words");
    let (salt, commitment, leaf) = (kept.salt.to_string(), kept.commitment, kept.leaf.clone());
    assert_eq!((on_disk(&w, 0, words), on_disk(&w, 0, &salt)), (1, 1));
    let deletions = |w: &Story| {
        let all = events(w).into_iter().filter(|event| event.kind == Kind::Deletion);
        all.collect::<Vec<_>>()
    };
    w.wait(HOUR_MS / 2);
    assert_eq!(deletions(&w), []);

    w.wait(HOUR_MS / 2 + 10_000);
    for place in 0..4 {
        assert_eq!(engine(&w, place).books().log().payloads().count(), 0);
        assert_eq!((on_disk(&w, place, words), on_disk(&w, place, &salt)), (0, 0));
    }
    let said = deletions(&w);
    assert_eq!(said.len(), 4, "each owner says what it erased");
    assert!(said.iter().any(|event| event.references["deleted"] == commitment));
    let decided = events(&w);
    assert!(decided.iter().any(|event| event.payload == Some(commitment)));
    assert!(w.world.participants[0].disk.rows().iter().any(|row| {
        let json: serde_json::Value = serde_json::from_str(&row.json).unwrap();
        row.kind == "payload_erased" && json["leaf"] == leaf.as_str()
    }));
    let coordinator = w.world.coordinator.engine.as_ref().unwrap();
    let rosters: Vec<_> = coordinator.books().rosters().cloned().collect();
    let rosters = Rosters::open(&rosters, &w.world.consortium.governance.public()).unwrap();
    assert_eq!(scan(&decided, &rosters).findings, []);

    // Whoever starts again from the tombstone knows what it knew, and goes on.
    w.participant(0).restart();
    w.wait(10_000);
    assert!(engine(&w, 0).books().log().outbox().is_empty() && engine(&w, 0).log_trouble(w.world.now_ms).is_none());
    let question = another(&mut w, 1);
    let job = w.submit(question);
    w.run();
    assert_eq!(w.expect_released(job).receipt.contributors, 4);
}

/// Each erasure is said in the log, and of one agent a coordinator takes so many events an hour: what comes too fast would keep its other
/// words out, until the agent took the coordinator for one that drops them.
#[test]
fn however_many_words_are_due_at_once_they_are_erased_at_a_pace_that_the_log_takes() {
    const MANY: usize = 300;
    let mut w = Story::with(Options {
        keep_payloads_ms: Some(HOUR_MS),
        ..Options::quiet(4, 1)
    });
    let question = another(&mut w, 1);
    let job = w.submit(question);
    w.run();
    w.expect_released(job);
    let mut start = w.last_start(0);
    start.at.slot += 1;
    for _ in 0..MANY {
        let mut question = another(&mut w, 1);
        question.purpose = "marketing".to_owned();
        let signed = w.world.consortium.signed(&question);
        start.job = JobId::of(&signed.hash().0);
        start.request = signed.into();
        w.say(0, ToAgent::RoundStart(start.clone()));
    }
    let kept = |w: &Story| engine(w, 0).books().log().payloads().count();
    assert_eq!(kept(&w), MANY);
    w.wait(HOUR_MS - 1_000);
    assert_eq!(kept(&w), MANY);
    w.wait(11_000);
    let in_ten_seconds = MANY - kept(&w);
    assert!((80..=110).contains(&in_ten_seconds), "{in_ten_seconds}");
    let an_hour = engine::coordinator::Limits::default().agent_events_per_hour as usize;
    assert!(in_ten_seconds * 360 < an_hour * 6 / 10, "well below what is taken");
    w.wait(30_000);
    assert_eq!(kept(&w), 0);
    let deletions = events(&w).iter().filter(|event| event.kind == Kind::Deletion).count();
    assert_eq!(deletions, MANY);
    assert!(engine(&w, 0).log_trouble(w.world.now_ms).is_none() && engine(&w, 0).books().log().outbox().is_empty());
}
