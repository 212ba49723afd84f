//! Who may spend more: a cap is raised by two signatures over that very step, and by nothing else that a configuration can say.

use engine::approval::Change;
use engine::codes;
use governance::SigningKey;
use privacy::Ledger;
use tests::sim::{ANALYST, Options, Story};

fn story() -> Story {
    Story::with(Options {
        budget: 10,
        ..Options::quiet(4, 1)
    })
}

fn ledger<'a>(w: &'a Story, population: &str) -> Option<&'a Ledger> {
    w.world.participants[0]
        .engine
        .as_ref()
        .unwrap()
        .books()
        .ledger(population)
}

/// Of everybody together and of whoever has no line.
fn caps(w: &Story) -> (f64, f64) {
    let ledger = ledger(w, "people").unwrap();
    let (whole, everybody) = (ledger.cap().unwrap(), ledger.analyst_cap("*").unwrap());
    (whole.epsilon(), everybody.epsilon())
}

fn restarted(w: &mut Story, budget: u32) {
    w.world.options.budget = budget;
    w.mark();
    w.participant(0).restart();
    w.wait(10_000);
}

fn unapproved(w: &Story) -> Vec<&'static str> {
    let engine = w.world.participants[0].engine.as_ref().unwrap();
    engine.unapproved().iter().map(|refusal| refusal.code).collect()
}

#[test]
fn a_cap_is_raised_by_two_signatures_and_each_raise_by_new_ones() {
    let mut w = story();
    assert_eq!(caps(&w), (10.0, 10.0), "the first caps stand on names");

    restarted(&mut w, 20);
    assert_eq!(caps(&w), (10.0, 10.0), "the names of the first caps raise none");
    assert!(w.heard(codes::CAP_UNAPPROVED));
    assert_eq!(unapproved(&w), [codes::CAP_UNAPPROVED; 2]);

    let of_one = w.participant(0).to_be_approved(&[0, 0]);
    w.world.consortium.approvals = vec![of_one];
    restarted(&mut w, 20);
    assert_eq!(caps(&w), (10.0, 10.0), "one person twice is one person");

    let of_two = w.participant(0).to_be_approved(&[0, 1]);
    w.world.consortium.approvals = vec![of_two.clone()];
    restarted(&mut w, 21);
    assert_eq!(caps(&w), (10.0, 10.0), "they signed another figure");
    restarted(&mut w, 20);
    assert_eq!(caps(&w), (20.0, 20.0));
    assert!(unapproved(&w).is_empty());
    let by = ledger(&w, "people").unwrap().cap_approvals(None).to_vec();
    assert_eq!(by.len(), 2);
    assert!(
        by[0].contains('(') && by.iter().any(|name| name.starts_with("owner (")),
        "{by:?}"
    );
    // It is as durable as the ledger, and whoever opened a line at the old figure has the new one.
    restarted(&mut w, 20);
    assert_eq!(caps(&w), (20.0, 20.0));
    let kept = w.world.participants[0].disk.rows();
    assert_eq!(kept.iter().filter(|row| row.kind == "approved").count(), 1);

    // Lowered by anybody, at once; what was signed for the way up before is no way up now.
    restarted(&mut w, 10);
    assert_eq!(caps(&w), (10.0, 10.0));
    restarted(&mut w, 20);
    assert_eq!(caps(&w), (10.0, 10.0));
    assert_eq!(unapproved(&w), [codes::CAP_UNAPPROVED; 2]);
    // Nor for another agent of the same people.
    w.participant(1).restart();
    w.wait(10_000);
    let other = w.world.participants[1].engine.as_ref().unwrap();
    assert_eq!(other.books().ledger("people").unwrap().cap().unwrap().epsilon(), 10.0);
    assert_eq!(other.unapproved().len(), 2);
}

#[test]
fn an_analyst_s_line_follows_everybody_s_when_two_people_raise_that() {
    let mut w = story();
    let question = w.question();
    let job = w.submit(question);
    w.run();
    w.expect_released(job);
    let line = |w: &Story| {
        let ledger = ledger(w, "people").unwrap();
        ledger.analyst_cap(ANALYST).unwrap().epsilon()
    };
    assert_eq!(line(&w), 10.0);
    restarted(&mut w, 20);
    assert_eq!(line(&w), 10.0);
    let approval = w.participant(0).to_be_approved(&[1, 0]);
    w.world.consortium.approvals = vec![approval];
    restarted(&mut w, 20);
    assert_eq!(line(&w), 20.0);
    restarted(&mut w, 5);
    assert_eq!(line(&w), 5.0);
}

#[test]
fn whoever_writes_the_configuration_alone_opens_no_budget_and_puts_nobody_on_the_list() {
    let mut w = story();
    // Keys of their own, in the file and under a proposal.
    let ours = std::mem::replace(
        &mut w.world.consortium.approvers,
        [("eve", 0x1a), ("mallory", 0x1b)]
            .map(|(name, seed)| (name, SigningKey::from_seed(&[seed; 32]).unwrap()))
            .into(),
    );
    w.world.options.budget = 20;
    let forged = w.participant(0).to_be_approved(&[0, 1]);
    let listed = |change: &Change| matches!(change, Change::Approvers { .. });
    assert!(forged.proposal.changes.iter().any(listed), "{forged:?}");
    w.world.consortium.approvals = vec![forged];
    restarted(&mut w, 20);
    assert_eq!(caps(&w), (10.0, 10.0));
    assert!(w.heard(codes::LIST_UNAPPROVED) && unapproved(&w).contains(&codes::LIST_UNAPPROVED));
    // The same people under another name have no second budget.
    w.world.consortium.population = "patients".to_owned();
    restarted(&mut w, 20);
    assert!(ledger(&w, "patients").is_none());
    let question = w.world.question(2);
    let job = w.submit(question);
    w.run();
    assert!(w.heard(codes::BUDGET));
    assert_eq!(w.tokens(0, job), 0);

    // Two of the list put others in their place; from then on those sign.
    w.world.consortium.population = "people".to_owned();
    w.world.options.budget = 10;
    let new = std::mem::replace(&mut w.world.consortium.approvers, ours);
    let mut approval = w.participant(0).to_be_approved(&[]);
    assert_eq!(approval.proposal.changes, [], "the configuration is as it was");
    let ours = std::mem::replace(&mut w.world.consortium.approvers, new);
    approval = w.participant(0).to_be_approved(&[]);
    ours.iter().for_each(|(_, key)| approval.sign(key).unwrap());
    w.world.consortium.approvals = vec![approval];
    restarted(&mut w, 10);
    assert!(unapproved(&w).is_empty());
    w.world.options.budget = 20;
    let approval = w.participant(0).to_be_approved(&[0, 1]);
    w.world.consortium.approvals.push(approval);
    restarted(&mut w, 20);
    assert_eq!(caps(&w), (20.0, 20.0));
}
