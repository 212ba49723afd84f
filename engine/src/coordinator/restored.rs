//! The records of a coordinator that lost everything, from what participants kept. Jobs, answers and registries are not among them.

use governance::log::restore::Restored;

use crate::record::CoordinatorRecord;

/// Leaves in one record.
const BATCH: usize = 1_000;

/// Records for an empty store. Rosters come first, since acts are told to those whom they name.
pub fn records_of(restored: Restored) -> Vec<CoordinatorRecord> {
    let Restored {
        leaves, rosters, acts, ..
    } = restored;
    let mut records: Vec<_> = rosters
        .into_iter()
        .map(|roster| CoordinatorRecord::RosterKept { roster })
        .collect();
    let mut first = 0;
    for leaves in leaves.chunks(BATCH) {
        let leaves = leaves.to_vec();
        let count = leaves.len() as u64;
        records.push(CoordinatorRecord::Logged { first, leaves });
        first += count;
    }
    let taken = acts
        .into_iter()
        .map(|(signed, at_ms)| CoordinatorRecord::ActTaken { signed, at_ms });
    records.extend(taken);
    records
}
