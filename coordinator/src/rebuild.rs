//! The log again, after the coordinator lost everything: from the mirror of any participant, into a store without leaves. Jobs, answers and
//! registries are not in the log and do not come back. Costs a signature's verification a leaf.

use std::path::Path;

use engine::record::CoordinatorRecord;
use governance::log::Trust;
use governance::log::mirror::Mirror;
use proto::store::Store;

use crate::server::Fatal;

/// Leaves in one record.
const BATCH: usize = 1_000;

/// Writes the longest of the mirrors that hold into the store, and says how many leaves it has. Mirrors that contradict one another
/// are refused: two logs were signed.
pub fn rebuild(store: &mut impl Store, trust: &Trust, files: &[impl AsRef<Path>]) -> Result<u64, Fatal> {
    if store.rows()?.iter().any(|row| row.kind == "logged") {
        return Err(Fatal::Rebuild(
            "the store holds leaves: rebuild into a store of its own".to_owned(),
        ));
    }
    let mut best: Option<Mirror> = None;
    for file in files {
        let refused = |error: String| Fatal::Rebuild(format!("{}: {error}", file.as_ref().display()));
        let mirror = Mirror::parse(&std::fs::read_to_string(file)?).map_err(|error| refused(error.to_string()))?;
        mirror.verify(trust.log()).map_err(|error| refused(error.to_string()))?;
        if let Some(held) = &best {
            let common = held.leaves.len().min(mirror.leaves.len());
            if held.leaves[..common] != mirror.leaves[..common] {
                return Err(refused(
                    "it contradicts another mirror: the coordinator signed two logs".to_owned(),
                ));
            }
        }
        if best.as_ref().is_none_or(|held| held.leaves.len() < mirror.leaves.len()) {
            best = Some(mirror);
        }
    }
    let mirror = best.ok_or_else(|| Fatal::Rebuild("no mirror was given".to_owned()))?;
    let mut rows = Vec::new();
    let mut first = 0;
    for leaves in mirror.leaves.chunks(BATCH) {
        let leaves = leaves.to_vec();
        let count = leaves.len() as u64;
        rows.push(CoordinatorRecord::Logged { first, leaves }.to_row()?);
        first += count;
    }
    store.append(&rows)?;
    Ok(first)
}
