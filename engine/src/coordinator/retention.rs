//! How long releases are kept. When a release is due, its body, the words of its request and the state of its run are erased, in the store
//! and here, and the log says so. What stays is what proves that it was: the leaves, their hashes and places, who asked, the counts.
//!
//! An answer that was given again is due with the one that it repeats. A model that is in production, or that another was trained from, stays,
//! and so does what no quorum has vouched for yet: nobody has seen it. A look at all jobs once a minute, and a few records a release.

use governance::log::{Event, Kind};
use governance::model::{Standing, Version};
use governance::{ContentHash, Request};

use super::{Books, Coordinator, JobState, Turn};
use crate::ids::JobId;
use crate::record::CoordinatorRecord;

const LOOK_MS: u64 = 60_000;
/// Releases that one step deletes.
const BATCH: usize = 64;

/// When to look next; lost in a crash.
#[derive(Default)]
pub(super) struct Retention {
    pub(super) look_at_ms: Option<u64>,
}

impl Coordinator {
    /// Deletes what is due.
    pub(super) fn tend_retention(&mut self, turn: &mut Turn) {
        let Some(keep_ms) = self.config.limits.keep_releases_ms else {
            return;
        };
        if self.retention.look_at_ms.is_some_and(|at_ms| turn.now_ms < at_ms) {
            return;
        }
        let due = self
            .books
            .released()
            .filter(|job| self.is_due(job, keep_ms, turn.now_ms));
        let due: Vec<JobId> = due.take(BATCH).copied().collect();
        let more = due.len() == BATCH;
        self.retention.look_at_ms = Some(turn.now_ms + if more { 1 } else { LOOK_MS });
        for job in due {
            self.delete(job, turn);
        }
    }

    fn is_due(&self, job: &JobId, keep_ms: u64, now_ms: u64) -> bool {
        let Some(entry) = self.books.job(job) else { return false };
        let JobState::Released { release, at_ms } = &entry.state else {
            return false;
        };
        let first = release
            .release
            .receipt
            .repeated
            .and_then(|first| self.books.job(&first));
        let since_ms = first.and_then(|first| first.state.released_at_ms()).unwrap_or(*at_ms);
        since_ms.saturating_add(keep_ms) <= now_ms && self.books.log().is_witnessed(job) && !self.is_in_use(job)
    }

    /// Whether a release is a model that still stands for something.
    fn is_in_use(&self, job: &JobId) -> bool {
        let name = job.to_string();
        let versions = || self.books.registries().flat_map(|registry| registry.versions());
        let mut own = versions().filter(|version| version.release == name);
        let parent = |model: &ContentHash| versions().any(|version| version.parent.as_ref() == Some(model));
        // A name can be rolled back to whatever stood for it before.
        let stood = |version: &Version| {
            let moved = version.moves.iter().any(|moved| moved.to == Standing::Production);
            moved && version.standing != Standing::RolledBack
        };
        own.any(|version| stood(version) || parent(&version.model))
    }

    fn delete(&mut self, job: JobId, turn: &mut Turn) {
        let Some((job_erased, release_erased)) = erased(&self.books, job, turn.now_ms) else {
            return;
        };
        let CoordinatorRecord::ReleaseErased { request, release, .. } = &release_erased else {
            return;
        };
        let (request, release, at_ms) = (*request, *release, turn.now_ms);
        self.record(job_erased, turn);
        self.record(release_erased, turn);
        self.log_own(
            |actor| {
                Event::new(Kind::Deletion, at_ms, actor)
                    .refers("deleted", release)
                    .refers("request", request)
            },
            turn,
        );
    }
}

/// The tombstones of a released job.
fn erased(books: &Books, job: JobId, now_ms: u64) -> Option<(CoordinatorRecord, CoordinatorRecord)> {
    let entry = books.job(&job)?;
    let JobState::Released { release, at_ms } = &entry.state else {
        return None;
    };
    let job_erased = CoordinatorRecord::JobErased {
        job,
        hash: entry.hash,
        request: Box::new(without_words(&entry.request)),
        at_ms: entry.submitted_at_ms,
    };
    let release_erased = CoordinatorRecord::ReleaseErased {
        job,
        request: release.release.request_hash,
        release: release.hash(),
        identity: books.identity_of(&job),
        repeats: release.release.receipt.repeated,
        released_at_ms: *at_ms,
        deleted_at_ms: now_ms,
        adds: books.addition_of(&job),
        grants: books.grants_of(&job).clone(),
    };
    Some((job_erased, release_erased))
}

/// What may be known of a request for as long as the books are kept: who asked for what kind of thing, of which data, at which price.
fn without_words(request: &Request) -> Request {
    Request {
        nonce: ContentHash([0; 32]),
        task: String::new(),
        ..request.clone()
    }
}

#[cfg(test)]
mod tests {
    use governance::{Addition, SigningKey};

    use super::*;
    use crate::release::{Receipt, Release, SignedRelease};

    const CANARY: &str = "select the canary";

    /// A job and its answer: two records.
    fn answered(
        nonce: u8,
        identity: u8,
        adds: Option<Addition>,
        repeats: Option<JobId>,
    ) -> (JobId, [CoordinatorRecord; 2]) {
        let request = Request {
            nonce: ContentHash([nonce; 32]),
            analyst: "ann".to_owned(),
            dataset: "heart".to_owned(),
            contract: ContentHash([1; 32]),
            purpose: "research".to_owned(),
            kind: "query".to_owned(),
            task: CANARY.to_owned(),
            epsilon: 1.0,
            delta: 1e-6,
            max_attempts: 2,
            issued_at_ms: 1,
            expires_at_ms: 60_000,
        };
        let request = request.sign(&SigningKey::from_seed(&[2; 32]).unwrap()).unwrap();
        let (hash, at_ms) = (request.hash(), u64::from(nonce));
        let job = JobId::of(&hash.0);
        let release = Release {
            id: job,
            request_hash: hash,
            analyst: "ann".to_owned(),
            dataset: "heart".to_owned(),
            body: CANARY.to_owned(),
            receipt: Receipt {
                unit: "row".to_owned(),
                neighbouring: "one row".to_owned(),
                epsilon: Some(1.0),
                delta: 1e-6,
                rho: None,
                epsilon_charged: Some(1.0),
                mechanism: "discrete Gaussian".to_owned(),
                contributors: 3,
                cohort: 3,
                members: 3,
                s_min: 3,
                c: 1,
                rounds: 1,
                attempts: 1,
                contract: ContentHash([1; 32]),
                plan: secagg::Digest([3; 32]),
                sum: secagg::Digest([4; 32]),
                repeated: repeats,
            },
        };
        let release = SignedRelease::sign(release, &secagg::SigningKey::from_seed(&[5; 32]));
        let released = CoordinatorRecord::Released {
            release: Box::new(release),
            identity: repeats.is_none().then_some(secagg::Digest([identity; 32])),
            at_ms,
            adds,
            grants: [(ContentHash([nonce; 32]), "north".to_owned())].into(),
        };
        (job, [CoordinatorRecord::JobSubmitted { job, request, at_ms }, released])
    }

    fn read(records: &[CoordinatorRecord]) -> Books {
        let mut books = Books::default();
        for record in records {
            books.apply(record).unwrap();
        }
        books
    }

    /// Whatever is deleted in whatever order: read again from a store in which tombstones stand where the words stood, the books are
    /// those that ran; and so they are where tombstones come last, as in the simulator.
    #[test]
    fn books_read_again_from_tombstones_are_the_books_that_ran() {
        let version = Addition::Version {
            name: "risk".to_owned(),
            model: ContentHash([8; 32]),
            parent: None,
        };
        let figures = Addition::Figures {
            model: ContentHash([8; 32]),
        };
        let (first, a) = answered(1, 1, Some(version), None);
        let (second, b) = answered(2, 1, Some(figures), None); // the same question once more
        let (third, c) = answered(3, 2, None, Some(first));
        let (_, last) = answered(4, 3, None, None);
        let stored: Vec<CoordinatorRecord> = [a, b, c, last].concat();
        for order in [[first, second, third], [third, second, first], [second, first, third]] {
            for deleted in 1..=3 {
                let (mut live, mut rows, mut appended) = (read(&stored), stored.clone(), stored.clone());
                for job in &order[..deleted] {
                    let (job_erased, release_erased) = erased(&live, *job, 1_000).unwrap();
                    let of_job = |row: &CoordinatorRecord| match row {
                        CoordinatorRecord::JobSubmitted { job, .. } => Some((*job, false)),
                        CoordinatorRecord::Released { release, .. } => Some((release.release.id, true)),
                        _ => None,
                    };
                    for row in &mut rows {
                        match of_job(row) {
                            Some((found, false)) if found == *job => *row = job_erased.clone(),
                            Some((found, true)) if found == *job => *row = release_erased.clone(),
                            _ => {}
                        }
                    }
                    for tombstone in [job_erased, release_erased] {
                        live.apply(&tombstone).unwrap();
                        appended.push(tombstone);
                    }
                    assert!(erased(&live, *job, 1_000).is_none(), "once is enough");
                }
                assert_eq!(read(&rows), live);
                assert_eq!(read(&appended), live);
                assert_eq!(live.usage(), read(&stored).usage(), "what was counted stays counted");
                let kept = format!("{live:?}").matches(CANARY).count();
                let gone = deleted * 2;
                // Each job holds its words twice (as signed, in bytes, and read) and its answer once; only text is searched here.
                assert_eq!(kept, 8 - gone, "{deleted} of {order:?}");
            }
        }
    }

    #[test]
    fn a_tombstone_on_disk_reads_back_and_holds_no_words() {
        let (job, records) = answered(9, 1, None, None);
        let (job_erased, release_erased) = erased(&read(&records), job, 1_000).unwrap();
        for (tombstone, kind) in [(job_erased, "job_submitted"), (release_erased, "released")] {
            let row = tombstone.to_row().unwrap();
            let nonce = format!("\"nonce\":\"{}\"", "09".repeat(32));
            assert!(!row.json.contains(CANARY) && !row.json.contains(&nonce), "{}", row.json);
            let replaced = row.replaces.clone().unwrap();
            assert_eq!((replaced.kind, replaced.key), (kind, job.to_string()));
            assert_eq!(CoordinatorRecord::from_row(&row).unwrap(), tombstone);
        }
    }
}
