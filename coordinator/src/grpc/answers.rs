//! What an analyst may read, from the engine's state. Runs on the driver's thread, so it is short and copies little. Another
//! analyst's jobs and releases do not exist here.

use engine::coordinator::{Explained, JobPhase};
use engine::message::TrialAnswer;
use engine::{AgentId, JobId, Refusal, codes};
use governance::act::By;
use governance::log::event::Role;
use governance::model::Version;
use governance::{Roster, SignedRequest, SignedRoster};
use proto::analysts::{Answer, revoked_grant};
use proto::handshake::{PROTOCOL_MAX, PROTOCOL_MIN, SOFTWARE};
use proto::v1;
use proto::v1::job_event::Event;

use crate::driver::{Desk, now_ms};
use crate::jobs::News;

/// The release of an analyst's own job.
pub fn release(desk: &Desk<'_>, job: &JobId, analyst: &str) -> Option<v1::Release> {
    let (signed, released_at_ms) = desk.engine.release(job, analyst)?;
    let request: &SignedRequest = &desk.engine.books().job(job)?.signed;
    let answer = Answer {
        signed: signed.clone(),
        released_at_ms,
        request: request.clone(),
        proof: desk.engine.books().log().proof(job)?.to_string(),
        revoked: desk.engine.revoked_under(job),
    };
    Some((&answer).into())
}

/// The same, or that it was deleted, or that it is nobody's.
pub fn release_or_why_not(desk: &Desk<'_>, job: &JobId, analyst: &str) -> Result<v1::Release, Refusal> {
    release(desk, job, analyst).ok_or_else(|| {
        let expired = desk.engine.expired(job, analyst);
        expired.unwrap_or_else(|| unknown_job(job))
    })
}

/// What the analyst signed for an own job, open or ended.
pub fn request(desk: &Desk<'_>, job: &JobId, analyst: &str) -> Option<v1::SignedRequest> {
    let own = desk.engine.books().job_of(job, analyst)?;
    Some(own.signed.as_ref().into())
}

/// The newest releases of an analyst.
pub fn releases(desk: &Desk<'_>, analyst: &str, limit: usize) -> Vec<v1::Release> {
    let jobs = desk.engine.jobs_of(analyst);
    jobs.filter_map(|job| release(desk, &job, analyst))
        .take(limit)
        .collect()
}

/// Leaves in one page of the log: some 700 KB.
const PAGE: u64 = 1_000;

/// A stretch of the log that a quorum vouches for, a page of it, and where the next one starts.
pub fn log_page(desk: &Desk<'_>, from: u64, to: Option<u64>) -> Option<(v1::LogPage, u64, u64)> {
    let log = desk.engine.books().log();
    let checkpoint = log.cosigned()?.to_owned();
    let to = to.unwrap_or(u64::MAX).min(log.cosigned_size());
    let next = to.min(from.saturating_add(PAGE));
    let leaves = log.leaves(from..next).map(ToString::to_string).collect();
    let rosters = desk.engine.books().rosters().cloned().map(Into::into).collect();
    let page = v1::LogPage {
        checkpoint,
        leaves,
        rosters,
    };
    Some((page, next, to))
}

/// The account that the caller may see, and of how many leaves it is.
pub fn usage(desk: &Desk<'_>, caller: &By) -> v1::Usage {
    let (books, roster) = (desk.engine.books(), desk.engine.roster());
    let speaks = caller.role == Role::Steward;
    let rows = books.usage().seen_by(&caller.organisation, speaks, roster);
    let dataset = |contract: &governance::ContentHash| books.dataset_of(contract).unwrap_or_default().to_owned();
    let organisation = |analyst: &str| {
        let entry = roster.analyst(analyst);
        entry.map(|entry| entry.organisation.clone()).unwrap_or_default()
    };
    let owner = |agent: &str| {
        let entry = roster.agent(agent);
        entry.map(|entry| entry.organisation.clone()).unwrap_or_default()
    };
    let asked = rows.asked.into_iter().map(|(asker, asked)| v1::AskedRow {
        organisation: organisation(&asker.analyst),
        analyst: asker.analyst,
        dataset: dataset(&asker.contract),
        contract: asker.contract.0.to_vec().into(),
        requests: asked.requests,
        releases: asked.releases,
        repeats: asked.repeats,
    });
    let used = rows.used.into_iter().map(|(user, used)| v1::UsedRow {
        organisation: organisation(&user.asker.analyst),
        analyst: user.asker.analyst,
        dataset: dataset(&user.asker.contract),
        contract: user.asker.contract.0.to_vec().into(),
        owner: owner(&user.participant),
        participant: user.participant,
        grant: user.grant.map(|grant| grant.0.to_vec().into()),
        allowed: used.allowed,
        refused: used.refused,
        tokens: used.tokens,
        epsilon_nano: used.epsilon_nano,
        without_noise: used.without_noise,
        vectors: used.vectors,
    });
    v1::Usage {
        asked: asked.collect(),
        used: used.collect(),
        log_size: books.log().size(),
    }
}

/// An analyst's models, as far as a quorum vouches for their releases.
pub fn models(desk: &Desk<'_>, analyst: &str) -> v1::Models {
    let registry = desk.engine.books().registry(analyst);
    let log = desk.engine.books().log();
    let published = |version: &&Version| JobId::parse(&version.release).is_some_and(|job| log.is_witnessed(&job));
    let releases = registry.into_iter().flat_map(|held| held.versions());
    let releases = releases.flat_map(|version| std::iter::once(&version.release).chain(&version.figures));
    let revoked = releases.flat_map(|id| {
        let under = JobId::parse(id).map(|job| desk.engine.revoked_under(&job));
        under
            .into_iter()
            .flatten()
            .map(|grant| revoked_grant(id.clone(), grant))
    });
    v1::Models {
        versions: registry
            .map(|held| held.versions().iter().filter(published).map(Into::into).collect())
            .unwrap_or_default(),
        moves: registry.map_or(0, |held| held.moves()),
        revoked: revoked.collect(),
    }
}

/// How a job ended; none while it is open.
pub fn ending(desk: &Desk<'_>, job: &JobId, analyst: &str) -> Option<v1::JobEvent> {
    let event = match desk.engine.job(job, analyst)?.phase {
        JobPhase::Released => Event::Release(release(desk, job, analyst)?),
        JobPhase::Failed(refused) => Event::Failure(v1::Failure {
            refused: Some(refused.into()),
            attempts_charged: desk.jobs.charged(job),
        }),
        JobPhase::Queued(_) | JobPhase::Round(_) | JobPhase::Witnessing(_) => return None,
    };
    Some(v1::JobEvent { event: Some(event) })
}

/// A job's news on the wire.
pub fn progress(news: News) -> v1::JobEvent {
    let progress = v1::Progress {
        phase: news.phase.to_owned(),
        round: news.round,
        rounds: news.rounds,
        contributors: news.contributors,
        cohort: news.cohort,
        attempt: news.attempt,
        figure: news.figure,
        reason: news.reason.map(Into::into),
    };
    v1::JobEvent {
        event: Some(Event::Progress(progress)),
    }
}

/// Versions, clock, cohort; and of jobs those of the caller's organisation: how busy others are is theirs.
pub fn status(desk: &Desk<'_>, signed_roster: SignedRoster, organisation: &str) -> v1::Status {
    let roster = desk.engine.roster();
    let epoch = desk.engine.epoch();
    v1::Status {
        consortium: roster.consortium.clone(),
        software: SOFTWARE.to_owned(),
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_MAX,
        now_ms: now_ms(),
        roster_version: roster.version,
        epoch_members: epoch.map_or(0, |epoch| epoch.members),
        colluders: epoch.map_or(roster.c, |epoch| epoch.c),
        threshold: epoch.map_or(0, |epoch| epoch.threshold),
        min_cohort: roster.min_cohort,
        epoch_live: epoch.is_some(),
        jobs_open: desk.engine.open_jobs_of(organisation) as u32,
        roster: Some(signed_roster.into()),
        agents_online: desk.links.len() as u32,
        epoch_present: epoch.map_or(0, |epoch| epoch.present),
    }
}

/// The one answer to a question about a job that is not there or not yours.
pub fn unknown_job(job: &JobId) -> Refusal {
    Refusal::new(codes::UNKNOWN_JOB, format!("no job {job} of yours")).remedy("`sotto release` lists your answers")
}

/// How each owner would decide.
pub fn explained(explained: Explained, roster: &Roster) -> v1::Explained {
    let owner = |(agent, answer): (AgentId, Option<TrialAnswer>)| v1::OwnerPath {
        organisation: roster
            .agent(agent.as_str())
            .map(|entry| entry.organisation.clone())
            .unwrap_or_default(),
        participant: agent.into(),
        path: answer.map(Into::into),
    };
    v1::Explained {
        owners: explained.owners.into_iter().map(owner).collect(),
    }
}
