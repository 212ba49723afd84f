//! A coordinator's past, written into its store before it starts: answers and models of several analysts, vouched for by a quorum.

use engine::record::CoordinatorRecord;
use engine::release::{Receipt, Release};
use engine::{Digest, JobId, SignedRelease};
use governance::log::event::{Actor, Role as Signer};
use governance::log::{Event, Kind};
use governance::model::{Move, Standing};
use governance::{Addition, SignedRequest};
use proto::store::{NEWEST, Schema, SqliteStore, Store, TOMBSTONES};

use super::*;

pub const SCHEMA: Schema = Schema {
    application_id: 0x534f_434f,
    migrations: &[include_str!("../../migrations/0001_records.sql"), NEWEST, TOMBSTONES],
};

pub fn model_of(analyst: &str) -> ContentHash {
    ContentHash::of("model", &[analyst.as_bytes()])
}

#[derive(Default)]
pub struct Past {
    records: Vec<CoordinatorRecord>,
    leaves: Vec<String>,
}

impl Past {
    /// An answer of an analyst's, a millisecond after the one before.
    pub fn released(&mut self, (analyst, seed): (&str, u8), nonce: u8, adds: Option<Addition>) -> JobId {
        let request = SignedRequest::try_from(signed(analyst, seed, nonce)).unwrap();
        let hash = request.hash();
        let (job, at_ms) = (JobId::of(&hash.0), 1 + self.leaves.len() as u64);
        let release = Release {
            id: job,
            request_hash: hash,
            analyst: analyst.to_owned(),
            dataset: "heart".to_owned(),
            body: format!("a table of {analyst}, number {nonce}"),
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
                plan: Digest([3; 32]),
                sum: Digest([4; 32]),
                repeated: None,
            },
        };
        let release = SignedRelease::sign(release, &engine::SigningKey::from_seed(&[1; 32]));
        let key = SigningKey::from_seed(&[1; 32]).unwrap();
        let actor = Actor {
            role: Signer::Coordinator,
            id: "hub".to_owned(),
            key: key.public(),
        };
        let event = Event::new(Kind::Release, at_ms, actor);
        let event = event.refers("request", hash).refers("release", release.hash());
        self.leaves.push(event.sign(&key).unwrap().leaf().to_owned());
        self.records
            .push(CoordinatorRecord::JobSubmitted { job, request, at_ms });
        self.records.push(CoordinatorRecord::Released {
            release: Box::new(release),
            identity: Some(Digest([nonce + 100; 32])),
            at_ms,
            adds,
            grants: Default::default(),
        });
        job
    }

    /// The analyst's model goes into production.
    pub fn in_production(&mut self, (analyst, seed): (&str, u8)) {
        for (after, to) in [(0, Standing::Validated), (1, Standing::Production)] {
            let wanted = Move {
                analyst: analyst.to_owned(),
                model: model_of(analyst),
                to,
                note: String::new(),
                after,
                issued_at_ms: 1,
            };
            let signed = wanted.sign(&SigningKey::from_seed(&[seed; 32]).unwrap()).unwrap();
            self.records.push(CoordinatorRecord::ModelMoved { signed, at_ms: 9 });
        }
    }

    /// Puts it on disk.
    pub fn write(mut self, consortium: &Consortium) {
        let size = self.leaves.len() as u64;
        self.records.push(CoordinatorRecord::Logged {
            first: 0,
            leaves: self.leaves,
        });
        self.records.push(CoordinatorRecord::Cosigned {
            size,
            checkpoint: "a checkpoint for tests".to_owned(),
        });
        let rows: Vec<_> = self.records.iter().map(|record| record.to_row().unwrap()).collect();
        let mut store = SqliteStore::open(&consortium.path("c.sqlite"), &SCHEMA, None).unwrap();
        store.append(&rows).unwrap();
        store.close().unwrap();
    }
}

/// A version of a model, under the name of risk.
pub fn version(analyst: &str) -> Option<Addition> {
    Some(Addition::Version {
        name: "risk".to_owned(),
        model: model_of(analyst),
        parent: None,
    })
}

/// An answer and a model for each of these analysts.
pub fn past(consortium: &Consortium, analysts: &[(&str, u8)]) -> Vec<JobId> {
    let mut past = Past::default();
    let jobs = analysts.iter();
    let jobs = jobs.map(|(name, seed)| past.released((name, *seed), 40 + seed, version(name)));
    let jobs = jobs.collect();
    past.write(consortium);
    jobs
}
