//! The roster's file: which roster to start with, and the newer ones that governance puts there while the coordinator runs, or hands in.
//! The file is looked at every two seconds, and at once after it was written here; governance's signature and the version decide, not the file's date.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use governance::log::event::Role;
use governance::{ContentHash, Roster, SignedRoster, VerifyingKey};
use proto::identity::Identity;
use tokio::sync::Notify;

use crate::driver::{Driver, Event, now_ms};

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
    let own = ContentHash(identity.tls_key);
    let accepted = membership.roster.accepts(Role::Coordinator, &entry.id, &own, now_ms());
    if entry.id != identity.member.name || accepted != Some(true) {
        return Err(RosterFileError::OtherCoordinator {
            path: file.to_owned(),
            name: identity.member.name.clone(),
        });
    }
    Ok(membership)
}

/// The file, and a word to whoever reads it.
#[derive(Clone)]
pub struct RosterFile {
    path: PathBuf,
    written: Arc<Notify>,
}

impl RosterFile {
    pub fn new(path: PathBuf) -> Self {
        let written = Arc::new(Notify::new());
        Self { path, written }
    }

    /// Puts a roster there, whole or not at all, and durably. The caller has verified it.
    pub fn write(&self, signed: &SignedRoster) -> io::Result<()> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        serde_json::to_writer_pretty(&mut file, signed)?;
        file.flush()?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        File::open(folder)?.sync_all()?;
        self.written.notify_one();
        Ok(())
    }
}

/// Hands newer rosters to the driver for as long as it runs.
pub async fn keep_reading(file: RosterFile, governance: VerifyingKey, mut version: u64, driver: Driver) {
    let mut ticks = tokio::time::interval(LOOK);
    let RosterFile { path: file, written } = file;
    let mut seen = changed(&file);
    loop {
        let told = tokio::select! {
            _ = ticks.tick() => false,
            () = written.notified() => true,
        };
        let now = changed(&file);
        if now == seen && !told {
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
