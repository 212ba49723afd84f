//! Under which name a unit stands in the consent file: a keyed hash of its id, so that whoever reads the file and has not the
//! agent's key learns nobody's id and cannot try ids out. About 80 ns a unit.
//!
//! The id is the privacy unit's as `workload::query::UnitId` knows it, after the mapping of the configuration: rows and consents meet
//! there, whatever the files' types. Lose the key and every consent is lost with it: nobody consents until it is imported again.

use governance::LogicalType;
use std::hash::{BuildHasherDefault, Hasher};
use workload::query::{BoundingKey, UnitId, Value, integer_id, parse_date};
use zeroize::Zeroizing;

/// 128 bits: two of a million units share one with a probability of 2^-89.
pub type Name = [u8; 16];

/// For tables of names: they are hashes already, and keyed, so nobody can choose ones that collide.
pub type ByName = BuildHasherDefault<FirstHalf>;

/// The first eight bytes of a name.
#[derive(Default)]
pub struct FirstHalf(u64);

impl Hasher for FirstHalf {
    fn write(&mut self, name: &[u8]) {
        let mut half = [0; 8];
        let taken = name.len().min(8);
        half[..taken].copy_from_slice(&name[..taken]);
        self.0 = u64::from_le_bytes(half);
    }

    /// The length of an array: the same for all.
    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Makes names. No `Debug`: it holds a key.
pub struct Names {
    key: Zeroizing<[u8; 32]>,
    ids: BoundingKey,
}

impl Names {
    /// From the secret beside the agent's store.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self {
            key: Zeroizing::new(blake3::derive_key(
                "sottovoce 2026-11 names of units in the consent file",
                secret,
            )),
            ids: BoundingKey::new(secret),
        }
    }

    pub fn of(&self, unit: UnitId) -> Name {
        let [low, high] = unit.words();
        let mut id = Zeroizing::new([0; 16]);
        id[..8].copy_from_slice(&low.to_le_bytes());
        id[8..].copy_from_slice(&high.to_le_bytes());
        let mut name = [0; 16];
        name.copy_from_slice(&blake3::keyed_hash(&self.key, &*id).as_bytes()[..16]);
        name
    }

    /// The unit that a text names, if the unit's column is of this type. `None`: it names nobody.
    pub fn spelled(&self, text: &str, unit: LogicalType) -> Option<Name> {
        let id = match unit {
            LogicalType::Integer => self.ids.text_unit(&integer_id(text)?),
            LogicalType::String => self.ids.text_unit(text),
            LogicalType::Number => self.ids.unit(&Value::Number(text.trim().parse().ok()?)),
            LogicalType::Boolean => self.ids.unit(&Value::Boolean(text.trim().parse().ok()?)),
            LogicalType::Date => self.ids.unit(&Value::Date(parse_date(text.trim())?)),
        };
        id.map(|id| self.of(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spelled_id_is_the_unit_of_the_rows_that_hold_it() {
        let names = Names::new(&[1; 32]);
        let seven = names.of(UnitId::integer(7));
        for spelling in ["7", "007", " 7.0", "+7"] {
            assert_eq!(names.spelled(spelling, LogicalType::Integer), Some(seven), "{spelling}");
        }
        assert_eq!(names.spelled("7", LogicalType::String), Some(seven));
        assert_ne!(
            names.spelled("007", LogicalType::String),
            Some(seven),
            "texts are as they are"
        );
        assert_eq!(names.spelled("7", LogicalType::Number), Some(seven));
        for nobody in ["", "x", "7.5"] {
            assert_eq!(names.spelled(nobody, LogicalType::Integer), None, "{nobody:?}");
        }
        assert_eq!(names.spelled("", LogicalType::String), None);
        assert_ne!(Names::new(&[2; 32]).of(UnitId::integer(7)), seven, "keyed");
    }
}
