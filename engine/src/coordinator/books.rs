//! The coordinator's durable state. [`Books::apply`] is the only thing that changes it, running or recovering; everything else
//! the coordinator knows is lost in a crash and can be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use governance::log::{EventError, Usage};
use governance::{
    Addition, ContentHash, MoveError, Register, RegisterError, Registry, Request, RosterError, SignedAct,
    SignedRequest, SignedRoster,
};

use super::log::LogBooks;
use super::tenure::Tenures;
use crate::ids::{EpochSeq, JobId};
use crate::message::{Carried, Previous, Wire};
use crate::record::CoordinatorRecord;
use crate::refused::Refused;
use crate::release::SignedRelease;
use crate::workload::CohortTerms;

/// Jobs, answers, and the last epoch number taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Books {
    last_epoch: EpochSeq,
    jobs: BTreeMap<JobId, Job>,
    /// In order of submission.
    order: Vec<JobId>,
    /// Those of them that have not ended.
    open: Vec<JobId>,
    /// Releases by the identity of their question.
    answers: BTreeMap<secagg::Digest, JobId>,
    /// Models, by analyst.
    registries: BTreeMap<String, Registry>,
    log: LogBooks,
    /// What people decided, in the order in which it was taken, and what that leads to.
    acts: Vec<SignedAct>,
    register: Register,
    /// Grants that releases were made under, and whose data they opened.
    grants: BTreeMap<JobId, BTreeSet<(ContentHash, String)>>,
    usage: Usage,
    /// What the datasets are called whose contracts requests named.
    names: BTreeMap<ContentHash, String>,
    /// Rosters that were in force, in the order in which they came.
    rosters: Vec<(ContentHash, SignedRoster)>,
    tenures: Tenures,
    /// Jobs of analysts whose names went to somebody else, and their models.
    former: BTreeSet<JobId>,
    former_models: Vec<(String, Registry)>,
}

/// One request and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Of the request as it was signed.
    pub hash: ContentHash,
    /// Empty, and without words, once the release was deleted.
    pub signed: Arc<SignedRequest>,
    pub request: Arc<Request>,
    pub submitted_at_ms: u64,
    pub state: JobState,
}

impl Job {
    /// The answer, if there is one.
    pub fn release(&self) -> Option<&SignedRelease> {
        match &self.state {
            JobState::Released { release, .. } => Some(release),
            _ => None,
        }
    }
}

/// A job ends once.
#[derive(Clone, Debug, PartialEq)]
pub enum JobState {
    Open(Progress),
    Released {
        release: Box<SignedRelease>,
        at_ms: u64,
    },
    /// It was released, and the release was deleted when its time was over.
    Expired(Expired),
    Failed {
        refused: Refused,
        at_ms: u64,
    },
}

/// What is left of a release that was deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct Expired {
    pub release: ContentHash,
    /// The earlier one that it repeated.
    pub repeats: Option<JobId>,
    pub released_at_ms: u64,
    pub deleted_at_ms: u64,
}

impl JobState {
    /// When the job was answered, if it was.
    pub fn released_at_ms(&self) -> Option<u64> {
        match self {
            Self::Released { at_ms, .. } => Some(*at_ms),
            Self::Expired(expired) => Some(expired.released_at_ms),
            Self::Open(_) | Self::Failed { .. } => None,
        }
    }
}

/// How far an open job is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    pub round: u32,
    /// The newest attempt that agents may have seen, counted from 0; none before the first.
    pub attempt: Option<u32>,
    /// What the round before left.
    pub previous: Option<Link>,
    /// Grants that its summed rounds were made under, and the owners.
    pub grants: BTreeSet<(ContentHash, String)>,
}

/// The end of a job's chain of rounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    pub sum_hash: secagg::Digest,
    /// Packed in the ring of the plan that follows from `terms`.
    pub sum: Wire,
    pub contributors: u32,
    pub terms: CohortTerms,
    pub state: Arc<[u8]>,
    pub state_hash: [u8; 32],
}

impl Link {
    /// For an agent that holds nothing to continue from.
    pub(crate) fn whole(&self) -> Previous {
        Previous {
            sum_hash: self.sum_hash.0,
            state_hash: self.state_hash,
            terms: self.terms,
            carried: Carried::State(self.state.clone()),
        }
    }

    /// For an agent that holds the state before.
    pub(crate) fn sum(&self) -> Carried {
        Carried::Sum {
            values: self.sum.clone(),
            contributors: self.contributors,
        }
    }
}

/// Records that no run of this program could have written in this order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistent {
    #[error("record of {0}, which is not an open job")]
    NotOpen(JobId),
    #[error("{0} was submitted twice")]
    Twice(JobId),
    #[error("request of {0} is not readable")]
    Unreadable(JobId),
    #[error("epoch number {found} after {last}")]
    EpochNumber { last: EpochSeq, found: EpochSeq },
    #[error("leaf {found} of the log after {size}")]
    Leaf { size: u64, found: u64 },
    #[error("a leaf of the log: {0}")]
    Event(#[from] EventError),
    #[error("a model was moved as it cannot be: {0}")]
    Move(#[from] MoveError),
    #[error("an act was taken that cannot be: {0}")]
    Act(#[from] RegisterError),
    #[error("a roster that was in force: {0}")]
    Roster(#[from] RosterError),
}

impl Books {
    /// Makes one record true.
    pub fn apply(&mut self, record: &CoordinatorRecord) -> Result<(), Inconsistent> {
        match record {
            CoordinatorRecord::EpochOpened { epoch } => {
                if *epoch <= self.last_epoch {
                    let last = self.last_epoch;
                    return Err(Inconsistent::EpochNumber { last, found: *epoch });
                }
                self.last_epoch = *epoch;
            }
            CoordinatorRecord::JobSubmitted { job, request, at_ms } => {
                if self.jobs.contains_key(job) {
                    return Err(Inconsistent::Twice(*job));
                }
                let parsed: Request =
                    serde_json::from_slice(&request.body).map_err(|_| Inconsistent::Unreadable(*job))?;
                self.submitted(*job, request.hash(), request.clone(), parsed, *at_ms);
            }
            CoordinatorRecord::JobErased {
                job,
                hash,
                request,
                at_ms,
            } => match self.jobs.get_mut(job) {
                Some(entry) => {
                    entry.signed = Arc::new(nothing_signed());
                    entry.request = Arc::new((**request).clone());
                }
                None => self.submitted(*job, *hash, nothing_signed(), (**request).clone(), *at_ms),
            },
            CoordinatorRecord::ReleaseErased {
                job,
                request,
                release,
                identity,
                repeats,
                released_at_ms,
                deleted_at_ms,
                adds,
                grants,
            } => {
                let entry = self.jobs.get(job).ok_or(Inconsistent::NotOpen(*job))?;
                match &entry.state {
                    JobState::Released { .. } => {}
                    // Read again: the row stands where the release stood.
                    JobState::Open(_) => {
                        let analyst = entry.request.analyst.clone();
                        self.released_once(
                            *job,
                            &analyst,
                            (request, repeats.is_some()),
                            adds,
                            grants,
                            *released_at_ms,
                        );
                    }
                    _ => return Err(Inconsistent::NotOpen(*job)),
                }
                if let Some(identity) = identity {
                    self.answers.remove(identity);
                }
                let expired = Expired {
                    release: *release,
                    repeats: *repeats,
                    released_at_ms: *released_at_ms,
                    deleted_at_ms: *deleted_at_ms,
                };
                self.end(*job, JobState::Expired(expired));
            }
            CoordinatorRecord::AttemptOpened { job, round, attempt } => {
                let progress = self.open_mut(job)?;
                progress.round = *round;
                progress.attempt = Some(*attempt);
            }
            CoordinatorRecord::Advanced {
                job,
                round,
                previous_sum,
                terms,
                contributors,
                grants,
                state,
                sum,
            } => {
                let progress = self.open_mut(job)?;
                progress.round = round + 1;
                progress.grants = grants.clone();
                progress.previous = Some(Link {
                    sum_hash: *previous_sum,
                    sum: sum.clone(),
                    contributors: *contributors,
                    terms: *terms,
                    state: state.clone(),
                    state_hash: Previous::hash_of(state),
                });
            }
            CoordinatorRecord::Released {
                release,
                identity,
                at_ms,
                adds,
                grants,
            } => {
                let job = release.release.id;
                self.open_mut(&job)?;
                if let Some(identity) = identity {
                    self.answers.insert(*identity, job); // of two, the later one: what the first stood on may have ended
                }
                let said = &release.release;
                let repeats = said.receipt.repeated.is_some();
                self.released_once(job, &said.analyst, (&said.request_hash, repeats), adds, grants, *at_ms);
                let release = release.clone();
                self.end(job, JobState::Released { release, at_ms: *at_ms });
            }
            CoordinatorRecord::ModelMoved { signed, at_ms } => {
                let wanted = signed.read()?;
                let registry = self.registries.entry(wanted.analyst.clone()).or_default();
                registry.apply(&wanted, *at_ms)?;
            }
            CoordinatorRecord::Logged { first, leaves } => {
                if *first != self.log.size() {
                    let (size, found) = (self.log.size(), *first);
                    return Err(Inconsistent::Leaf { size, found });
                }
                let usage = &mut self.usage;
                self.log.append(leaves, |event| usage.take_agent(event))?;
            }
            CoordinatorRecord::Cosigned { size, checkpoint } => self.log.cosign(*size, checkpoint.clone()),
            CoordinatorRecord::ActTaken { signed, .. } => {
                let act = signed.read().map_err(RegisterError::from)?;
                self.register.apply(signed.hash(), &act)?;
                self.acts.push(signed.clone());
            }
            CoordinatorRecord::RosterKept { roster } => {
                for name in self.tenures.next(&roster.read()?) {
                    self.passed_on(name);
                }
                self.rosters.push((roster.hash(), roster.clone()));
            }
            CoordinatorRecord::JobFailed { job, refused, at_ms } => {
                self.open_mut(job)?;
                let refused = refused.clone();
                self.end(*job, JobState::Failed { refused, at_ms: *at_ms });
            }
        }
        Ok(())
    }

    fn submitted(&mut self, job: JobId, hash: ContentHash, signed: SignedRequest, request: Request, at_ms: u64) {
        self.usage.request(hash, &request.analyst, request.contract);
        self.names.insert(request.contract, request.dataset.clone());
        let entry = Job {
            hash,
            signed: Arc::new(signed),
            request: Arc::new(request),
            submitted_at_ms: at_ms,
            state: JobState::Open(Progress::default()),
        };
        self.jobs.insert(job, entry);
        self.order.push(job);
        self.open.push(job);
    }

    /// What a release leaves behind, whatever becomes of itself.
    fn released_once(
        &mut self,
        job: JobId,
        analyst: &str,
        (request, repeats): (&ContentHash, bool),
        adds: &Option<Addition>,
        grants: &BTreeSet<(ContentHash, String)>,
        at_ms: u64,
    ) {
        if let Some(addition) = adds.as_ref().filter(|_| !self.former.contains(&job)) {
            let registry = self.registries.entry(analyst.to_owned()).or_default();
            registry.add(job.to_string(), addition, at_ms);
        }
        self.usage.release(request, repeats);
        if !grants.is_empty() {
            self.grants.insert(job, grants.clone());
        }
    }

    /// Somebody else has this name now.
    fn passed_on(&mut self, name: String) {
        let of_name = self.jobs.iter().filter(|(_, job)| job.request.analyst == name);
        self.former.extend(of_name.map(|(id, _)| *id));
        self.answers.retain(|_, job| !self.former.contains(job));
        if let Some(models) = self.registries.remove(&name) {
            self.former_models.push((name, models));
        }
    }

    /// The job, if it is of whoever holds this name now.
    pub fn job_of(&self, job: &JobId, analyst: &str) -> Option<&Job> {
        let found = self.jobs.get(job).filter(|entry| entry.request.analyst == analyst)?;
        (!self.former.contains(job)).then_some(found)
    }

    /// The transparency log.
    pub fn log(&self) -> &LogBooks {
        &self.log
    }

    /// Jobs that were answered, whether a quorum vouches for the answer or not.
    pub fn released(&self) -> impl Iterator<Item = &JobId> {
        let jobs = self.order.iter().filter_map(|id| self.jobs.get_key_value(id));
        jobs.filter(|(_, job)| job.release().is_some()).map(|(id, _)| id)
    }

    /// The number of the next epoch.
    pub fn next_epoch(&self) -> EpochSeq {
        self.last_epoch + 1
    }

    /// A job by its id.
    pub fn job(&self, job: &JobId) -> Option<&Job> {
        self.jobs.get(job)
    }

    /// The progress of a job that has not ended.
    pub fn open(&self, job: &JobId) -> Option<&Progress> {
        match &self.jobs.get(job)?.state {
            JobState::Open(progress) => Some(progress),
            _ => None,
        }
    }

    /// An analyst's models; none before the first.
    pub fn registry(&self, analyst: &str) -> Option<&Registry> {
        self.registries.get(analyst)
    }

    /// Everybody's models.
    pub fn registries(&self) -> impl Iterator<Item = &Registry> {
        let former = self.former_models.iter().map(|(_, models)| models);
        self.registries.values().chain(former)
    }

    /// The question that is answered from a job's release, if it still is.
    pub(super) fn identity_of(&self, job: &JobId) -> Option<secagg::Digest> {
        let mut answers = self.answers.iter();
        answers.find(|(_, held)| *held == job).map(|(identity, _)| *identity)
    }

    /// What a job's release added to its analyst's registry.
    pub(super) fn addition_of(&self, job: &JobId) -> Option<Addition> {
        let analyst = &self.jobs.get(job)?.request.analyst;
        let former = self.former_models.iter().filter(|(name, _)| name == analyst);
        let registries = self
            .registry(analyst)
            .into_iter()
            .chain(former.map(|(_, models)| models));
        let name = job.to_string();
        registries.flat_map(Registry::versions).find_map(|version| {
            let (model, parent) = (version.model, version.parent);
            if version.release == name {
                let name = version.name.clone();
                return Some(Addition::Version { name, model, parent });
            }
            version.figures.contains(&name).then_some(Addition::Figures { model })
        })
    }

    /// Rosters that were in force here, in the order in which they came.
    pub fn rosters(&self) -> impl Iterator<Item = &SignedRoster> {
        self.rosters.iter().map(|(_, roster)| roster)
    }

    /// One of them by its hash.
    pub fn roster(&self, hash: &ContentHash) -> Option<&SignedRoster> {
        let found = self.rosters.iter().find(|(of, _)| of == hash);
        found.map(|(_, roster)| roster)
    }

    /// What people decided, in the order in which it was taken.
    pub fn acts(&self) -> &[SignedAct] {
        &self.acts
    }

    /// What the acts lead to.
    pub fn register(&self) -> &Register {
        &self.register
    }

    /// Grants, with their owners, that a release was made under.
    pub fn grants_of(&self, job: &JobId) -> &BTreeSet<(ContentHash, String)> {
        static NONE: BTreeSet<(ContentHash, String)> = BTreeSet::new();
        self.grants.get(job).unwrap_or(&NONE)
    }

    /// What was asked and used: requests and answers by these books, the rest by what agents signed.
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// The dataset that a contract belongs to, if anybody ever asked under it.
    pub fn dataset_of(&self, contract: &ContentHash) -> Option<&str> {
        self.names.get(contract).map(String::as_str)
    }

    /// Jobs in order of submission.
    pub fn jobs(&self) -> impl DoubleEndedIterator<Item = (&JobId, &Job)> {
        self.order.iter().filter_map(|id| self.jobs.get_key_value(id))
    }

    /// Jobs that have not ended, in order of submission.
    pub fn open_jobs(&self) -> &[JobId] {
        &self.open
    }

    /// The release of a question that was answered before.
    pub fn answer(&self, identity: &secagg::Digest) -> Option<&SignedRelease> {
        self.jobs.get(self.answers.get(identity)?)?.release()
    }

    fn open_mut(&mut self, job: &JobId) -> Result<&mut Progress, Inconsistent> {
        match self.jobs.get_mut(job).map(|entry| &mut entry.state) {
            Some(JobState::Open(progress)) => Ok(progress),
            _ => Err(Inconsistent::NotOpen(*job)),
        }
    }

    fn end(&mut self, job: JobId, state: JobState) {
        self.open.retain(|open| *open != job);
        if let Some(entry) = self.jobs.get_mut(&job) {
            entry.state = state;
        }
    }
}

/// What stands for a signed request whose words were erased.
fn nothing_signed() -> SignedRequest {
    SignedRequest {
        body: Vec::new(),
        signature: Vec::new(),
        event: Vec::new(),
    }
}
