//! What a consortium does, told as stories in virtual time: real masks, real ledgers, a quiet network unless the story says otherwise.

use engine::codes;
use tests::plain;
use tests::sim::{Options, Story};

fn ones(release: &engine::Release) -> Vec<i64> {
    let body: plain::Body = serde_json::from_str(&release.body).unwrap();
    body.sum[..body.sum.len() - 1].to_vec()
}

#[test]
fn four_owners_answer_together() {
    let mut w = Story::of(4, 1);
    let question = w.question();
    let job = w.submit(question);
    w.run();
    let release = w.expect_released(job);
    assert_eq!(ones(&release), [1, 1, 1, 1]);
    assert_eq!(
        (
            release.receipt.contributors,
            release.receipt.s_min,
            release.receipt.attempts
        ),
        (4, 3, 1)
    );
    assert_eq!(w.tokens(0, job), 1);
    let epsilon = release.receipt.epsilon.unwrap();
    assert!(
        (0.05..0.3).contains(&epsilon),
        "two shares of variance 1000 on one count: {epsilon}"
    );
}

#[test]
fn an_owner_that_dies_with_its_vector_half_made_is_left_out() {
    let mut w = Story::of(5, 1);
    let question = w.question();
    let job = w.submit(question);
    w.until("Charged");
    w.participant(4).crash();
    w.run();
    let release = w.expect_released(job);
    assert_eq!(ones(&release), [1, 1, 1, 1, 0]);
    assert_eq!((release.receipt.cohort, release.receipt.attempts), (5, 1));
}

#[test]
fn an_owner_that_dies_after_sending_is_in_the_sum_all_the_same() {
    let mut w = Story::of(5, 1);
    let question = w.question();
    let job = w.submit(question);
    w.until("survivors");
    w.participant(2).crash();
    w.run();
    assert_eq!(ones(&w.expect_released(job)), [1, 1, 1, 1, 1]);
}

#[test]
fn the_coordinator_dies_in_a_query_and_answers_after_its_restart() {
    let mut w = Story::of(4, 1);
    let question = w.question();
    let job = w.submit(question);
    w.until("vector");
    w.world.crash_coordinator(Some(500));
    w.run();
    let release = w.expect_released(job);
    assert!(
        release.receipt.contributors >= 3,
        "whoever was back when the new epoch was made"
    );
    assert_eq!(release.receipt.attempts, 2);
    assert!((0..4).all(|place| w.tokens(place, job) <= 2));
}

#[test]
fn a_run_goes_on_from_its_last_round_after_the_coordinator_died() {
    let mut w = Story::of(4, 1);
    let question = w.world.question(12);
    let job = w.submit(question);
    for _ in 0..5 {
        w.until("RoundSummed");
    }
    w.world.crash_coordinator(Some(500));
    w.run();
    let release = w.expect_released(job);
    let body: plain::Body = serde_json::from_str(&release.body).unwrap();
    assert_eq!(
        (body.rounds, release.receipt.rounds),
        (12, 12),
        "no round was lost and none was done twice"
    );
    assert!((0..4).all(|place| w.tokens(place, job) <= 13));
}

#[test]
fn a_run_goes_on_when_half_of_its_owners_restart_in_it() {
    let mut w = Story::of(4, 1);
    let question = w.world.question(200);
    let job = w.submit(question);
    for _ in 0..45 {
        w.until("RoundSummed");
    }
    w.participant(1).restart();
    w.participant(2).restart();
    w.run();
    let release = w.expect_released(job);
    assert_eq!(release.receipt.rounds, 200);
    // What a crash left set aside, and the attempts that failed, are charged and no more.
    assert!((0..4).all(|place| w.tokens(place, job) <= 204));
}

#[test]
fn a_run_goes_on_without_the_owner_that_left_and_with_it_when_it_is_back() {
    let mut w = Story::with(Options {
        slots: 64,
        ..Options::quiet(5, 1)
    });
    let question = w.world.question(60);
    let job = w.submit(question);
    for _ in 0..5 {
        w.until("RoundSummed");
    }
    w.participant(1).restart();
    w.run();
    let release = w.expect_released(job);
    assert_eq!(ones(&release), [1, 1, 1, 1, 1], "it was back for the last round");
    assert!(w.tokens(1, job) < 60 && w.tokens(0, job) >= 60);
}

#[test]
fn the_next_epoch_is_ready_before_the_last_slot_is_used() {
    let mut w = Story::with(Options {
        slots: 8,
        ..Options::quiet(4, 1)
    });
    let question = w.world.question(40);
    let job = w.submit(question);
    w.run();
    let release = w.expect_released(job);
    assert_eq!((release.receipt.rounds, release.receipt.attempts), (40, 1));
}

#[test]
fn the_same_question_again_is_free_and_says_so() {
    let mut w = Story::of(4, 1);
    let (first, second) = w.answered_twice();
    let (first, second) = (w.expect_released(first), w.expect_released(second));
    assert_eq!(second.body, first.body);
    assert_eq!(second.receipt.epsilon_charged, Some(0.0));
    assert!((0..4).all(|place| w.tokens(place, second.id) == 0));
}

#[test]
fn the_same_question_for_another_purpose_is_another_question() {
    let mut w = Story::of(4, 1);
    let question = w.question();
    let first = w.submit(question);
    w.run();
    let mut question = w.question();
    question.purpose = "planning".to_owned();
    let second = w.submit(question);
    w.run();
    assert_eq!(
        w.expect_released(second).receipt.repeated,
        None,
        "other people may consent to it"
    );
    assert!((0..4).all(|place| w.tokens(place, second) == 1 && w.tokens(place, first) == 1));
}

#[test]
fn the_same_request_twice_is_one_job() {
    let mut w = Story::of(4, 1);
    let question = w.question();
    let job = w.submit(question.clone());
    w.run();
    assert_eq!(w.submit(question), job);
    w.wait(5_000);
    assert_eq!(w.tokens(0, job), 1);
}

#[test]
fn too_few_owners_online_is_said_and_costs_nothing() {
    let mut w = Story::of(4, 1);
    w.participant(0).leave();
    w.participant(1).leave();
    w.wait(2_000);
    let question = w.question();
    let job = w.submit(question);
    w.run();
    w.expect_failed(job, codes::TOO_FEW);
    assert!((2..4).all(|place| w.tokens(place, job) == 0));
}

#[test]
fn a_paused_owner_is_not_asked_and_the_others_answer() {
    let mut w = Story::of(4, 1);
    w.participant(3).pause();
    w.wait(1_000);
    let question = w.question();
    let job = w.submit(question);
    w.run();
    assert_eq!(ones(&w.expect_released(job)), [1, 1, 1, 0]);
}

#[test]
fn a_pause_in_the_middle_of_a_round_keeps_the_vector_at_home() {
    let mut w = Story::of(4, 1);
    let question = w.question();
    let job = w.submit(question);
    w.until("site-03: Charged");
    w.participant(3).pause();
    w.run();
    assert_eq!(ones(&w.expect_released(job)), [1, 1, 1, 0]);
    assert_eq!(w.tokens(3, job), 1, "what was charged stays charged");
}

/// What the operator was told is stopped is not on its way either.
#[test]
fn a_pause_takes_back_what_the_connection_still_holds() {
    let mut w = Story::of(4, 1);
    let question = w.question();
    let job = w.submit(question);
    w.until("site-03: Sent");
    w.participant(3).pause();
    assert!(w.heard("severs its connection"), "{:?}", w.world.trace.last());
    w.run();
    assert_eq!(ones(&w.expect_released(job)), [1, 1, 1, 0]);
    // It dialled again, and says that it is paused; where nothing is carried nothing is cut.
    w.mark();
    w.participant(3).pause();
    w.wait(1_000);
    assert!(!w.heard("severs its connection"));
    let question = w.world.question(2);
    let job = w.submit(question);
    w.run();
    assert_eq!(w.expect_released(job).receipt.contributors, 3);
}

#[test]
fn a_spent_budget_says_whose_it_is_and_what_is_left() {
    let mut w = Story::with(Options {
        budget: 1,
        ..Options::quiet(3, 1)
    });
    let question = w.world.question(2_000);
    let job = w.submit(question);
    w.run();
    let message = w.expect_failed(job, codes::OWNERS_REFUSED);
    assert!(message.contains("budget exhausted for population people"), "{message}");
    assert!(message.contains("nothing was charged"), "{message}");
    assert!((0..3).all(|place| w.tokens(place, job) == 0));
}

#[test]
fn a_run_that_ends_early_gives_its_untouched_tokens_back() {
    let mut w = Story::of(4, 1);
    let question = w.world.question(100);
    let job = w.submit(question);
    for _ in 0..10 {
        w.until("RoundSummed");
    }
    w.cancel(job);
    w.wait(5_000);
    w.expect_failed(job, codes::CANCELLED);
    let ledger = w.world.participants[0]
        .engine
        .as_ref()
        .unwrap()
        .books()
        .ledger("people")
        .unwrap();
    assert!(ledger.summary(0).open.is_empty(), "nothing stays reserved");
    assert!((10..=12).contains(&w.tokens(0, job)));
}

#[test]
fn nobody_else_reads_a_release() {
    let mut w = Story::of(4, 1);
    let question = w.question();
    let job = w.submit(question);
    w.run();
    let engine = w.world.coordinator.engine.as_ref().unwrap();
    assert!(engine.release(&job, "ada").is_some());
    assert!(engine.release(&job, "eve").is_none());
    assert!(engine.job(&job, "eve").is_none());
}

#[test]
fn large_vectors_wait_for_a_grant_and_four_are_on_their_way_at_most() {
    let mut w = Story::with(Options {
        grants: true,
        ..Options::quiet(7, 2)
    });
    let question = w.question();
    let job = w.submit(question);
    w.run();
    assert_eq!(ones(&w.expect_released(job)), [1; 7]);
    let mut out = 0_i32;
    for line in &w.world.trace {
        out += i32::from(line.contains(": grant")) - i32::from(line.contains(": vector"));
        assert!(out <= 4, "{line}");
    }
}

#[test]
fn with_a_tick_every_vector_leaves_at_the_same_instant() {
    let mut w = Story::with(Options {
        tick_ms: Some(1_000),
        ..Options::quiet(4, 1)
    });
    let question = w.question();
    let job = w.submit(question);
    w.run();
    w.expect_released(job);
    let sent: Vec<u64> = w
        .world
        .trace
        .iter()
        .filter(|line| line.contains(": Sent"))
        .map(|line| line.split_whitespace().next().unwrap().parse::<u64>().unwrap())
        .collect();
    assert_eq!(sent.len(), 4);
    assert!(sent.iter().all(|at_ms| at_ms % 1_000 == 0), "{sent:?}");
}

#[test]
fn a_tick_that_the_round_does_not_wait_for_is_refused_before_anything_is_reserved() {
    let mut w = Story::with(Options {
        tick_ms: Some(200_000),
        ..Options::quiet(4, 1)
    });
    let question = w.question();
    let job = w.submit(question);
    w.run();
    w.expect_failed(job, codes::OWNERS_REFUSED);
    assert!((0..4).all(|place| w.tokens(place, job) == 0));
}

#[test]
fn an_owner_whose_files_changed_is_not_asked_and_not_charged() {
    let mut w = Story::of(4, 1);
    w.participant(3).serve_nothing();
    let question = w.question();
    let job = w.submit(question);
    w.run();
    assert_eq!(ones(&w.expect_released(job)), [1, 1, 1, 0]);
    assert_eq!((w.tokens(2, job), w.tokens(3, job)), (1, 0));
}

#[test]
fn an_agent_that_comes_late_is_in_the_next_epoch() {
    let mut w = Story::of(4, 1);
    w.participant(3).leave();
    w.wait(3_000);
    let question = w.question();
    let job = w.submit(question);
    w.run();
    assert_eq!(ones(&w.expect_released(job)), [1, 1, 1, 0]);
    w.world.heal();
    w.wait(10_000);
    let question = w.question();
    let job = w.submit(question);
    w.run();
    assert_eq!(ones(&w.expect_released(job)), [1, 1, 1, 1]);
}

#[test]
fn a_blink_of_the_network_does_not_cost_the_epoch() {
    let mut w = Story::of(4, 1);
    w.participant(2).blink(100);
    w.wait(5_000);
    assert!(
        !w.world
            .trace
            .iter()
            .any(|line| line.contains("EpochOpening { epoch: 2"))
    );
    let question = w.question();
    let job = w.submit(question);
    w.run();
    assert_eq!(ones(&w.expect_released(job)), [1, 1, 1, 1]);
}

#[test]
fn an_agent_that_leaves_in_the_middle_of_every_setup_does_not_hold_the_others_up() {
    let mut w = Story::of(5, 1);
    w.participant(4).restart();
    for _ in 0..6_000 {
        w.mark();
        w.wait(10);
        if w.heard("EpochOpening") {
            w.participant(4).restart();
        }
    }
    // The second time it stays on the bench for a minute.
    let voided = w.world.trace.iter().filter(|line| line.contains("EpochVoid")).count();
    assert_eq!(voided, 2, "setups lost in a minute");
    let question = w.question();
    let job = w.submit(question);
    w.run();
    assert_eq!(ones(&w.expect_released(job))[..4], [1; 4]);
}

#[test]
fn a_hanging_owner_holds_up_one_round_and_not_the_run() {
    let mut w = Story::with(Options {
        slots: 64,
        ..Options::quiet(5, 1)
    });
    let question = w.world.question(20);
    let job = w.submit(question);
    for _ in 0..3 {
        w.until("RoundSummed");
    }
    let before_ms = w.world.now_ms;
    w.participant(4).hang();
    w.run();
    let release = w.expect_released(job);
    assert_eq!((release.receipt.rounds, release.receipt.contributors), (20, 4));
    let took_ms = w.world.now_ms - before_ms;
    assert!(took_ms < 100_000, "one collect deadline, not seventeen: {took_ms} ms");
}

#[test]
fn a_token_that_was_set_aside_in_one_month_is_not_what_the_next_is_charged_with() {
    // A month of beats would be half a million messages.
    let mut w = Story::with(Options {
        beat_ms: 3_600_000,
        ..Options::quiet(4, 1)
    });
    let last_day_ms = 31 * 24 * 3_600_000 - 10_000; // the world begins on the first of January
    w.wait(last_day_ms);
    let question = w.world.question(100);
    let job = w.submit(question);
    w.run();
    let release = w.expect_released(job);
    assert_eq!(release.receipt.rounds, 100);
    // The round that begins in February is charged in February; the token that January set aside for it is lost, unless the vector
    // before it left after midnight.
    let tokens: Vec<u32> = (0..4).map(|place| w.tokens(place, job)).collect();
    assert!(
        tokens.contains(&101) && tokens.iter().all(|used| (100..=101).contains(used)),
        "{tokens:?}"
    );
}

#[test]
fn a_straggler_costs_a_run_seconds_and_not_its_whole_patience_in_every_round() {
    let mut w = Story::with(Options {
        slots: 64,
        ..Options::quiet(5, 1)
    });
    let question = w.world.question(40);
    let job = w.submit(question);
    for _ in 0..3 {
        w.until("RoundSummed");
    }
    let before_ms = w.world.now_ms;
    w.participant(4).slow_down();
    w.run();
    let release = w.expect_released(job);
    assert_eq!((release.receipt.rounds, release.receipt.contributors), (40, 4));
    let took_ms = w.world.now_ms - before_ms;
    assert!(
        took_ms < 60_000,
        "its first vector would have taken 50 s, and each after it: {took_ms} ms"
    );
}
