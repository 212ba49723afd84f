//! The append-only file in which a shell keeps the engine's records: SQLite, one transaction a step, durable when
//! `append` returns (WAL, synchronous=FULL; 0.3 to 1 ms on a local disk).
//!
//! It stands in this crate because coordinator and participant need the very same one and may not name each other. The
//! schema is theirs: each passes its own numbered migrations, the first of which makes the table `record`.
//! One process holds a store at a time; a second one is refused, since two agents over one ledger would spend it twice.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use engine::record::{Replaced, Row};
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, params};

/// Where records are made durable.
pub trait Store: Send {
    /// All rows become durable together, or none does.
    fn append(&mut self, rows: &[Row]) -> Result<(), StoreError>;
    /// Every row ever appended, in order; of rows with one `newest_of` the newest, and a tombstone in the place of what it replaced.
    fn rows(&self) -> Result<Vec<Row>, StoreError>;
    /// A planned stop: one tidy file is left. Nothing is lost without it.
    fn close(self) -> Result<(), StoreError>
    where
        Self: Sized;
}

/// The migration that follows `record` in every schema: large parts of which only the newest is kept, so that a run of a
/// thousand rounds leaves one model in the file and not a thousand.
pub const NEWEST: &str = "
ALTER TABLE record ADD COLUMN newest_of TEXT;
CREATE TABLE newest (name TEXT PRIMARY KEY, seq INTEGER NOT NULL, blob BLOB) STRICT;
";

/// The migration after [`NEWEST`]: rows may end as tombstones, and nothing else of a row ever changes. They are found by an index of
/// those that can.
pub const TOMBSTONES: &str = "
DROP TRIGGER IF EXISTS record_keeps_its_words;
DROP TRIGGER IF EXISTS record_is_append_only_update;
CREATE TRIGGER record_keeps_its_words BEFORE UPDATE ON record
    WHEN NEW.kind NOT IN ('job_erased', 'release_erased', 'payload_erased') OR NEW.seq <> OLD.seq BEGIN
    SELECT RAISE(ABORT, 'records are never changed');
END;
CREATE INDEX record_erasable ON record (
    kind, coalesce(json_extract(json, '$.job'), json_extract(json, '$.release.release.id'), json_extract(json, '$.payload.salt'))
) WHERE kind IN ('job_submitted', 'released') OR kind = 'logged' AND json_extract(json, '$.payload.salt') IS NOT NULL;
";

/// How a row becomes its tombstone. The conditions are the index's own words.
const REPLACE: &str = "
UPDATE record SET kind = ?1, json = ?2, blob = NULL
    WHERE kind = ?3
    AND coalesce(json_extract(json, '$.job'), json_extract(json, '$.release.release.id'), json_extract(json, '$.payload.salt')) = ?4
    AND (kind IN ('job_submitted', 'released') OR kind = 'logged' AND json_extract(json, '$.payload.salt') IS NOT NULL)
";

/// How to open a file.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// SQLite's application id: a ledger is not opened as somebody else's database.
    pub application_id: i32,
    /// Migration k brings the file from version k to k + 1. Only ever appended to.
    pub migrations: &'static [&'static str],
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{path}: cannot open the store: {reason}")]
    Open { path: PathBuf, reason: String },
    #[error("{path}: another process has this store open")]
    InUse { path: PathBuf },
    #[error(
        "{path}: corrupt store: {reason}; nothing was changed. Stop here, keep a copy, inspect it with `sqlite3 {path} 'PRAGMA integrity_check'`, and restore the last backup"
    )]
    Corrupt { path: PathBuf, reason: String },
    #[error("{path}: not a store of this program: expected application id {expected:#x}, found {found:#x}")]
    OtherApplication { path: PathBuf, expected: i32, found: i32 },
    #[error(
        "{path}: written by a newer version: expected schema {known} or older, found {found}; use the newer program"
    )]
    Newer { path: PathBuf, known: usize, found: usize },
    #[error("{path}: no room to store records: {reason}")]
    Full { path: PathBuf, reason: String },
    #[error("{path}: cannot write: {reason}")]
    Write { path: PathBuf, reason: String },
    #[error("{path}: cannot read: {reason}")]
    Read { path: PathBuf, reason: String },
}

/// A store in one SQLite file.
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    /// Something was erased, and the write-ahead log still holds what it was.
    traces: bool,
    /// Held as long as the store is open; the operating system lets go of it if the process dies.
    _lock: File,
}

impl SqliteStore {
    /// Opens or makes the file, checks its integrity and migrates it. `max_pages` limits its size, in pages of 4 KiB.
    pub fn open(path: &Path, schema: &Schema, max_pages: Option<u32>) -> Result<Self, StoreError> {
        let lock = lock(path)?;
        let fresh = !path.exists() || fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0);
        if fresh {
            private_file(path).map_err(|e| open_error(path, &e))?;
        }
        let connection = Connection::open(path).map_err(|e| open_error(path, &e))?;
        let mut store = Self {
            connection,
            path: path.to_owned(),
            traces: false,
            _lock: lock,
        };
        store.check(schema, fresh)?;
        store.configure(max_pages)?;
        store.migrate(schema)?;
        // What a crash left of something that was erased right before.
        store.forget().map_err(|e| write_error(path, &e))?;
        Ok(store)
    }

    /// Reads before anything is written, so that a file that is not ours stays as it is.
    fn check(&self, schema: &Schema, fresh: bool) -> Result<(), StoreError> {
        if fresh {
            return Ok(());
        }
        let found = self.pragma("application_id")?;
        if found != schema.application_id {
            return Err(StoreError::OtherApplication {
                path: self.path.clone(),
                expected: schema.application_id,
                found,
            });
        }
        let version = usize::try_from(self.pragma("user_version")?).unwrap_or(usize::MAX);
        if version > schema.migrations.len() {
            return Err(StoreError::Newer {
                path: self.path.clone(),
                known: schema.migrations.len(),
                found: version,
            });
        }
        let verdict: String = self
            .connection
            .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
            .map_err(|e| self.corrupt(&e))?;
        if verdict != "ok" {
            return Err(self.corrupt(&verdict));
        }
        Ok(())
    }

    fn configure(&self, max_pages: Option<u32>) -> Result<(), StoreError> {
        let set = |name: &str, value: &dyn rusqlite::ToSql| {
            self.connection
                .pragma_update(None, name, value)
                .map_err(|e| open_error(&self.path, &e))
        };
        set("journal_mode", &"WAL")?;
        set("synchronous", &"FULL")?;
        set("foreign_keys", &"ON")?;
        // What is deleted is overwritten. Free of charge where a large part gives way to its successor: the pages are written anyway.
        set("secure_delete", &"ON")?;
        if let Some(pages) = max_pages {
            set("max_page_count", &pages)?;
        }
        Ok(())
    }

    fn migrate(&mut self, schema: &Schema) -> Result<(), StoreError> {
        let version = self.pragma("user_version")?;
        let path = self.path.clone();
        for (number, migration) in (1..).zip(schema.migrations).filter(|(number, _)| *number > version) {
            let migrated = self.connection.transaction().and_then(|transaction| {
                transaction.execute_batch(migration)?;
                transaction.pragma_update(None, "application_id", schema.application_id)?;
                transaction.pragma_update(None, "user_version", number)?;
                transaction.commit()
            });
            migrated.map_err(|e| write_error(&path, &e))?;
        }
        // Pages that an older version freed were not overwritten: once, and as long as writing the file anew takes.
        if (1..schema.migrations.len() as i64).contains(&version) {
            self.connection
                .execute_batch("VACUUM")
                .map_err(|e| write_error(&path, &e))?;
        }
        Ok(())
    }

    /// For schemas of other tables than `record`: the file is checked, locked and migrated in the same way.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// What a failed statement on `connection` means.
    pub fn fault(&self, error: &rusqlite::Error) -> StoreError {
        write_error(&self.path, error)
    }

    fn pragma(&self, name: &str) -> Result<i32, StoreError> {
        self.connection
            .pragma_query_value(None, name, |row| row.get(0))
            .map_err(|e| self.corrupt(&e))
    }

    fn corrupt(&self, reason: &dyn std::fmt::Display) -> StoreError {
        StoreError::Corrupt {
            path: self.path.clone(),
            reason: reason.to_string(),
        }
    }

    /// Empties the write-ahead log, where older states of pages are kept. False while another process reads: then the next append tries again.
    fn forget(&self) -> rusqlite::Result<bool> {
        let busy = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        Ok(self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], busy)? == 0)
    }

    fn insert(&mut self, rows: &[Row]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction
                .prepare_cached("INSERT INTO record (kind, json, blob, newest_of) VALUES (?1, ?2, ?3, ?4)")?;
            let mut newest =
                transaction.prepare_cached("INSERT OR REPLACE INTO newest (name, seq, blob) VALUES (?1, ?2, ?3)")?;
            for row in rows {
                if let Some(replaced) = &row.replaces {
                    replace(&transaction, row, replaced)?;
                    continue;
                }
                let own = row.blob.as_deref().filter(|_| row.newest_of.is_none());
                insert.execute(params![row.kind, row.json, own, row.newest_of])?;
                if let Some(name) = &row.newest_of {
                    newest.execute(params![name, transaction.last_insert_rowid(), row.blob.as_deref()])?;
                }
            }
        }
        transaction.commit()
    }
}

/// A row in the place of another. What it replaces must be there: a tombstone of nothing is a story that nobody wrote.
fn replace(transaction: &Transaction<'_>, row: &Row, replaced: &Replaced) -> rusqlite::Result<()> {
    let parameters = params![row.kind, row.json, replaced.kind, replaced.key];
    if transaction.prepare_cached(REPLACE)?.execute(parameters)? != 1 {
        return Err(rusqlite::Error::StatementChangedRows(0));
    }
    if let Some(name) = &replaced.newest_of {
        transaction.execute("DELETE FROM newest WHERE name = ?1", [name])?;
    }
    Ok(())
}

impl Store for SqliteStore {
    fn append(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.insert(rows).map_err(|e| write_error(&self.path, &e))?;
        self.traces |= rows.iter().any(|row| row.replaces.is_some());
        if self.traces {
            self.traces = !self.forget().map_err(|e| write_error(&self.path, &e))?;
        }
        Ok(())
    }

    fn rows(&self) -> Result<Vec<Row>, StoreError> {
        let read = || -> rusqlite::Result<Vec<Row>> {
            let mut select = self.connection.prepare(
                "SELECT kind, json, coalesce(record.blob, newest.blob), newest_of
                     FROM record LEFT JOIN newest ON newest.seq = record.seq
                     WHERE newest_of IS NULL OR newest.seq IS NOT NULL ORDER BY record.seq",
            )?;
            let rows = select.query_map([], |row| {
                let blob: Option<Vec<u8>> = row.get(2)?;
                Ok(Row {
                    kind: row.get(0)?,
                    json: row.get(1)?,
                    blob: blob.map(Into::into),
                    newest_of: row.get(3)?,
                    replaces: None,
                })
            })?;
            rows.collect()
        };
        read().map_err(|e| StoreError::Read {
            path: self.path.clone(),
            reason: e.to_string(),
        })
    }

    fn close(self) -> Result<(), StoreError> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(|e| write_error(&self.path, &e))
    }
}

/// The rows of one kind, in order, of a store that another process may have open. Nothing is written.
pub fn rows_of(path: &Path, schema: &Schema, kind: &str) -> Result<Vec<Row>, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|e| open_error(path, &e))?;
    let id: i32 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(|e| open_error(path, &e))?;
    if id != schema.application_id {
        return Err(StoreError::OtherApplication {
            path: path.to_owned(),
            expected: schema.application_id,
            found: id,
        });
    }
    let read = || -> rusqlite::Result<Vec<Row>> {
        let mut select = connection.prepare("SELECT kind, json FROM record WHERE kind = ?1 ORDER BY seq")?;
        let rows = select.query_map([kind], |row| {
            Ok(Row {
                kind: row.get(0)?,
                json: row.get(1)?,
                blob: None,
                newest_of: None,
                replaces: None,
            })
        })?;
        rows.collect()
    };
    read().map_err(|e| StoreError::Read {
        path: path.to_owned(),
        reason: e.to_string(),
    })
}

/// A lock file beside the store, so that the store itself stays readable for backups and inspection.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = private_file(Path::new(&name)).map_err(|e| open_error(path, &e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(open_error(path, &error)),
    }
}

fn private_file(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn open_error(path: &Path, reason: &dyn std::fmt::Display) -> StoreError {
    StoreError::Open {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

fn write_error(path: &Path, error: &rusqlite::Error) -> StoreError {
    let (path, reason) = (path.to_owned(), error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full { path, reason },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt { path, reason },
        _ => StoreError::Write { path, reason },
    }
}

#[cfg(test)]
mod tests;
