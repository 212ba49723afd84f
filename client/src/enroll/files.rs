//! Files of an identity: keys are 0600 in folders of 0700, and what exists is never overwritten, because a key that is
//! replaced by accident is a member that is locked out. Each write is one fsync.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::EnrollError;

pub const PRIVATE: u32 = 0o600;
pub const PUBLIC: u32 = 0o644;

/// Makes the folder, and its parents, for this user alone.
pub fn create_folder(path: &Path) -> Result<(), EnrollError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| EnrollError::io(path, error))
}

/// Writes a file that must not exist yet.
pub fn create(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), EnrollError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(|error| {
            if error.kind() == ErrorKind::AlreadyExists {
                EnrollError::Exists(path.to_owned())
            } else {
                EnrollError::io(path, error)
            }
        })?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(|error| EnrollError::io(path, error))
}

/// Writes a file, or finds exactly these bytes in it: an interrupted installation may be run again.
pub fn create_or_same(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), EnrollError> {
    match create(path, mode, bytes) {
        Err(EnrollError::Exists(_)) if read(path)? == bytes => Ok(()),
        result => result,
    }
}

/// Replaces a file as a whole: a reader sees the old bytes or the new ones. For rosters, certificates and requests, never for keys.
pub fn replace(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), EnrollError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| EnrollError::io(path, error))?;
    file.as_file()
        .set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
        .map_err(|e| EnrollError::io(path, e))?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .map_err(|error| EnrollError::io(path, error))?;
    file.persist(path).map_err(|error| EnrollError::io(path, error.error))?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| EnrollError::io(path, error))
}

pub fn read(path: &Path) -> Result<Vec<u8>, EnrollError> {
    fs::read(path).map_err(|error| EnrollError::io(path, error))
}

pub fn read_text(path: &Path) -> Result<String, EnrollError> {
    fs::read_to_string(path).map_err(|error| EnrollError::io(path, error))
}
