//! A filter by consent over ten rows a person: the question of `query-overhead` with rows of persons bounded, by an agent that
//! requires consent and by one that does not, in turns. Everybody consents, so that the filter saves no work, and once four of five do.
//!
//! Twice: ids one after another, as a hospital numbers its patients, and ids scattered over 63 bits, as exports make them up. The ratio
//! that is reported is the worse one. Units were read when the file was opened; what that costs, and a filter made anew after a
//! change, is told beside it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use engine::participant::Consent;
use engine::{CohortTerms, Compute, JobId, SlotId};
use governance::{ContentHash, LogicalType, Request};
use privacy::sampler::ExactSampler;
use serde_json::{Map, Value, json};
use sotto_participant::compute::Engine;
use sotto_participant::config::Mapping;
use sotto_participant::consent::{Choice, Consents, People, Purposes, Terms, Window};
use sotto_participant::data::Dataset;
use tests::learn::Result;
use workload::query::{KIND, QueryTask, UnitId};

use crate::query_overhead::{SQL, alternate, contract, mix, write};

const ROWS_PER_PERSON: u64 = 10;
const SECRET: [u8; 32] = [7; 32];
const PEOPLE: &str = "people";

pub(super) fn measure(rows: u64, runs: usize) -> Result<Map<String, Value>> {
    let dense = Measured::of(rows, runs, |person| person as i64)?;
    let sparse = Measured::of(rows, runs, |person| (mix(person + 1) >> 1) as i64)?;
    let both = |of: fn(&Measured) -> f64| json!({ "dense_ids": of(&dense), "scattered_ids": of(&sparse) });
    let figures = json!({
        "consent_filter_ratio": dense.ratio_all.max(sparse.ratio_all),
        "consent_filter_ratio_all": both(|m| m.ratio_all),
        "consent_filter_ratio_four_of_five": both(|m| m.ratio_some),
        "consent_query_seconds": both(|m| m.plain_seconds),
        "consent_units_read_seconds": both(|m| m.open_seconds),
        "consent_import_seconds": both(|m| m.record_seconds),
        "consent_filter_made_anew_ms": both(|m| m.anew_ms),
        "consent_publish_seconds": both(|m| m.publish_seconds),
        "consent_stamp_ns": both(|m| m.stamp_ns),
        "consent_rows": rows,
        "consent_subjects": rows / ROWS_PER_PERSON,
    });
    match figures {
        Value::Object(figures) => Ok(figures),
        _ => Err("no figures".into()),
    }
}

struct Measured {
    ratio_all: f64,
    ratio_some: f64,
    plain_seconds: f64,
    open_seconds: f64,
    record_seconds: f64,
    anew_ms: f64,
    publish_seconds: f64,
    stamp_ns: f64,
}

impl Measured {
    fn of(rows: u64, runs: usize, id: fn(u64) -> i64) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("census.parquet");
        write(&file, rows, ROWS_PER_PERSON, id)?;
        let people = rows / ROWS_PER_PERSON;
        let all = consents(&folder.path().join("all.sqlite"))?;
        let some = consents(&folder.path().join("some.sqlite"))?;
        let (record_seconds, _) = timed(|| record(&all, (0..people).map(id)))?;
        record(&some, (0..people).filter(|person| person % 5 > 0).map(id))?;

        let contract = contract(true, rows)?;
        let open = || {
            Dataset::open(
                contract.clone(),
                &[file.to_string_lossy().into_owned()],
                Mapping::default(),
            )
        };
        let plain = Engine::new([Arc::new(open()?)], &SECRET);
        let requiring = |consents: &Arc<Consents>| Engine::new([], &SECRET).requiring(consents.clone());
        let (with_all, with_some) = (requiring(&all), requiring(&some));
        with_some.reopened(Arc::new(open()?));
        let dataset = Arc::new(open()?);
        let (open_seconds, ()) = timed(|| {
            with_all.reopened(dataset);
            Ok(())
        })?;

        let compute = question(&contract)?;
        let answer = |engine: &Engine| -> Result<Vec<i64>> {
            let mut sampler = ExactSampler::new([3; 32]);
            Ok(engine.compute_with(&compute, &mut sampler)?.into_values())
        };
        if answer(&plain)? != answer(&with_all)? {
            return Err("everybody consents, and rows are missing".into());
        }
        let times = alternate(
            runs,
            &mut [
                &mut || answer(&plain).map(drop),
                &mut || answer(&with_all).map(drop),
                &mut || answer(&with_some).map(drop),
            ],
        )?;
        let now_ms = 1;
        let units: Vec<_> = (0..people)
            .map(|person| UnitId::integer(id(person)))
            .map(|unit| (unit, all.names().of(unit)))
            .collect();
        let (anew_seconds, _) = timed(|| Ok(all.consenting(PEOPLE, "research", now_ms, &units)?))?;
        let (publish_seconds, _) = timed(|| Ok(all.publish_due(now_ms)?))?;
        const STAMPS: u32 = 1_000_000;
        let (stamps_seconds, _) = timed(|| {
            let stamps = (0..STAMPS).map(|_| std::hint::black_box(all.stamp("census", now_ms)).generation);
            Ok(stamps.max())
        })?;
        Ok(Self {
            ratio_all: times[1] / times[0],
            ratio_some: times[2] / times[0],
            plain_seconds: times[0],
            open_seconds,
            record_seconds,
            anew_ms: anew_seconds * 1e3,
            publish_seconds,
            stamp_ns: stamps_seconds * 1e9 / f64::from(STAMPS),
        })
    }
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
    let began = Instant::now();
    let done = work()?;
    Ok((began.elapsed().as_secs_f64(), done))
}

fn consents(path: &Path) -> Result<Arc<Consents>> {
    let people = People {
        unit: LogicalType::Integer,
        purposes: ["research".to_owned()].into(),
    };
    let terms = Terms {
        populations: [(PEOPLE.to_owned(), people)].into(),
        datasets: [("census".to_owned(), PEOPLE.to_owned())].into(),
        mapping: BTreeMap::new(),
        permit_means: Default::default(),
        permit_categories: Default::default(),
        publish_every_ms: 1,
        subsumed: Purposes::default(),
    };
    Ok(Arc::new(Consents::open(path, &SECRET, terms)?))
}

/// Makes consents durable, in one transaction.
fn record(consents: &Consents, ids: impl Iterator<Item = i64>) -> Result<()> {
    let given = Choice::Given {
        purposes: ["research".to_owned()].into(),
        window: Window::ALWAYS,
    };
    let names = consents.names();
    let choices: Vec<_> = ids.map(|id| (names.of(UnitId::integer(id)), &given)).collect();
    consents.change(PEOPLE, &choices, 1)?;
    Ok(())
}

fn question(contract: &governance::Contract) -> Result<Compute> {
    let request = Request {
        nonce: ContentHash([1; 32]),
        analyst: "ann".to_owned(),
        dataset: contract.name.clone(),
        contract: contract.hash(),
        purpose: "research".to_owned(),
        kind: KIND.to_owned(),
        task: QueryTask { sql: SQL.to_owned() }.to_task(),
        epsilon: 1.0,
        delta: 1e-6,
        max_attempts: 1,
        issued_at_ms: 0,
        expires_at_ms: 1,
    };
    let terms = CohortTerms { n: 4, c: 1, s_min: 3 };
    let plan = workload::workloads()[KIND]
        .plan(&request, contract, &terms)
        .map_err(|refusal| refusal.message.clone())?;
    Ok(Compute {
        at: SlotId { epoch: 1, slot: 0 },
        job: JobId::of(&[1; 32]),
        round: 0,
        dataset: contract.name.clone(),
        contract: contract.hash(),
        request: Arc::new(request),
        plan: Arc::new(plan),
        state: None,
    })
}
