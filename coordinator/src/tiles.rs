//! The log as files: c2sp.org/tlog-tiles in a folder that any web server can serve, for auditors and mirrors that read no stream.
//!
//! Written whenever a quorum closed a checkpoint: first the tiles that grew, each beside its place and then moved into it, and the
//! checkpoint last, so that whoever reads it finds every tile of its tree. A reader believes none of it before it has verified. After a start all of it is written anew, and
//! so after a write that failed: the store is the log, and these are copies. A thread of its own writes, because a folder may be on a
//! disk that hangs: the engine never waits, and what is not written yet comes with the next checkpoint. A few files a second.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use engine::coordinator::LogBooks;
use governance::log::TileError;
use governance::log::tiles::{Content, TilePath, entry_bundle, hash_tile};

/// Entries in a full bundle, as the format has it.
const WIDTH: u64 = 256;
/// Leaves whose files are in memory at a time: some 50 MB.
const PAGE: u64 = 1 << 16;

/// The folder, and how far it was written.
pub struct Tiles {
    batches: SyncSender<Batch>,
    /// Leaves that were handed to the writer.
    written: u64,
    failed: Arc<AtomicBool>,
}

/// What is to be written, in this order.
struct Batch {
    /// Leaves of before.
    from: u64,
    files: Vec<(String, Vec<u8>)>,
}

impl Tiles {
    /// Makes the folder and starts the writer.
    pub fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let (batches, inbox) = sync_channel(1);
        let (folder, failed) = (folder.to_owned(), Arc::new(AtomicBool::new(false)));
        let told = failed.clone();
        std::thread::Builder::new()
            .name("sotto-tiles".to_owned())
            .spawn(move || write_all(&folder, &inbox, &told))?;
        Ok(Self {
            batches,
            written: 0,
            failed,
        })
    }

    /// Everything up to the newest checkpoint with a quorum: a page at a time while there is much, the checkpoint with the last of it.
    pub fn publish(&mut self, log: &LogBooks) {
        if self.failed.swap(false, Ordering::SeqCst) {
            self.written = 0;
        }
        let Some(checkpoint) = log.cosigned() else { return };
        let size = log.cosigned_size();
        while self.written < size {
            let until = size.min(self.written.saturating_add(PAGE));
            let mut batch = match batch(log, self.written, until) {
                Ok(batch) => batch,
                Err(error) => return tracing::error!(%error, "tiles of the log not made"),
            };
            if until == size {
                batch
                    .files
                    .push(("checkpoint".to_owned(), checkpoint.as_bytes().to_vec()));
            }
            match self.batches.try_send(batch) {
                Ok(()) => self.written = until,
                // The disk is slower than the log: the next checkpoint brings it.
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => return,
            }
        }
    }
}

/// The files that change when the log grows.
fn batch(log: &LogBooks, from: u64, until: u64) -> Result<Batch, TileError> {
    let files = Vec::new();
    let mut batch = Batch { from, files };
    for path in TilePath::grown(from, until) {
        let bytes = match path.content {
            Content::Hashes { .. } => hash_tile(log.tree(), path)?,
            Content::Entries => {
                let first = path.index * WIDTH;
                let entries: Vec<_> = log.leaves(first..first + u64::from(path.width)).collect();
                entry_bundle(&entries.iter().map(|leaf| leaf.as_bytes()).collect::<Vec<_>>())?
            }
        };
        batch.files.push((path.to_string(), bytes));
    }
    Ok(batch)
}

fn write_all(folder: &Path, inbox: &Receiver<Batch>, failed: &AtomicBool) {
    let mut broken = false;
    for Batch { from, files } in inbox {
        // What follows a batch that is missing would name tiles that are not there; the next one from the beginning holds all.
        if broken && from > 0 {
            continue;
        }
        let written = files.iter().try_for_each(|(name, bytes)| put(folder, name, bytes));
        if let Err(error) = written {
            tracing::error!(folder = %folder.display(), %error, "the log's tiles could not be written; they are written anew");
            failed.store(true, Ordering::SeqCst);
            broken = true;
        } else {
            broken = false;
        }
    }
}

/// A reader sees the old file or the new one, whole.
fn put(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let place: PathBuf = folder.join(name);
    let beside = place.with_extension("new");
    if let Some(parent) = place.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(beside, place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::coordinator::Books;
    use engine::record::CoordinatorRecord;
    use governance::log::event::{Actor, Role};
    use governance::log::tiles::bundled_entries;
    use governance::log::{
        Algorithm, Checkpoint, Event, Kind, Nodes, NoteKey, SignedCheckpoint, TileReader, TreeHash, verify_inclusion,
    };
    use governance::{ContentHash, SigningKey};
    use sha2::{Digest, Sha256};
    use std::time::{Duration, Instant};

    const ORIGIN: &str = "heart/log";

    fn key() -> SigningKey {
        SigningKey::from_seed(&[3; 32]).unwrap()
    }

    /// A log of so many leaves whose head a quorum closed.
    fn grow(books: &mut Books, until: u64) {
        let actor = || Actor {
            role: Role::Coordinator,
            id: "hub".to_owned(),
            key: key().public(),
        };
        let first = books.log().size();
        let leaf = |at: u64| {
            let roster = ContentHash::of("roster", &[&at.to_le_bytes()]);
            let event = Event::new(Kind::Roster, at, actor()).refers("roster", roster);
            event.sign(&key()).unwrap().leaf().to_owned()
        };
        let leaves = (first..until).map(leaf).collect();
        books.apply(&CoordinatorRecord::Logged { first, leaves }).unwrap();
        let checkpoint = Checkpoint {
            origin: ORIGIN.to_owned(),
            size: until,
            root: books.log().tree().root(),
        };
        let checkpoint = checkpoint.sign(&key()).unwrap().to_string();
        books
            .apply(&CoordinatorRecord::Cosigned {
                size: until,
                checkpoint,
            })
            .unwrap();
    }

    /// RFC 6962, section 2.1, from its words alone.
    fn root(leaves: &[Vec<u8>]) -> [u8; 32] {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => Sha256::digest([&[0], &leaf[..]].concat()).into(),
            _ => {
                let half = leaves.len().next_power_of_two() / 2;
                let (left, right) = leaves.split_at(half);
                Sha256::digest([&[1], &root(left)[..], &root(right)[..]].concat()).into()
            }
        }
    }

    fn head(folder: &Path) -> Option<SignedCheckpoint> {
        let log = NoteKey::new(ORIGIN, Algorithm::Ed25519, key().public()).unwrap();
        let bytes = std::fs::read(folder.join("checkpoint")).ok()?;
        Some(SignedCheckpoint::open(&bytes, &log).unwrap())
    }

    fn until_written(folder: &Path, size: u64) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while head(folder).is_none_or(|head| head.checkpoint().size < size) {
            assert!(Instant::now() < deadline, "never written");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What an auditor does who has the folder and the log's key, and nothing of ours but the names of files.
    fn audited(folder: &Path) {
        let head = head(folder).unwrap();
        let head = head.checkpoint();
        let mut entries: Vec<Vec<u8>> = Vec::new();
        while (entries.len() as u64) < head.size {
            let (index, left) = (entries.len() / 256, head.size - entries.len() as u64);
            let name = match left >= 256 {
                true => format!("tile/entries/{index:03}"),
                false => format!("tile/entries/{index:03}.p/{left}"),
            };
            let mut bytes = &std::fs::read(folder.join(&name)).unwrap()[..];
            while let [high, low, rest @ ..] = bytes {
                let (entry, rest) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
                entries.push(entry.to_vec());
                bytes = rest;
            }
        }
        assert_eq!(entries.len() as u64, head.size);
        assert_eq!(root(&entries), head.root.0);
        // And by our own reader, from tiles of hashes alone.
        let fetch = |path: &TilePath| std::fs::read(folder.join(path.to_string())).ok();
        let reader = TileReader { size: head.size, fetch };
        for index in [0, head.size / 2, head.size - 1] {
            let proof = reader.inclusion(index, head.size).unwrap();
            let leaf = TreeHash::leaf(&entries[index as usize]);
            verify_inclusion(&leaf, index, head.size, &proof, &head.root).unwrap();
        }
    }

    #[test]
    fn whoever_has_the_folder_and_the_logs_key_checks_every_entry() {
        let folder = tempfile::tempdir().unwrap();
        let mut books = Books::default();
        let mut tiles = Tiles::open(folder.path()).unwrap();
        tiles.publish(books.log());
        assert!(head(folder.path()).is_none(), "no checkpoint, no files");
        for size in [1, 5, 255, 256, 300, 600] {
            grow(&mut books, size);
            tiles.publish(books.log());
            until_written(folder.path(), size);
            audited(folder.path());
        }
        // A flipped bit is found, and the next start writes everything anew.
        let path = folder.path().join("tile/entries/001");
        let mut bytes = std::fs::read(&path).unwrap();
        let whole = bytes.clone();
        bytes[100] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(std::panic::catch_unwind(|| audited(folder.path())).is_err());
        assert_eq!(bundled_entries(&whole).unwrap().len(), 256);
        std::fs::remove_file(folder.path().join("checkpoint")).unwrap();
        let mut tiles = Tiles::open(folder.path()).unwrap();
        tiles.publish(books.log());
        until_written(folder.path(), 600);
        audited(folder.path());
    }
}
