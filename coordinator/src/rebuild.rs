//! The log and what people decided again, after the coordinator lost everything: from participants' mirrors, into a store without leaves.
//! Jobs, answers and registries are in no mirror and do not come back. Costs a signature's verification a leaf and mirror.

use std::path::Path;

use governance::VerifyingKey;
use governance::log::Trust;
use governance::log::mirror::Mirror;
use governance::log::restore::{RestoreError, restore};
use proto::store::Store;

use crate::roster::Membership;
use crate::server::Fatal;

/// Of what is missing, this many are named.
const NAMED: usize = 5;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    pub leaves: usize,
    pub rosters: usize,
    pub acts: usize,
    /// What the log names and no mirror has, in words; empty unless the operator goes on without.
    pub missing: Vec<String>,
}

/// Writes what the mirrors hold together into the store. Mirrors that contradict one another are refused: two logs were signed. So are
/// those of fewer than all participants, or without something that was decided, unless `incomplete` says to go on.
pub fn rebuild(
    store: &mut impl Store,
    (membership, governance): (&Membership, &VerifyingKey),
    files: &[impl AsRef<Path>],
    incomplete: bool,
) -> Result<Rebuilt, Fatal> {
    let fatal = |text: String| Fatal::Rebuild(text);
    if store.rows()?.iter().any(|row| row.kind == "logged") {
        return Err(fatal(
            "the store holds leaves: rebuild into a store of its own".to_owned(),
        ));
    }
    let name = |place: usize| files[place].as_ref().display();
    let mut mirrors = Vec::new();
    for (place, file) in files.iter().enumerate() {
        let read = std::fs::read_to_string(file).map_err(|error| fatal(format!("{}: {error}", name(place))))?;
        mirrors.push(Mirror::parse(&read).map_err(|error| fatal(format!("{}: {error}", name(place))))?);
    }
    let trust = Trust::of(&membership.roster).map_err(|error| fatal(error.to_string()))?;
    let restored = restore(
        mirrors,
        trust.log(),
        governance,
        &membership.signed,
        crate::driver::now_ms(),
    )
    .map_err(|error| {
        fatal(match &error {
            RestoreError::Nothing | RestoreError::Own(_) => error.to_string(),
            RestoreError::Mirror { place, .. }
            | RestoreError::Contradiction { place }
            | RestoreError::Twice { place, .. }
            | RestoreError::Unlogged { place, .. }
            | RestoreError::Newer { place, .. } => format!("{}: {error}", name(*place)),
        })
    })?;
    let missing: Vec<String> = restored.missing.iter().map(ToString::to_string).collect();
    if !missing.is_empty() && !incomplete {
        let more = missing.len().saturating_sub(NAMED);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let named = &missing[..missing.len().min(NAMED)];
        return Err(fatal(format!(
            "it would be without {}{more}. Add the mirrors of all participants. With --incomplete the coordinator goes on without; \
             participants that know of more then answer nothing, and one that saw more of the log has evidence of two logs",
            named.join("; ")
        )));
    }
    let rebuilt = Rebuilt {
        leaves: restored.leaves.len(),
        rosters: restored.rosters.len(),
        acts: restored.acts.len(),
        missing,
    };
    let rows: Result<Vec<_>, _> = engine::coordinator::records_of(restored, crate::driver::now_ms())
        .iter()
        .map(engine::record::CoordinatorRecord::to_row)
        .collect();
    store.append(&rows?)?;
    Ok(rebuilt)
}
