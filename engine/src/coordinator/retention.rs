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
        let own = versions().filter(|version| version.release == name);
        let parent = |model: &ContentHash| versions().any(|version| version.parent.as_ref() == Some(model));
        // A name can be rolled back to whatever stood for it before.
        let stood = |version: &Version| {
            let moved = version.moves.iter().any(|moved| moved.to == Standing::Production);
            moved && version.standing != Standing::RolledBack
        };
        own.into_iter().any(|version| stood(version) || parent(&version.model))
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
