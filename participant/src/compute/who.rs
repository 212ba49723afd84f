//! Who rows are about, and whose may be used. The one place where rows become units: queries, training and evaluation all come by.
//!
//! Where a dataset requires consent, a row whose unit does not consent to the request's purpose is a row without a unit, and those are
//! dropped everywhere. Costs a pass over the batch's units and, with consent, a look-up each: a bit where ids are dense integers,
//! else a slot of an open table of 32 bytes a unit.

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
            units
                .iter_mut()
                .for_each(|unit| *unit = unit.filter(|id| consenting.contains(*id)));
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
    Dense { high: u64, first: u64, bits: Vec<u64> },
    /// Open addressing, a power of two of slots, at most half full.
    Sparse(Vec<[u64; 2]>),
}

/// No unit: it would be the empty text.
const EMPTY: [u64; 2] = [0, 0];
/// A dense set takes no more than a sparse one would: 32 bytes a unit.
const BITS_PER_UNIT: u64 = 256;

impl UnitSet {
    pub fn of(units: &[UnitId]) -> Self {
        let words = || units.iter().map(|unit| unit.words());
        let high = words().next().map_or(0, |[_, high]| high);
        let first = words().map(|[low, _]| low).min().unwrap_or(0);
        let last = words().map(|[low, _]| low).max().unwrap_or(0);
        let span = last - first;
        if words().all(|[_, other]| other == high) && span / BITS_PER_UNIT <= units.len() as u64 {
            let mut bits = vec![0; (span / 64 + 1) as usize];
            // An empty set holds nothing, whatever its first would be.
            words().for_each(|[low, _]| bits[((low - first) / 64) as usize] |= 1 << ((low - first) % 64));
            return Self(Form::Dense { high, first, bits });
        }
        let mut slots = vec![EMPTY; (2 * units.len() + 1).next_power_of_two()];
        for unit in words() {
            let at = slot(&slots, unit);
            slots[at] = unit;
        }
        Self(Form::Sparse(slots))
    }

    #[inline]
    pub fn contains(&self, unit: UnitId) -> bool {
        let [low, high] = unit.words();
        match &self.0 {
            Form::Dense { high: own, first, bits } => {
                let at = low.wrapping_sub(*first);
                let word = bits.get((at / 64) as usize);
                high == *own && word.is_some_and(|word| word >> (at % 64) & 1 == 1)
            }
            Form::Sparse(slots) => slots[slot(slots, [low, high])] != EMPTY,
        }
    }
}

/// The slot of a unit, or the empty one where it would stand.
fn slot(slots: &[[u64; 2]], unit: [u64; 2]) -> usize {
    let mask = slots.len() - 1;
    let mixed = (unit[0] ^ unit[1].rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut at = (mixed >> 32) as usize & mask;
    while slots[at] != unit && slots[at] != EMPTY {
        at = (at + 1) & mask;
    }
    at
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
            for units in [&dense, &any, &[dense.clone(), any.clone()].concat()] {
                let (set, model) = (UnitSet::of(units), units.iter().copied().collect::<BTreeSet<_>>());
                for unit in dense.iter().chain(&any).chain(&asked) {
                    prop_assert_eq!(set.contains(*unit), model.contains(unit));
                }
            }
        }
    }
}
