//! The roster's file: which roster to start with, and the newer ones that governance puts there while the coordinator runs.
//! The file is looked at every two seconds; governance's signature and the version decide, not the file's date.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use governance::{Roster, SignedRoster, VerifyingKey};
use proto::identity::Identity;

use crate::driver::{Driver, Event};

const LOOK: Duration = Duration::from_secs(2);

/// The roster in force, as governance signed it and as it reads.
#[derive(Clone, Debug)]
pub struct Membership {
    pub signed: SignedRoster,
    pub roster: Roster,
}

#[derive(Debug, thiserror::Error)]
pub enum RosterFileError {
    #[error("{path}: cannot be read: {reason}")]
    Read { path: PathBuf, reason: String },
    #[error("{path}: {source}")]
    Refused {
        path: PathBuf,
        source: governance::RosterError,
    },
    #[error(
        "{path}: the roster names another key or certificate for coordinator `{name}`; install the newest certificate"
    )]
    OtherCoordinator { path: PathBuf, name: String },
}

/// The newer of the identity's roster and the file's, if it names this coordinator.
pub fn newest(identity: &Identity, file: &Path) -> Result<Membership, RosterFileError> {
    let installed = Membership {
        signed: identity.signed_roster.clone(),
        roster: identity.roster.clone(),
    };
    let found = read(file, &identity.governance)?;
    let membership = match found.roster.supersedes(&installed.roster) {
        Ok(()) => found,
        Err(governance::RosterError::Stale { .. }) => installed,
        Err(source) => {
            let path = file.to_owned();
            return Err(RosterFileError::Refused { path, source });
        }
    };
    let entry = &membership.roster.coordinator;
    if entry.id != identity.member.name || entry.tls_key.0 != identity.tls_key {
        return Err(RosterFileError::OtherCoordinator {
            path: file.to_owned(),
            name: identity.member.name.clone(),
        });
    }
    Ok(membership)
}

/// Hands newer rosters to the driver for as long as it runs.
pub async fn keep_reading(file: PathBuf, governance: VerifyingKey, mut version: u64, driver: Driver) {
    let mut ticks = tokio::time::interval(LOOK);
    let mut seen = changed(&file);
    loop {
        ticks.tick().await;
        let now = changed(&file);
        if now == seen {
            continue;
        }
        seen = now;
        match read(&file, &governance) {
            Ok(found) if found.roster.version > version => {
                version = found.roster.version;
                if driver.send(Event::Roster(found.signed)).is_err() {
                    return;
                }
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "roster not read"),
        }
    }
}

fn changed(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}

fn read(file: &Path, governance: &VerifyingKey) -> Result<Membership, RosterFileError> {
    let unreadable = |reason: String| RosterFileError::Read {
        path: file.to_owned(),
        reason,
    };
    let text = std::fs::read(file).map_err(|e| unreadable(e.to_string()))?;
    let signed: SignedRoster = serde_json::from_slice(&text).map_err(|e| unreadable(e.to_string()))?;
    let roster = signed.verify(governance).map_err(|source| RosterFileError::Refused {
        path: file.to_owned(),
        source,
    })?;
    Ok(Membership { signed, roster })
}
