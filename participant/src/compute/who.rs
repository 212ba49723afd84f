//! Who rows are about, and whose may be used. The one place where rows become units: queries, training and evaluation all come by.
//!
//! Where a dataset requires consent, a row whose unit does not consent to the request's purpose is a row without a unit, and those are
//! dropped everywhere. Costs a pass over the batch's units and, with consent, a look-up each: a bit where ids are dense integers,
//! else a slot of an open table, of 16 to 32 bytes a unit for integers and twice that for texts.

use polars::prelude::{Column, DataType, PolarsResult};
use std::sync::Arc;
use workload::query::{BoundingKey, UnitId, Value};

/// How rows of one computation are read.
#[derive(Clone)]
pub(super) struct Who {
    pub key: BoundingKey,
    pub basis: Basis,
    /// None: the dataset does not require consent.
    consenting: Option<Arc<UnitSet>>,
}

/// Names the filter: rows read under another one are other rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Basis {
    pub purpose: String,
    pub generation: u64,
}

impl Who {
    /// Every row that has a unit.
    pub fn everybody(key: &BoundingKey) -> Self {
        Self {
            key: key.clone(),
            basis: Basis::default(),
            consenting: None,
        }
    }

    pub fn consenting(key: &BoundingKey, basis: Basis, units: Arc<UnitSet>) -> Self {
        Self {
            key: key.clone(),
            basis,
            consenting: Some(units),
        }
    }

    /// Who every row is about; nobody where it may not be used.
    pub fn units(&self, column: &Column) -> PolarsResult<Vec<Option<UnitId>>> {
        let mut units = ids(column, &self.key)?;
        if let Some(consenting) = &self.consenting {
            consenting.retain(&mut units);
        }
        Ok(units)
    }
}

fn ids(column: &Column, key: &BoundingKey) -> PolarsResult<Vec<Option<UnitId>>> {
    let integer = |id: Option<i64>| id.map(UnitId::integer);
    Ok(match column.dtype() {
        DataType::Int64 => column.i64()?.iter().map(integer).collect(),
        DataType::Int32 => column.i32()?.iter().map(|d| integer(d.map(i64::from))).collect(),
        DataType::Boolean => column.bool()?.iter().map(|b| integer(b.map(i64::from))).collect(),
        DataType::Float64 => column.f64()?.iter().map(|x| key.unit(&Value::Number(x?))).collect(),
        _ => column.str()?.iter().map(|text| key.text_unit(text?)).collect(),
    })
}

/// A set of units, made for look-ups.
pub struct UnitSet(Form);

enum Form {
    /// Ids whose high halves are one and whose low halves lie close together.
    Dense {
        high: u64,
        first: u64,
        bits: Vec<u64>,
    },
    /// Ids whose high halves are one: integers.
    Lows {
        high: u64,
        lows: Open<u64>,
    },
    Whole(Open<[u64; 2]>),
}

/// A dense set takes no more than 32 bytes a unit.
const BITS_PER_UNIT: u64 = 256;
/// Look-ups whose first reads are under way at a time.
const BLOCK: usize = 64;

impl UnitSet {
    pub fn of(units: &[UnitId]) -> Self {
        let words = || units.iter().map(|unit| unit.words());
        let lows = || words().map(|[low, _]| low);
        let high = words().next().map_or(0, |[_, high]| high);
        if words().any(|[_, other]| other != high) {
            // No unit is the empty text.
            return Self(Form::Whole(Open::of(words(), [0, 0])));
        }
        let (first, last) = (lows().min().unwrap_or(0), lows().max().unwrap_or(0));
        if (last - first) / BITS_PER_UNIT <= units.len() as u64 {
            // An empty set has a bit, and it is not set.
            let mut bits = vec![0; ((last - first) / 64 + 1) as usize];
            lows().for_each(|low| bits[((low - first) / 64) as usize] |= 1 << ((low - first) % 64));
            return Self(Form::Dense { high, first, bits });
        }
        // Ids so far apart leave a gap just below the first or just above the last of them.
        let empty = first
            .checked_sub(1)
            .or(last.checked_add(1))
            .unwrap_or_else(|| gap(lows()));
        let lows = Open::of(lows(), empty);
        Self(Form::Lows { high, lows })
    }

    /// Makes nobody of every unit that is not in the set.
    pub fn retain(&self, units: &mut [Option<UnitId>]) {
        match &self.0 {
            Form::Dense { high, first, bits } => {
                let holds = |[low, other]: [u64; 2]| {
                    let at = low.wrapping_sub(*first);
                    let word = bits.get((at / 64) as usize);
                    other == *high && word.is_some_and(|word| word >> (at % 64) & 1 == 1)
                };
                units
                    .iter_mut()
                    .for_each(|unit| *unit = unit.filter(|id| holds(id.words())));
            }
            Form::Lows { high, lows } => lows.retain(units, |[low, other]| (other == *high).then_some(low)),
            Form::Whole(whole) => whole.retain(units, Some),
        }
    }
}

/// The smallest number that is not among `of`.
fn gap(of: impl Iterator<Item = u64>) -> u64 {
    let mut sorted: Vec<u64> = of.collect();
    sorted.sort_unstable();
    sorted.dedup();
    (0..)
        .zip(&sorted)
        .find(|(i, low)| i != *low)
        .map_or(sorted.len() as u64, |(i, _)| i)
}

/// What an open table is of.
trait Key: Copy + PartialEq {
    fn mixed(self) -> u64;
}

impl Key for u64 {
    fn mixed(self) -> u64 {
        self.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
    }
}

impl Key for [u64; 2] {
    fn mixed(self) -> u64 {
        (self[0] ^ self[1].rotate_left(32)).mixed()
    }
}

/// Open addressing, a power of two of slots, at most half full.
struct Open<K> {
    slots: Vec<K>,
    /// A key that is not in the table.
    empty: K,
}

impl<K: Key> Open<K> {
    fn of(keys: impl Iterator<Item = K> + Clone, empty: K) -> Self {
        let slots = vec![empty; (2 * keys.clone().count() + 1).next_power_of_two()];
        let mut table = Self { slots, empty };
        for key in keys {
            let at = table.slot(key, table.first(key));
            table.slots[at] = key;
        }
        table
    }

    fn first(&self, key: K) -> usize {
        key.mixed() as usize & (self.slots.len() - 1)
    }

    /// The slot of a key from `at` on, or the empty one where it would stand.
    fn slot(&self, key: K, mut at: usize) -> usize {
        while self.slots[at] != key && self.slots[at] != self.empty {
            at = (at + 1) & (self.slots.len() - 1);
        }
        at
    }

    /// A table is larger than caches, so the slots of a block are read before the first of them is needed.
    fn retain(&self, units: &mut [Option<UnitId>], key_of: impl Fn([u64; 2]) -> Option<K>) {
        for block in units.chunks_mut(BLOCK) {
            let mut read = [(self.empty, self.empty, 0); BLOCK];
            for (unit, read) in block.iter().zip(&mut read) {
                let key = unit.and_then(|id| key_of(id.words())).unwrap_or(self.empty);
                let at = self.first(key);
                *read = (key, self.slots[at], at);
            }
            for (unit, (key, found, at)) in block.iter_mut().zip(read) {
                let holds = key != self.empty && (found == key || self.slots[self.slot(key, at)] == key);
                *unit = unit.filter(|_| holds);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// As words, because an id does not print.
    fn any_unit() -> impl Strategy<Value = [u64; 2]> {
        let key = BoundingKey::new(&[1; 32]);
        let integer = |id: i64| UnitId::integer(id).words();
        prop_oneof![
            (-3..200i64).prop_map(integer),
            any::<i64>().prop_map(integer),
            "[a-z]{1,20}".prop_filter_map("a text", move |text| key.text_unit(&text).map(UnitId::words)),
        ]
    }

    proptest! {
        #[test]
        fn a_set_holds_what_was_put_in_and_nothing_else(
            dense in prop::collection::vec(0..300i64, 0..60),
            any in prop::collection::vec(any_unit(), 0..60),
            asked in prop::collection::vec(any_unit(), 0..60),
        ) {
            let dense: Vec<UnitId> = dense.into_iter().map(UnitId::integer).collect();
            let units = |words: &[[u64; 2]]| words.iter().map(|words| UnitId::from_words(*words)).collect::<Vec<_>>();
            let (any, asked) = (units(&any), units(&asked));
            let zero = vec![UnitId::integer(0), UnitId::integer(-1), UnitId::integer(1 << 60)];
            for units in [&dense, &any, &zero, &[dense.clone(), any.clone()].concat()] {
                let (set, model) = (UnitSet::of(units), units.iter().copied().collect::<BTreeSet<_>>());
                let mut found: Vec<Option<UnitId>> = dense.iter().chain(&any).chain(&asked).copied().map(Some).collect();
                found.extend([None, Some(UnitId::integer(1))]);
                let expected: Vec<bool> = found.iter().map(|unit| unit.is_some_and(|id| model.contains(&id))).collect();
                let before = found.clone();
                set.retain(&mut found);
                for ((found, before), expected) in found.iter().zip(&before).zip(expected) {
                    prop_assert!(*found == before.filter(|_| expected));
                }
            }
        }
    }
}
