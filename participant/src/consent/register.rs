//! Who consents to what, as a value: changes in, answers out. No clock, no file; recovery applies the same changes.
//!
//! A consent is given for purposes and a window of time, modified by being given again, withdrawn by a change, and expired by
//! the clock. Whoever is not on record does not consent. Costs about 70 bytes a unit and a hash look-up an answer.

use super::names::{ByName, Name};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// When a consent is in force: from an instant, until just before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub from_ms: u64,
    pub until_ms: u64,
}

/// What a unit decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    Given { purposes: BTreeSet<String>, window: Window },
    Withdrawn,
}

/// The newest choice of every unit of a population.
#[derive(Default)]
pub struct Register {
    entries: HashMap<Name, Entry, ByName>,
    /// Lists of purposes that occur; few, whatever the number of units.
    lists: Vec<BTreeSet<String>>,
    list_of: BTreeMap<BTreeSet<String>, u32>,
}

#[derive(Clone, Copy)]
struct Entry {
    version: u32,
    /// Position in `lists`; a withdrawn consent is one to nothing.
    list: u32,
    window: Window,
    /// When the unit last took something back of what it had given, whatever it gave since.
    narrowed_ms: Option<u64>,
}

/// For the owner's eyes only.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    pub subjects: u64,
    pub in_force: u64,
    pub not_yet: u64,
    pub expired: u64,
    pub withdrawn: u64,
    /// Of those in force.
    pub by_purpose: BTreeMap<String, u64>,
}

impl Window {
    pub const ALWAYS: Self = Self {
        from_ms: 0,
        until_ms: u64::MAX,
    };

    fn holds(&self, now_ms: u64) -> bool {
        (self.from_ms..self.until_ms).contains(&now_ms)
    }

    /// Whether it holds at no time, from `now_ms` on, at which `wider` does not.
    fn is_within(&self, wider: &Self, now_ms: u64) -> bool {
        wider.from_ms <= self.from_ms.max(now_ms) && self.until_ms <= wider.until_ms
    }
}

impl Choice {
    fn terms(&self) -> (BTreeSet<String>, Window) {
        match self {
            Self::Given { purposes, window } => (purposes.clone(), *window),
            Self::Withdrawn => (BTreeSet::new(), Window::ALWAYS),
        }
    }
}

impl Register {
    /// The version that `choice` would become. `None`: it is what holds already.
    pub fn next_version(&self, unit: &Name, choice: &Choice) -> Option<u32> {
        let Some(entry) = self.entries.get(unit) else {
            return Some(1);
        };
        let (purposes, window) = choice.terms();
        let same = self.lists[entry.list as usize] == purposes && entry.window == window;
        (!same).then(|| entry.version.saturating_add(1))
    }

    /// Makes one change true.
    pub fn apply(&mut self, unit: Name, version: u32, choice: &Choice, changed_ms: u64) {
        let (purposes, window) = choice.terms();
        let before = self.entries.get(&unit);
        let keeps_all = before.is_none_or(|before| {
            let kept = &self.lists[before.list as usize];
            kept.is_empty() || (kept.is_subset(&purposes) && before.window.is_within(&window, changed_ms))
        });
        let narrowed_ms = match before {
            _ if !keeps_all || purposes.is_empty() => Some(changed_ms),
            before => before.and_then(|before| before.narrowed_ms),
        };
        let list = match self.list_of.get(&purposes) {
            Some(list) => *list,
            None => {
                let list = self.lists.len() as u32;
                self.lists.push(purposes.clone());
                self.list_of.insert(purposes, list);
                list
            }
        };
        let entry = Entry {
            version,
            list,
            window,
            narrowed_ms,
        };
        self.entries.insert(unit, entry);
    }

    /// Whether a choice gives nothing that this one does not give.
    fn is_within(&self, entry: &Entry, purposes: &BTreeSet<String>, window: &Window, now_ms: u64) -> bool {
        let given = &self.lists[entry.list as usize];
        purposes.is_empty() || (purposes.is_subset(given) && window.is_within(&entry.window, now_ms))
    }

    /// Whether a unit ever decided anything here.
    pub fn is_on_record(&self, unit: &Name) -> bool {
        self.entries.contains_key(unit)
    }

    /// When a unit took back what `choice` would give it again: by a withdrawal, or by a consent to less.
    pub fn took_back_ms(&self, unit: &Name, choice: &Choice, now_ms: u64) -> Option<u64> {
        let entry = self.entries.get(unit)?;
        let (purposes, window) = choice.terms();
        entry
            .narrowed_ms
            .filter(|_| !self.is_within(entry, &purposes, &window, now_ms))
    }

    /// Whether a unit consents now to a purpose that `covers` finds in what it consented to.
    pub fn permits(&self, covers: impl Fn(&str) -> bool, now_ms: u64) -> impl Fn(&Name) -> bool {
        let permitting: Vec<bool> = self.lists.iter().map(|list| list.iter().any(|p| covers(p))).collect();
        move |unit| {
            let entry = self.entries.get(unit);
            entry.is_some_and(|entry| permitting[entry.list as usize] && entry.window.holds(now_ms))
        }
    }

    /// The first instant after `now_ms` at which a consent begins or ends by itself. A pass over all units.
    pub fn next_instant(&self, now_ms: u64) -> u64 {
        let instants = self
            .entries
            .values()
            .flat_map(|e| [e.window.from_ms, e.window.until_ms]);
        instants.filter(|at| *at > now_ms).min().unwrap_or(u64::MAX)
    }

    pub fn counts(&self, now_ms: u64) -> Counts {
        let mut counts = Counts::default();
        for Entry { list, window, .. } in self.entries.values() {
            counts.subjects += 1;
            let purposes = &self.lists[*list as usize];
            match window {
                _ if purposes.is_empty() => counts.withdrawn += 1,
                window if now_ms < window.from_ms => counts.not_yet += 1,
                window if now_ms >= window.until_ms => counts.expired += 1,
                _ => {
                    counts.in_force += 1;
                    for purpose in purposes {
                        *counts.by_purpose.entry(purpose.clone()).or_default() += 1;
                    }
                }
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(unit: u8) -> Name {
        [unit; 16]
    }

    fn given(purposes: &[&str], from_ms: u64, until_ms: u64) -> Choice {
        Choice::Given {
            purposes: purposes.iter().map(|p| (*p).to_owned()).collect(),
            window: Window { from_ms, until_ms },
        }
    }

    fn tell(register: &mut Register, unit: u8, choice: &Choice) -> Option<u32> {
        let version = register.next_version(&name(unit), choice)?;
        register.apply(name(unit), version, choice, 0);
        Some(version)
    }

    fn consents(register: &Register, unit: u8, purpose: &str, now_ms: u64) -> bool {
        register.permits(|p| p == purpose, now_ms)(&name(unit))
    }

    #[test]
    fn a_consent_is_given_modified_expired_and_withdrawn() {
        let mut register = Register::default();
        assert!(
            !consents(&register, 1, "research", 15),
            "whoever is not on record does not consent"
        );
        assert_eq!(tell(&mut register, 1, &given(&["research"], 10, 20)), Some(1));
        let at = |register: &Register, now_ms| consents(register, 1, "research", now_ms);
        assert_eq!(
            [9, 10, 19, 20].map(|now| at(&register, now)),
            [false, true, true, false]
        );
        assert!(!consents(&register, 1, "marketing", 15));
        assert_eq!(
            [0, 10, 15, 20].map(|now| register.next_instant(now)),
            [10, 20, 20, u64::MAX]
        );

        assert_eq!(
            tell(&mut register, 1, &given(&["research"], 10, 20)),
            None,
            "nothing changed"
        );
        assert_eq!(tell(&mut register, 1, &given(&["care"], 10, 30)), Some(2));
        assert!(!at(&register, 15) && consents(&register, 1, "care", 25));
        assert_eq!(tell(&mut register, 1, &Choice::Withdrawn), Some(3));
        assert!(!consents(&register, 1, "care", 15));
        assert_eq!(
            tell(&mut register, 1, &given(&["care"], 0, u64::MAX)),
            Some(4),
            "given again"
        );
        assert!(consents(&register, 1, "care", 15));
    }

    #[test]
    fn every_subject_is_counted_once() {
        let mut register = Register::default();
        for (unit, choice) in [
            given(&["research"], 0, 100),
            given(&["research", "care"], 0, 100),
            given(&["care"], 60, 100),
            given(&["care"], 0, 50),
            Choice::Withdrawn,
        ]
        .iter()
        .enumerate()
        {
            tell(&mut register, unit as u8, choice);
        }
        let counts = register.counts(50);
        let Counts {
            subjects,
            in_force,
            not_yet,
            expired,
            withdrawn,
            by_purpose,
        } = counts;
        assert_eq!((subjects, in_force, not_yet, expired, withdrawn), (5, 2, 1, 1, 1));
        assert_eq!(by_purpose, [("research".into(), 2), ("care".into(), 1)].into());
    }

    fn any_choice() -> impl Strategy<Value = Choice> {
        let purposes = prop::collection::btree_set(prop::sample::select(vec!["a", "a.x", "b"]), 1..3);
        prop_oneof![
            1 => Just(Choice::Withdrawn),
            4 => (purposes, 0..50u64, 1..50u64).prop_map(|(purposes, from, long)| {
                given(&purposes.into_iter().collect::<Vec<_>>(), from, from + long)
            }),
        ]
    }

    proptest! {
        /// The definition: a unit's last choice, if it is a consent whose window holds and one of whose purposes covers the asked one.
        #[test]
        fn any_schedule_of_changes_filters_as_the_definition_says(
            changes in prop::collection::vec((0..6u8, any_choice()), 0..40),
            asked in prop::sample::select(vec!["a", "a.x", "b", "c"]),
            now_ms in 0..110u64,
        ) {
            let covers = |given: &str| given == asked || asked.strip_prefix(given).is_some_and(|rest| rest.starts_with('.'));
            let mut register = Register::default();
            for (unit, choice) in &changes {
                let version = register.next_version(&name(*unit), choice);
                let before = changes.iter().take_while(|c| !std::ptr::eq(&c.1, choice));
                let last = before.filter(|c| c.0 == *unit).last();
                prop_assert_eq!(version.is_none(), last.is_some_and(|last| last.1 == *choice));
                tell(&mut register, *unit, choice);
            }
            for unit in 0..6 {
                let last = changes.iter().rev().find(|(who, _)| *who == unit);
                let expected = match last {
                    Some((_, Choice::Given { purposes, window })) => {
                        window.from_ms <= now_ms && now_ms < window.until_ms && purposes.iter().any(|p| covers(p))
                    }
                    _ => false,
                };
                prop_assert_eq!(register.permits(covers, now_ms)(&name(unit)), expected);
                // Until the next instant nothing changes by itself.
                let still = register.next_instant(now_ms) - 1;
                prop_assert_eq!(register.permits(covers, still)(&name(unit)), expected);
            }
        }
    }
}
