//! The ledger under any schedule: crashes between building and applying, retries, duplicates, entries out of order, clocks set back. The cap
//! holds at every prefix, replay gives the same ledger, and a changed chain is named at the first bad entry.

#[path = "common/population.rs"]
mod population;

use population::{ANALYSTS, DAY_MS, charge, id, start, story, two_people};
use privacy::cost::cap_room;
use privacy::ledger::{Ledger, LedgerEvent};
use privacy::{Cap, Charge, Entry, Renewal, ReservationId};
use proptest::prelude::*;

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
