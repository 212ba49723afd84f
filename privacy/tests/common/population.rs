//! A small population, its two analysts with budgets and one without, and requests of six sizes.
#![allow(dead_code)] // each test binary uses its own part

use privacy::cost::{GaussianTerms, distributed_gaussian};
use privacy::ledger::{Ledger, Refusal};
use privacy::{Cap, Charge, Delta, Entry, PopulationId, Renewal, ReservationId};

pub const DAY_MS: u64 = 86_400_000;
pub const ANALYSTS: [&str; 3] = ["ada", "grace", "nobody"];

pub fn two_people() -> Vec<String> {
    vec!["owner".into(), "officer".into()]
}

pub fn id(n: u8) -> ReservationId {
    ReservationId::new(format!("request {n}"))
}

/// Size 0 is small, 5 is more than any cap here.
pub fn charge(size: u8) -> Charge {
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

pub fn start(renews: Renewal) -> Ledger {
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

/// Twelve entries.
pub fn story() -> (PopulationId, Vec<Entry>) {
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
