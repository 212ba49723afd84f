//! Masked vectors of the last rounds on disk, so that a sum can be replayed while its audit window is open. A thread of its
//! own appends them to segments of 64 MiB and forgets the oldest segment when there are too many bytes. A vector is moved
//! here, never copied; a disk that cannot keep up loses vectors, which costs auditability and never privacy.
//!
//! A segment is a sequence of entries: one line of JSON (job, epoch, slot, agent, ring, bytes), then the packed values.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};

use engine::Spool;

use crate::metrics;

const SEGMENT: u64 = 64 << 20;
/// Vectors that may wait for the disk.
const WAITING: usize = 8;

/// The way to the spool's thread.
pub struct Spooler(SyncSender<Spool>);

impl Spooler {
    /// Opens a folder that holds at most `limit` bytes.
    pub fn open(folder: &Path, limit: u64) -> io::Result<Self> {
        let mut segments = Segments::open(folder, limit)?;
        let (sender, queue) = sync_channel(WAITING);
        std::thread::Builder::new()
            .name("sotto-spool".to_owned())
            .spawn(move || {
                for vector in queue {
                    if let Err(error) = segments.append(&vector) {
                        tracing::warn!(%error, "a masked vector was not kept for audits");
                        metrics::spool_dropped();
                    }
                }
            })?;
        Ok(Self(sender))
    }

    /// Keeps a vector, unless too many wait already.
    pub fn keep(&self, vector: Spool) {
        if self.0.try_send(vector).is_err() {
            metrics::spool_dropped();
        }
    }
}

struct Segments {
    folder: PathBuf,
    limit: u64,
    /// Closed segments, oldest first, with their sizes.
    closed: VecDeque<(u64, u64)>,
    number: u64,
    open: File,
    filled: u64,
}

impl Segments {
    fn open(folder: &Path, limit: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut closed = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let number = name
                .to_str()
                .and_then(|name| name.strip_suffix(".spool")?.parse::<u64>().ok());
            if let Some(number) = number {
                closed.push((number, entry.metadata()?.len()));
            }
        }
        closed.sort_unstable();
        let number = closed.last().map_or(0, |(number, _)| number + 1);
        let mut segments = Self {
            open: segment(folder, number)?,
            folder: folder.to_owned(),
            limit,
            closed: closed.into(),
            number,
            filled: 0,
        };
        segments.forget()?;
        Ok(segments)
    }

    fn append(&mut self, spool: &Spool) -> io::Result<()> {
        let values = spool.vector.as_bytes();
        let head = serde_json::json!({
            "job": spool.job, "epoch": spool.at.epoch, "slot": spool.at.slot, "agent": spool.agent,
            "ring": spool.vector.ring(), "bytes": values.len(),
        });
        let head = format!("{head}\n");
        self.open.write_all(head.as_bytes())?;
        self.open.write_all(values)?;
        self.filled += (head.len() + values.len()) as u64;
        if self.filled >= SEGMENT.min(self.limit / 2) {
            self.closed.push_back((self.number, self.filled));
            self.number += 1;
            self.filled = 0;
            self.open = segment(&self.folder, self.number)?;
            self.forget()?;
        }
        Ok(())
    }

    /// Deletes the oldest segments until the newest fit.
    fn forget(&mut self) -> io::Result<()> {
        let room = self.limit.saturating_sub(SEGMENT.min(self.limit / 2));
        while self.closed.iter().map(|(_, bytes)| bytes).sum::<u64>() > room {
            let Some((number, _)) = self.closed.pop_front() else {
                return Ok(());
            };
            fs::remove_file(self.folder.join(name(number)))?;
        }
        Ok(())
    }
}

fn segment(folder: &Path, number: u64) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(folder.join(name(number)))
}

fn name(number: u64) -> String {
    format!("{number:012}.spool")
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{AgentId, JobId, Ring, RingVec, SlotId};

    fn vector(slot: u16) -> Spool {
        Spool {
            job: JobId([1; 16]),
            at: SlotId { epoch: 1, slot },
            agent: AgentId::from("a"),
            vector: RingVec::zero(Ring::Z32, 250),
        }
    }

    #[test]
    fn the_newest_vectors_are_kept_and_the_oldest_forgotten() {
        let folder = std::env::temp_dir().join(format!("sotto-spool-{}", std::process::id()));
        let mut segments = Segments::open(&folder, 10_000).unwrap();
        for slot in 0..40 {
            segments.append(&vector(slot)).unwrap();
        }
        drop(segments);
        let sizes = |folder: &Path| {
            fs::read_dir(folder)
                .unwrap()
                .map(|e| e.unwrap().metadata().unwrap().len())
                .sum::<u64>()
        };
        assert!(sizes(&folder) <= 12_000, "{}", sizes(&folder));
        let mut again = Segments::open(&folder, 10_000).unwrap();
        again.append(&vector(40)).unwrap();
        assert!(again.number > 1);
        fs::remove_dir_all(&folder).unwrap();
    }
}
