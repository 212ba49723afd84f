//! The consent file: SQLite beside the agent's store, mode 0600, one transaction an import, durable when a change returns.
//!
//! Append-only: a row a change, none is rewritten. It holds no id: units are keyed hashes (`names.rs`). Opening reads every change
//! once, a second or two for a million; a publication reads the newest of each unit again, in order of name.

use super::names::Name;
use super::publication::{Leaf, Publication};
use super::register::{Choice, Register, Window};
use governance::log::TreeHash;
use proto::store::{Schema, SqliteStore, StoreError};
use rand::TryRng;
use rand::rngs::SysRng;
use rusqlite::{OptionalExtension, Row, params};
use std::collections::BTreeMap;
use std::path::Path;

/// `SOPC`.
const SCHEMA: Schema = Schema {
    application_id: 0x534f_5043,
    migrations: &[include_str!("../../migrations/consent_0001.sql")],
};

/// The open file. One process has it open at a time.
pub struct ConsentFile {
    store: SqliteStore,
}

/// A change that is to be made durable.
pub struct Change<'a> {
    pub unit: Name,
    pub version: u32,
    pub choice: &'a Choice,
}

/// Salts are drawn for so many changes at a time.
const SALTS: usize = 1024;

impl ConsentFile {
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent() {
            crate::make_folder(folder).map_err(|error| StoreError::Open {
                path: path.to_owned(),
                reason: error.to_string(),
            })?;
        }
        let store = SqliteStore::open(path, &SCHEMA, None)?;
        Ok(Self { store })
    }

    /// Every population's newest choices, by the same steps in which they were made.
    pub fn registers(&mut self) -> Result<BTreeMap<String, Register>, StoreError> {
        self.run(|connection| {
            let mut registers: BTreeMap<String, Register> = BTreeMap::new();
            let mut select = connection.prepare(
                "SELECT population, unit, version, purposes, from_ms, until_ms, changed_ms FROM change ORDER BY seq",
            )?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                let population = row.get_ref(0)?.as_str()?;
                let choice = choice(row, 3)?;
                if !registers.contains_key(population) {
                    registers.insert(population.to_owned(), Register::default());
                }
                if let Some(register) = registers.get_mut(population) {
                    register.apply(row.get(1)?, row.get(2)?, &choice, loaded(row.get(6)?));
                }
            }
            Ok(registers)
        })
    }

    /// All changes become durable together, or none does.
    pub fn append(&mut self, population: &str, changes: &[Change<'_>], now_ms: u64) -> Result<(), StoreError> {
        self.run(|connection| {
            let transaction = connection.transaction()?;
            {
                let mut insert = transaction.prepare_cached(
                    "INSERT INTO change (population, unit, version, status, purposes, from_ms, until_ms, changed_ms, salt)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                )?;
                for some in changes.chunks(SALTS) {
                    let mut salts = [0; 16 * SALTS];
                    SysRng.try_fill_bytes(&mut salts).map_err(failed)?;
                    for (change, salt) in some.iter().zip(salts.chunks_exact(16)) {
                        let (status, purposes, window) = match change.choice {
                            Choice::Given { purposes, window } => {
                                ("given", serde_json::to_string(purposes).map_err(failed)?, *window)
                            }
                            Choice::Withdrawn => ("withdrawn", "[]".to_owned(), Window::ALWAYS),
                        };
                        insert.execute(params![
                            population,
                            change.unit,
                            change.version,
                            status,
                            purposes,
                            stored(window.from_ms),
                            stored(window.until_ms),
                            stored(now_ms),
                            salt
                        ])?;
                    }
                }
            }
            transaction.commit()
        })
    }

    /// How many changes there ever were: the version of the whole.
    pub fn version(&mut self) -> Result<u64, StoreError> {
        self.run(|connection| {
            let seq = connection.query_row("SELECT coalesce(max(seq), 0) FROM change", [], |row| {
                row.get::<_, i64>(0)
            });
            Ok(loaded(seq?))
        })
    }

    /// What was published last.
    pub fn published(&mut self, population: &str) -> Result<Option<Publication>, StoreError> {
        self.run(|connection| {
            connection
                .query_row(
                    "SELECT number, root, at_ms FROM publication WHERE population = ?1 ORDER BY number DESC LIMIT 1",
                    [population],
                    |row| {
                        Ok(Publication {
                            number: loaded(row.get(0)?),
                            root: TreeHash(row.get(1)?),
                            at_ms: loaded(row.get(2)?),
                        })
                    },
                )
                .optional()
        })
    }

    /// Computes the root of a population and keeps it under a number.
    pub fn publish(&mut self, population: &str, number: u64, now_ms: u64) -> Result<Publication, StoreError> {
        self.run(|connection| {
            let mut salt = [0; 16];
            SysRng.try_fill_bytes(&mut salt).map_err(failed)?;
            let transaction = connection.transaction()?;
            let mut leaves = Vec::new();
            {
                let mut select = transaction.prepare_cached(
                    "SELECT c.unit, c.version, c.purposes, c.from_ms, c.until_ms, c.salt FROM change c
                     JOIN (SELECT max(seq) AS newest FROM change WHERE population = ?1 GROUP BY unit) ON c.seq = newest
                     ORDER BY c.unit",
                )?;
                let mut rows = select.query([population])?;
                while let Some(row) = rows.next()? {
                    let leaf = Leaf {
                        unit: row.get(0)?,
                        version: row.get(1)?,
                        choice: choice(row, 2)?,
                        salt: row.get(5)?,
                    };
                    leaves.push(leaf.hash(&salt));
                }
            }
            let publication = Publication::of(leaves, number, now_ms);
            transaction.execute(
                "INSERT INTO publication (population, number, at_ms, salt, root) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![population, stored(number), stored(now_ms), salt, publication.root.0],
            )?;
            transaction.commit()?;
            Ok(publication)
        })
    }

    fn run<T>(&mut self, work: impl FnOnce(&mut rusqlite::Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let done = work(self.store.connection());
        done.map_err(|error| self.store.fault(&error))
    }
}

/// Purposes and window in three columns from `first` on. An empty list is a withdrawal.
fn choice(row: &Row<'_>, first: usize) -> rusqlite::Result<Choice> {
    let purposes = serde_json::from_str(row.get_ref(first)?.as_str()?).map_err(failed)?;
    let window = Window {
        from_ms: loaded(row.get(first + 1)?),
        until_ms: match row.get(first + 2)? {
            i64::MAX => u64::MAX,
            until => loaded(until),
        },
    };
    match row.get_ref(first)?.as_str()? {
        "[]" => Ok(Choice::Withdrawn),
        _ => Ok(Choice::Given { purposes, window }),
    }
}

/// SQLite's integers have a sign; what is beyond them is as good as for ever.
fn stored(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn loaded(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}
