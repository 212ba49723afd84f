//! The ledger under any schedule: crashes between building and applying, retries, duplicates, entries out of order, clocks set back. The cap
//! holds at every prefix, replay gives the same ledger, and a changed chain is named at the first bad entry.

use privacy::cost::{GaussianTerms, cap_room, distributed_gaussian};
use privacy::ledger::{Broken, Ledger, LedgerEvent, Refusal};
use privacy::{Cap, Charge, Delta, Entry, PopulationId, Renewal, ReservationId};
use proptest::prelude::*;

const DAY_MS: u64 = 86_400_000;
const ANALYSTS: [&str; 3] = ["ada", "grace", "nobody"];

fn two_people() -> Vec<String> {
    vec!["owner".into(), "officer".into()]
}

fn id(n: u8) -> ReservationId {
    ReservationId::new(format!("request {n}"))
}

/// Size 0 is small, 5 is more than any cap here.
fn charge(size: u8) -> Charge {
    let variance = [40_000, 20_000, 8_000, 3_000, 1_000, 1][usize::from(size % 6)];
    let mut charge = distributed_gaussian(&GaussianTerms {
        shares: 2,
        variance,
        l2_squared: 100,
        l1: 10,
        dim: 1,
    });
    charge.delta = Delta::at_least(f64::from(size % 2) * 1e-8);
    charge
}

fn start(renews: Renewal) -> Ledger {
    let mut ledger = Ledger::new(PopulationId::new("patients"));
    let entry = ledger
        .set_cap(0, Cap::new(1.0, 1e-6, renews).unwrap(), &two_people())
        .unwrap();
    ledger.apply(&entry).unwrap();
    for (analyst, epsilon) in [("ada", 0.8), ("grace", 0.6)] {
        let cap = Cap::new(epsilon, 1e-6, renews).unwrap();
        let entry = ledger.set_analyst_cap(0, analyst, cap, &two_people()).unwrap();
        ledger.apply(&entry).unwrap();
    }
    ledger
}

#[derive(Clone, Debug)]
enum Act {
    Reserve {
        id: u8,
        analyst: usize,
        size: u8,
        tokens: u32,
    },
    Commit {
        id: u8,
        tokens: u32,
    },
    Void {
        id: u8,
        tokens: u32,
    },
    SetCap {
        milli: u32,
        people: usize,
        analyst: Option<usize>,
    },
    /// The newest built entry is applied again, or an old one.
    ApplyStale {
        which: prop::sample::Index,
    },
    /// The process dies: everything not durable is gone, the ledger is replayed.
    Crash,
    Wait {
        days: i64,
    },
}

fn acts() -> impl Strategy<Value = Vec<(Act, bool)>> {
    let act = prop_oneof![
        6 => (0u8..20, 0usize..3, 0u8..6, 1u32..6).prop_map(|(id, analyst, size, tokens)| Act::Reserve { id, analyst, size, tokens }),
        4 => (0u8..20, 0u32..6).prop_map(|(id, tokens)| Act::Commit { id, tokens }),
        3 => (0u8..20, 0u32..6).prop_map(|(id, tokens)| Act::Void { id, tokens }),
        1 => (1u32..1500, 0usize..3, prop::option::of(0usize..3))
            .prop_map(|(milli, people, analyst)| Act::SetCap { milli, people, analyst }),
        2 => any::<prop::sample::Index>().prop_map(|which| Act::ApplyStale { which }),
        1 => Just(Act::Crash),
        2 => (-10i64..40).prop_map(|days| Act::Wait { days }),
    ];
    // The flag: whether the entry that the act builds becomes durable before a crash.
    prop::collection::vec((act, prop::bool::weighted(0.85)), 1..60)
}

/// What is held against the caps is computed here from the entries alone, in the plainest way.
#[derive(Default)]
struct Shadow(Vec<Held>);

struct Held {
    id: ReservationId,
    analyst: String,
    charge: Charge,
    tokens: u32,
    voided: u32,
    /// When, and how many.
    committed: Vec<(u64, u32)>,
}

impl Shadow {
    fn take(&mut self, entry: &Entry) {
        match &entry.event {
            LedgerEvent::Reserved {
                id,
                analyst,
                charge,
                tokens,
            } => self.0.push(Held {
                id: id.clone(),
                analyst: analyst.clone(),
                charge: charge.clone(),
                tokens: *tokens,
                voided: 0,
                committed: Vec::new(),
            }),
            LedgerEvent::Committed { id, tokens } => self.find(id).committed.push((entry.at_ms, *tokens)),
            LedgerEvent::Voided { id, tokens } => self.find(id).voided += tokens,
            _ => {}
        }
    }

    fn find(&mut self, id: &ReservationId) -> &mut Held {
        self.0.iter_mut().find(|held| held.id == *id).unwrap()
    }

    /// Tokens not voided, less those committed in earlier windows.
    fn spent(&self, analyst: Option<&str>, renews: Renewal, now: u64) -> Charge {
        let window = renews.window(now);
        let mut sum = Charge::zero();
        for held in self
            .0
            .iter()
            .filter(|held| analyst.is_none_or(|analyst| analyst == held.analyst))
        {
            let earlier = held.committed.iter().filter(|(at, _)| renews.window(*at) < window);
            let before: u32 = earlier.map(|(_, tokens)| tokens).sum();
            sum = sum.plus(&held.charge.times(u64::from(held.tokens - held.voided - before)));
        }
        sum
    }
}

fn fits(cap: Cap, spent: &Charge) -> bool {
    spent.curve.at(cap.order) <= cap_room(cap.epsilon_nano, cap.delta.minus(spent.delta), cap.order)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_cap_holds_at_every_prefix_of_every_schedule(
        acts in acts(),
        renews in prop::sample::select(vec![Renewal::Never, Renewal::Month, Renewal::Quarter, Renewal::Year]),
    ) {
        let mut ledger = start(renews);
        // As long as a cap is never lowered below what is spent, what is spent fits it.
        let mut lowered = false;
        let mut durable: Vec<Entry> = Vec::new();
        let mut built: Vec<Entry> = Vec::new();
        let mut shadow = Shadow::default();
        let mut now = 5 * DAY_MS;
        for (act, is_durable) in acts {
            let before = ledger.clone();
            let entry = match act {
                Act::Reserve { id: n, analyst, size, tokens } => ledger.reserve(now, id(n), ANALYSTS[analyst], &charge(size), tokens),
                Act::Commit { id: n, tokens } => ledger.commit(now, id(n), tokens),
                Act::Void { id: n, tokens } => ledger.void(now, id(n), tokens),
                Act::SetCap { milli, people, analyst } => {
                    let cap = Cap::new(f64::from(milli) / 1000.0, 1e-6, renews).unwrap();
                    let set = match analyst {
                        None => ledger.set_cap(now, cap, &two_people()[..people]),
                        Some(analyst) => ledger.set_analyst_cap(now, ANALYSTS[analyst], cap, &two_people()[..people]),
                    };
                    let old = analyst.map_or(ledger.cap(), |analyst| ledger.analyst_cap(ANALYSTS[analyst]));
                    let raised = old.is_none_or(|old| cap.epsilon_nano > old.epsilon_nano);
                    prop_assert_eq!(set.is_ok(), people == 2 || !raised);
                    lowered |= set.is_ok();
                    set
                }
                Act::ApplyStale { which } => {
                    if let Some(stale) = built.get(which.index(built.len().max(1))) {
                        let was_next = stale.seq == ledger.head().0 && stale.previous == ledger.head().1;
                        if !was_next {
                            prop_assert!(ledger.apply(stale).is_err(), "an entry applies once, and only on the head it was built on");
                        }
                    }
                    prop_assert_eq!(&ledger, &before);
                    continue;
                }
                Act::Crash => {
                    let first = start(renews);
                    let mut again = first.clone();
                    durable.iter().for_each(|entry| again.apply(entry).unwrap());
                    prop_assert_eq!(&again, &ledger, "replay gives the ledger");
                    ledger = again;
                    continue;
                }
                Act::Wait { days } => {
                    now = now.saturating_add_signed(days * DAY_MS as i64);
                    continue;
                }
            };
            prop_assert_eq!(&ledger, &before, "building an entry changes nothing");
            let Ok(entry) = entry else { continue };
            built.push(entry.clone());
            // A crash before the entry is durable: it never happened.
            if !is_durable {
                continue;
            }
            durable.push(entry.clone());
            ledger.apply(&entry).unwrap();
            shadow.take(&entry);
            let latest = entry.at_ms;
            for analyst in [None, Some("ada"), Some("grace"), Some("nobody")] {
                let expected = shadow.spent(analyst, renews, latest);
                let (cap, spent) = match analyst {
                    None => (ledger.cap(), ledger.spent(latest)),
                    Some(analyst) => (ledger.analyst_cap(analyst), ledger.spent_by(analyst, latest)),
                };
                let Some(cap) = cap else {
                    prop_assert!(expected == Charge::zero(), "nobody spends without a cap");
                    continue;
                };
                prop_assert_eq!(&spent, &expected, "{:?}", analyst);
                // A cap lowered below what is spent is exceeded until the window turns, but nothing more gets in.
                let reserved = match &entry.event {
                    LedgerEvent::Reserved { analyst: whose, .. } => analyst.is_none_or(|analyst| analyst == whose),
                    _ => false,
                };
                if reserved || !lowered {
                    prop_assert!(fits(cap, &spent), "{:?} over the cap", analyst);
                }
            }
        }
    }

    #[test]
    fn a_changed_chain_is_named_at_the_first_bad_entry(
        at in 0usize..12, kind in 0usize..6, byte in 0usize..32,
    ) {
        let (population, entries) = story();
        prop_assert!(Ledger::replay(population.clone(), &entries).is_ok());
        let mut forged = entries.clone();
        match kind {
            0 => forged[at].hash.0[byte] ^= 1,
            1 => forged[at].previous.0[byte] ^= 1,
            2 => forged[at].at_ms += 1,
            3 => forged[at].event = LedgerEvent::Voided { id: id(0), tokens: 1 },
            4 => { forged.remove(at); }
            _ => forged.swap(at, (at + 1) % entries.len()),
        }
        let result = Ledger::replay(population, &forged);
        match (kind, at) {
            // Cutting off the end is what a witness is for: nothing in the chain can show it.
            (4, at) if at + 1 == entries.len() => prop_assert!(result.is_ok()),
            (5, at) if at + 1 == entries.len() => prop_assert_eq!(result.unwrap_err().index, 0),
            _ => prop_assert_eq!(result.unwrap_err().index, at as u64),
        }
    }
}

/// Twelve entries.
fn story() -> (PopulationId, Vec<Entry>) {
    let mut entries = Vec::new();
    let mut ledger = Ledger::new(PopulationId::new("patients"));
    fn push(ledger: &mut Ledger, entries: &mut Vec<Entry>, entry: Result<Entry, Refusal>) {
        let entry = entry.unwrap();
        ledger.apply(&entry).unwrap();
        entries.push(entry);
    }
    let cap = Cap::new(3.0, 1e-6, Renewal::Never).unwrap();
    let entry = ledger.set_cap(1, cap, &two_people());
    push(&mut ledger, &mut entries, entry);
    let entry = ledger.set_analyst_cap(2, "ada", cap, &two_people());
    push(&mut ledger, &mut entries, entry);
    for n in 0..5 {
        let entry = ledger.reserve(10 + u64::from(n), id(n), "ada", &charge(0), 3);
        push(&mut ledger, &mut entries, entry);
        let entry = ledger.commit(20 + u64::from(n), id(n), 2);
        push(&mut ledger, &mut entries, entry);
    }
    (PopulationId::new("patients"), entries)
}

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
    assert_eq!(ledger.summary().releases_without_noise, 10);
}

#[test]
fn entries_survive_json_and_summaries_print() {
    let (population, entries) = story();
    let text = serde_json::to_string(&entries).unwrap();
    let back: Vec<Entry> = serde_json::from_str(&text).unwrap();
    let ledger = Ledger::replay(population, &back).unwrap();
    let summary = serde_json::to_value(ledger.summary()).unwrap();
    assert_eq!(summary["population"], "patients");
    assert_eq!(summary["open"][0], serde_json::json!(["request 0", 1]));
    let other = Ledger::replay(PopulationId::new("others"), &back);
    assert!(matches!(other, Err(Broken { index: 0, .. })));
}
