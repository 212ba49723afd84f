//! The records of a coordinator that lost everything, from what participants kept. Jobs, answers and registries are not among them.

use governance::log::restore::Restored;

use crate::record::CoordinatorRecord;

/// Leaves in one record.
const BATCH: usize = 1_000;

/// Records for an empty store, made at `now_ms`. Epochs count on from the seconds since 1970: the lost coordinator opened fewer, agents take
/// no number twice, and what one of them says of its own is no ground to count on.
pub fn records_of(restored: Restored, now_ms: u64) -> Vec<CoordinatorRecord> {
    let Restored {
        leaves, rosters, acts, ..
    } = restored;
    let mut records = vec![CoordinatorRecord::EpochOpened {
        epoch: (now_ms / 1_000).max(1),
    }];
    let kept = rosters
        .into_iter()
        .map(|roster| CoordinatorRecord::RosterKept { roster });
    records.extend(kept);
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
