//! The store against stories of bad days: crash, disk full, corruption, a newer file, a second process.

use std::path::PathBuf;

use super::*;

const ONE: &str =
    "CREATE TABLE record (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, json TEXT NOT NULL, blob BLOB) STRICT";
const OLD: Schema = Schema {
    application_id: 0x51,
    migrations: &[ONE, NEWEST],
};
const NEW: Schema = Schema {
    application_id: 0x51,
    migrations: &[ONE, NEWEST, "CREATE INDEX record_kind ON record (kind)"],
};

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("records.db");
    (directory, path)
}

fn row(kind: &str, blob: Option<&[u8]>) -> Row {
    Row {
        kind: kind.to_owned(),
        json: "{\"a\":1}".to_owned(),
        blob: blob.map(Into::into),
        newest_of: None,
        replaces: None,
    }
}

#[test]
fn of_large_parts_of_one_name_the_newest_is_kept() {
    let (_directory, path) = place();
    let named = |name: &str, byte: u8| Row {
        newest_of: Some(name.to_owned()),
        ..row("advanced", Some(&[byte; 9]))
    };
    {
        let mut store = SqliteStore::open(&path, &OLD, None).unwrap();
        store.append(&[row("first", None), named("a", 1)]).unwrap();
        store
            .append(&[named("a", 2), named("b", 3), row("last", None)])
            .unwrap();
    }
    let rows = SqliteStore::open(&path, &OLD, None).unwrap().rows().unwrap();
    assert_eq!(
        rows,
        [row("first", None), named("a", 2), named("b", 3), row("last", None)]
    );
}

fn refused(path: &Path, schema: &Schema) -> StoreError {
    match SqliteStore::open(path, schema, None) {
        Ok(_) => panic!("opened"),
        Err(error) => error,
    }
}

#[test]
fn rows_come_back_in_order_after_the_file_is_opened_again() {
    let (_directory, path) = place();
    let rows = [row("first", None), row("second", Some(&[1, 2, 3])), row("third", None)];
    {
        let mut store = SqliteStore::open(&path, &OLD, None).unwrap();
        store.append(&rows[..2]).unwrap();
        store.append(&rows[2..]).unwrap();
        store.append(&[]).unwrap();
    }
    assert_eq!(SqliteStore::open(&path, &OLD, None).unwrap().rows().unwrap(), rows);
}

#[test]
fn a_newer_program_migrates_and_the_older_one_then_refuses() {
    let (_directory, path) = place();
    SqliteStore::open(&path, &OLD, None)
        .unwrap()
        .append(&[row("kept", None)])
        .unwrap();
    assert_eq!(SqliteStore::open(&path, &NEW, None).unwrap().rows().unwrap().len(), 1);
    assert!(matches!(
        refused(&path, &OLD),
        StoreError::Newer { known: 2, found: 3, .. }
    ));
    assert!(SqliteStore::open(&path, &NEW, None).is_ok());
}

#[test]
fn a_second_process_and_another_program_are_refused() {
    let (_directory, path) = place();
    let open = SqliteStore::open(&path, &OLD, None).unwrap();
    assert!(matches!(refused(&path, &OLD), StoreError::InUse { .. }));
    drop(open);
    let other = Schema {
        application_id: 0x52,
        ..OLD
    };
    assert!(matches!(
        refused(&path, &other),
        StoreError::OtherApplication { found: 0x51, .. }
    ));
}

#[test]
fn a_corrupt_file_is_refused_with_the_way_to_inspect_it() {
    let (_directory, path) = place();
    let rows: Vec<Row> = (0..2000).map(|_| row("x", Some(&[7; 100]))).collect();
    let mut store = SqliteStore::open(&path, &NEW, None).unwrap();
    store.append(&rows).unwrap();
    store.close().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0x5a);
    fs::write(&path, &bytes).unwrap();
    let error = refused(&path, &NEW);
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("integrity_check"));
    fs::write(&path, b"this is a text file and not a database at all").unwrap();
    assert!(matches!(refused(&path, &NEW), StoreError::Corrupt { .. }));
    assert_eq!(
        fs::read(&path).unwrap(),
        b"this is a text file and not a database at all"
    );
}

#[test]
fn a_full_disk_keeps_all_rows_of_a_step_or_none() {
    let (_directory, path) = place();
    let mut store = SqliteStore::open(&path, &OLD, Some(16)).unwrap();
    store.append(&[row("fits", None)]).unwrap();
    let big = vec![0; 70_000];
    let error = store.append(&[row("small", None), row("big", Some(&big))]).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    let kinds: Vec<String> = store.rows().unwrap().into_iter().map(|row| row.kind).collect();
    assert_eq!(kinds, ["fits"]);
}

#[test]
fn the_file_is_nobody_elses_to_read() {
    use std::os::unix::fs::PermissionsExt;
    let (_directory, path) = place();
    let _store = SqliteStore::open(&path, &OLD, None).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

const ERASING: Schema = Schema {
    application_id: 0x51,
    migrations: &[
        include_str!("../../../coordinator/migrations/0001_records.sql"),
        NEWEST,
        TOMBSTONES,
    ],
};

fn said(kind: &str, job: &str, words: &str) -> Row {
    Row {
        json: format!("{{\"job\":\"{job}\",\"words\":\"{words}\"}}"),
        ..row(kind, None)
    }
}

fn tombstone(job: &str) -> Row {
    Row {
        replaces: Some(engine::record::Replaced {
            kind: "job_submitted",
            key: job.to_owned(),
            newest_of: Some(job.to_owned()),
        }),
        ..said("job_erased", job, "")
    }
}

/// Whether the words are in the file, its write-ahead log, or any other beside it.
fn found(directory: &Path, words: &str) -> bool {
    fs::read_dir(directory).unwrap().any(|entry| {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        bytes.windows(words.len()).any(|window| window == words.as_bytes())
    })
}

#[test]
fn what_is_erased_is_in_no_byte_of_any_file_and_its_tombstone_stands_in_its_place() {
    let (directory, path) = place();
    let canary = "the-canary-of-the-retention-story";
    let model = Row {
        newest_of: Some("a".to_owned()),
        ..row("advanced", Some(canary.repeat(3000).as_bytes()))
    };
    let mut store = SqliteStore::open(&path, &ERASING, None).unwrap();
    let (a, b) = (said("job_submitted", "a", canary), said("job_submitted", "b", "kept"));
    store.append(&[a, model, b.clone(), row("last", None)]).unwrap();
    assert!(found(directory.path(), canary));
    store.append(&[tombstone("a"), row("logged", None)]).unwrap();
    assert!(!found(directory.path(), canary), "while the store is open");
    drop(store);
    assert!(!found(directory.path(), canary));
    let rows = SqliteStore::open(&path, &ERASING, None).unwrap().rows().unwrap();
    let kept = said("job_erased", "a", "");
    assert_eq!(rows, [kept, b, row("last", None), row("logged", None)]);
}

#[test]
fn rows_of_an_older_file_can_be_erased_after_its_migration() {
    let (directory, path) = place();
    let canary = "words-that-an-older-version-wrote";
    let before = Schema {
        migrations: &ERASING.migrations[..2],
        ..ERASING
    };
    let mut store = SqliteStore::open(&path, &before, None).unwrap();
    store.append(&[said("job_submitted", "a", canary)]).unwrap();
    store.close().unwrap();
    let mut store = SqliteStore::open(&path, &ERASING, None).unwrap();
    store.append(&[tombstone("a")]).unwrap();
    assert!(!found(directory.path(), canary));
}

#[test]
fn an_agent_s_own_records_become_tombstones_and_words_and_salt_are_in_no_byte() {
    use engine::record::ParticipantRecord;
    use governance::{ContentHash, log::Payload};

    let (directory, path) = place();
    let schema = Schema {
        migrations: &[
            include_str!("../../../participant/migrations/0001_records.sql"),
            NEWEST,
            TOMBSTONES,
        ],
        ..ERASING
    };
    let refused = |salt: u8, text: &str| ParticipantRecord::Logged {
        leaf: format!("leaf {salt}"),
        payload: Some(Payload {
            salt: ContentHash([salt; 32]),
            text: text.to_owned(),
        }),
    };
    let canary = "because of the canary";
    let mut store = SqliteStore::open(&path, &schema, None).unwrap();
    for record in [refused(7, canary), refused(8, "kept")] {
        store.append(&[record.to_row().unwrap()]).unwrap();
    }
    let salt = "07".repeat(32);
    assert!(found(directory.path(), canary) && found(directory.path(), &salt));
    let erased = ParticipantRecord::PayloadErased {
        leaf: "leaf 7".to_owned(),
        salt: Some(ContentHash([7; 32])),
    };
    store.append(&[erased.to_row().unwrap()]).unwrap();
    assert!(!found(directory.path(), canary) && !found(directory.path(), &salt));
    let rows = store.rows().unwrap();
    let read: Vec<_> = rows
        .iter()
        .map(|row| ParticipantRecord::from_row(row).unwrap())
        .collect();
    let kept = ParticipantRecord::PayloadErased {
        leaf: "leaf 7".to_owned(),
        salt: None,
    };
    assert_eq!(read, [kept, refused(8, "kept")]);
}

#[test]
fn a_tombstone_of_nothing_is_refused_with_its_whole_step_and_nothing_else_of_a_row_changes() {
    let (_directory, path) = place();
    let mut store = SqliteStore::open(&path, &ERASING, None).unwrap();
    store.append(&[said("job_submitted", "a", "kept")]).unwrap();
    assert!(store.append(&[row("logged", None), tombstone("b")]).is_err());
    assert_eq!(store.rows().unwrap().len(), 1);
    for change in [
        "UPDATE record SET json = '{}'",
        "UPDATE record SET kind = 'job_erased', seq = 9",
        "DELETE FROM record",
    ] {
        assert!(store.connection().execute(change, []).is_err(), "{change}");
    }
}
