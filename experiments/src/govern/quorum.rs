//! What a quorum adds to a query: from the moment at which the analyst hears that the answer is there to the answer itself. Real
//! processes, real mutual TLS, every witness's view durable before it signs.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use sottovoce::{Client, Event, Problem, Question};

use crate::consortium::Consortium;
use crate::measure::median_of;

/// Milliseconds that the quorum adds, over `runs` rounds of one query each.
pub fn added(participants: usize, runs: usize) -> Map<String, Value> {
    let consortium = Consortium::plain(participants, 1, 0);
    consortium.sum_vectors(64, 1, 0); // connections, epoch and caches are warm
    let measured: Result<Vec<(f64, f64)>, Problem> = consortium.runtime.block_on(async {
        let mut client = consortium.running.connect().await?;
        let mut times = Vec::new();
        for run in 0..runs {
            times.push(one(&mut client, run).await?);
        }
        Ok(times)
    });
    consortium.stop();
    let times = measured.unwrap_or_else(|error| panic!("{error}"));
    let (waits, wholes): (Vec<f64>, Vec<f64>) = times.into_iter().unzip();
    let worst = waits.iter().copied().fold(0.0, f64::max);
    json!({ "quorum_added_ms": median_of(&waits), "quorum_added_ms_worst": worst, "query_ms": median_of(&wholes) })
        .as_object()
        .cloned()
        .unwrap_or_default()
}

/// Milliseconds from sum to answer, and from question to answer. Every question differs, so that none is a repeat.
async fn one(client: &mut Client, run: usize) -> Result<(f64, f64), Problem> {
    let contract = tests::plain::contract();
    let task = tests::plain::Task {
        dim: 64 + run,
        ring: "z64".to_owned(),
        rounds: 1,
        variance: 1_000_000,
    };
    let question = Question {
        dataset: contract.name.clone(),
        contract: contract.hash(),
        purpose: "research".to_owned(),
        kind: tests::plain::KIND.to_owned(),
        task: task.to_json(),
        epsilon: 1.0,
        delta: 1e-6,
        max_attempts: 3,
        valid_for: Duration::from_secs(600),
    };
    let request = client.sign(question)?;
    let began = Instant::now();
    let job = client.submit(request).await?.job;
    let mut events = client.watch(&job).await?;
    let mut summed = None;
    loop {
        match events.next().await? {
            Some(Event::Progress(news)) if matches!(news.phase.as_str(), "summed" | "witnessing") => {
                summed.get_or_insert_with(Instant::now);
            }
            Some(Event::Progress(_)) => {}
            Some(Event::Released(_)) => {
                let ended = Instant::now();
                let ms = |since: Instant| (ended - since).as_secs_f64() * 1e3;
                return Ok((summed.map_or(0.0, ms), ms(began)));
            }
            Some(Event::Failed(problem)) => return Err(problem),
            None => return Err(Problem::local("measurement", "the coordinator closed the stream")),
        }
    }
}
