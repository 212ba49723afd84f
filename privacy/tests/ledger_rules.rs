//! The ledger's rules, one story each.

#[path = "common/population.rs"]
mod population;

use population::{DAY_MS, charge, id, start, story, two_people};
use privacy::ledger::{Broken, Ledger, Refusal};
use privacy::{Cap, Charge, Entry, PopulationId, Renewal};

#[test]
fn absent_means_zero_and_says_whose() {
    let ledger = Ledger::new(PopulationId::new("patients"));
    let refusal = ledger.reserve(0, id(1), "ada", &charge(0), 1).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "no budget for population patients: an absent cap counts as zero"
    );
    let refusal = start(Renewal::Never)
        .reserve(0, id(1), "nobody", &charge(0), 1)
        .unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "no budget for analyst nobody: an absent cap counts as zero"
    );
}

#[test]
fn what_the_ledger_says_is_left_can_be_asked_for_and_no_more() {
    let mut ledger = start(Renewal::Never);
    assert_eq!(ledger.left(0).unwrap().epsilon, 1.0);
    assert_eq!(ledger.left_for("ada", 0).unwrap().epsilon, 0.8);
    for n in 0..3 {
        let left = ledger.left_for("grace", 0).unwrap();
        let ask = |epsilon: f64| {
            let found = privacy::cost::calibrate(1_000_000, 1000, 4, 3, epsilon, left.delta).unwrap();
            ledger.reserve(0, id(n), "grace", &found.charge, 1)
        };
        assert!(ask(left.epsilon * 1.01).is_err());
        assert!(ask(left.epsilon).is_ok());
        let entry = ask(left.epsilon / 3.0).unwrap();
        ledger.apply(&entry).unwrap();
    }
    let left = ledger.left_for("grace", 0).unwrap();
    assert!(left.epsilon > 0.4 && left.epsilon < 0.6, "{left:?}");
}

/// What others spent shows in what everybody has left, and never in what is said of one's own part.
#[test]
fn the_own_part_says_nothing_of_what_others_spent() {
    let mut ledger = start(Renewal::Never);
    // Both parts together are more than everybody may spend.
    let entry = ledger
        .set_cap(0, Cap::new(0.8, 1e-6, Renewal::Never).unwrap(), &[])
        .unwrap();
    ledger.apply(&entry).unwrap();
    let price = charge(0);
    let mine = |ledger: &Ledger, tokens| ledger.own_part_allows(0, "ada", &price, tokens).is_ok();
    let most = (1..u32::MAX)
        .take_while(|tokens| mine(&ledger, *tokens))
        .last()
        .expect("ada may ask once");
    let mut number = 0;
    while let Ok(entry) = ledger.reserve(0, id(number), "grace", &price, 1) {
        ledger.apply(&entry).unwrap();
        number += 1;
    }
    assert!(number > 0 && ledger.reserve(0, id(number), "ada", &price, most).is_err());
    assert!(mine(&ledger, most) && !mine(&ledger, most + 1), "as before grace asked");
    let refusal = ledger.own_part_allows(0, "nobody", &price, 1).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "no budget for analyst nobody: an absent cap counts as zero"
    );
}

#[test]
fn a_crash_after_reserve_counts_as_spent_and_what_is_committed_never_comes_back() {
    let mut ledger = start(Renewal::Never);
    let entry = ledger.reserve(0, id(1), "ada", &charge(1), 5).unwrap();
    ledger.apply(&entry).unwrap();
    let reserved = ledger.spent(0);
    assert_eq!(reserved, charge(1).times(5));
    let entry = ledger.commit(0, id(1), 2).unwrap();
    ledger.apply(&entry).unwrap();
    assert_eq!(ledger.spent(0), reserved, "committing changes no sum");
    assert!(matches!(ledger.void(0, id(1), 4), Err(Refusal::Tokens { left: 3, .. })));
    let entry = ledger.void(0, id(1), 3).unwrap();
    ledger.apply(&entry).unwrap();
    assert_eq!(ledger.spent(0), charge(1).times(2));
    assert!(matches!(ledger.void(0, id(1), 1), Err(Refusal::Tokens { left: 0, .. })));
    assert!(matches!(
        ledger.reserve(0, id(1), "ada", &charge(0), 1),
        Err(Refusal::Duplicate { .. })
    ));
    assert!(matches!(ledger.commit(0, id(9), 1), Err(Refusal::Unknown { .. })));
}

#[test]
fn a_cap_renews_with_its_window_but_open_reservations_come_along() {
    let mut ledger = start(Renewal::Month);
    let jan = 10 * DAY_MS;
    for (n, tokens) in [(1, 2), (2, 3)] {
        let entry = ledger.reserve(jan, id(n), "ada", &charge(1), tokens).unwrap();
        ledger.apply(&entry).unwrap();
    }
    let entry = ledger.commit(jan, id(1), 2).unwrap();
    ledger.apply(&entry).unwrap();
    let feb = 40 * DAY_MS;
    assert_eq!(ledger.spent(jan), charge(1).times(5));
    assert_eq!(
        ledger.spent(feb),
        charge(1).times(3),
        "three tokens may still touch data in February"
    );
    let entry = ledger.commit(feb, id(2), 3).unwrap();
    ledger.apply(&entry).unwrap();
    assert_eq!(ledger.spent(70 * DAY_MS), Charge::zero());
    // The clock is set back: it stays February.
    assert_eq!(ledger.spent(jan), charge(1).times(3));
    assert!(ledger.reserve(jan, id(3), "ada", &charge(0), 1).unwrap().at_ms == feb);
}

#[test]
fn raising_takes_two_different_people_and_lowering_nobody() {
    let ledger = start(Renewal::Year);
    let cap = |epsilon, delta, renews| Cap::new(epsilon, delta, renews).unwrap();
    for raised in [
        cap(1.1, 1e-6, Renewal::Year),
        cap(1.0, 1e-5, Renewal::Year),
        cap(1.0, 1e-6, Renewal::Month),
    ] {
        assert!(matches!(
            ledger.set_cap(0, raised, &[]),
            Err(Refusal::Approvals { found: 0 })
        ));
        let twice = ["owner".to_string(), " owner".to_string()];
        assert!(matches!(
            ledger.set_cap(0, raised, &twice),
            Err(Refusal::Approvals { found: 1 })
        ));
        assert!(ledger.set_cap(0, raised, &two_people()).is_ok());
    }
    assert!(ledger.set_cap(0, cap(0.5, 1e-6, Renewal::Never), &[]).is_ok());
}

#[test]
fn a_release_without_noise_takes_an_opt_in_and_is_told_for_ever() {
    let mut ledger = start(Renewal::Never);
    assert!(matches!(
        ledger.reserve(0, id(1), "ada", &Charge::infinite(), 1),
        Err(Refusal::CapExceeded { .. })
    ));
    assert!(matches!(
        ledger.reserve_without_noise(0, id(1), "ada", 10, &[]),
        Err(Refusal::NotOptedIn)
    ));
    let entry = ledger
        .reserve_without_noise(0, id(1), "ada", 10, &["owner".into()])
        .unwrap();
    ledger.apply(&entry).unwrap();
    assert_eq!(
        (ledger.releases_without_noise(), ledger.tokens_left(&id(1))),
        (10, Some(10))
    );
    let entry = ledger.reserve(0, id(2), "ada", &charge(0), 1).unwrap();
    ledger.apply(&entry).unwrap();
    assert_eq!(ledger.summary(0).releases_without_noise, 10);
}

#[test]
fn entries_survive_json_and_summaries_print() {
    let (population, entries) = story();
    let text = serde_json::to_string(&entries).unwrap();
    let back: Vec<Entry> = serde_json::from_str(&text).unwrap();
    let ledger = Ledger::replay(population, &back).unwrap();
    let summary = serde_json::to_value(ledger.summary(0)).unwrap();
    assert_eq!(summary["population"], "patients");
    assert_eq!(summary["open"][0], serde_json::json!(["request 0", 1]));
    let other = Ledger::replay(PopulationId::new("others"), &back);
    assert!(matches!(other, Err(Broken { index: 0, .. })));
}
