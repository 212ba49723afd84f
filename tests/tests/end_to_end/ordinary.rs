//! Ordinary use meets no limit. Measured: an analyst's day of work in half a minute, with the limits that ship, and what the coordinator counted of
//! those who met a limit.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use proto::v1::analysts_client::AnalystsClient;
use sottovoce::usage;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::transport::Endpoint;

use super::*;

/// Questions in sequence, as a script asks them: each as soon as the one before is answered.
const QUESTIONS: u32 = 80;
const ROUNDS: u32 = 300;

/// Counters of the coordinator's metrics port, with their labels.
async fn counted(port: SocketAddr) -> BTreeMap<String, f64> {
    let mut stream = TcpStream::connect(port).await.unwrap();
    let ask = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(ask).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
    lines
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        .collect()
}

fn limited(counted: &BTreeMap<String, f64>) -> BTreeMap<&String, &f64> {
    counted
        .iter()
        .filter(|(name, _)| name.starts_with("sotto_limited_total"))
        .collect()
}

/// Refusals for asking too much, and that an agent said too much, as every process's own log has them.
fn told_of_limits(world: &World) -> Vec<String> {
    let codes = [
        "SOTTO-2056",
        "SOTTO-2061",
        "SOTTO-2062",
        "SOTTO-2063",
        "SOTTO-2064",
        "SOTTO-2065",
        "SOTTO-3061",
    ];
    let logs = files(&world.state().join("logs"));
    assert_eq!(logs.len(), 5);
    let lines = logs.iter().flat_map(|log| {
        let text = std::fs::read_to_string(log).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    lines
        .filter(|line| codes.iter().any(|code| line.contains(code)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_work_at_a_scripts_pace_meets_no_limit_that_ships() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap();
    drop(free);
    let number = port.port().to_string();
    let world = World::told(&[("SOTTO_COORDINATOR_METRICS_PORT", &number)], |_, _| {}).await;

    for number in 0..QUESTIONS {
        let sql = format!("SELECT COUNT(*) FROM heart WHERE age < {}", 25 + number);
        // `ask` connects, looks at the dataset, submits, and watches; people look around meanwhile.
        world.ask(&sql, 0.02).await.unwrap();
        let mut analyst = world.analyst().await;
        analyst.status().await.unwrap();
        analyst.releases(0).await.unwrap();
        analyst.participants().await.unwrap();
    }
    let mut analyst = world.analyst().await;
    let dataset = analyst.dataset("heart").await.unwrap();
    let trained = train::run(&mut analyst, &dataset, &heart_task(ROUNDS), 1.0, "research", 3)
        .await
        .unwrap();
    assert_eq!(trained.run.rounds, ROUNDS);
    for tenth in 1..=10 {
        let question = sottovoce::ask::question(&dataset, COUNT, f64::from(tenth) / 10.0, "research", 1);
        analyst.explain(question).await.unwrap();
    }
    for _ in 0..10 {
        // The whole log, and the account of it.
        let (_, differs) = usage::reconciled(&mut analyst).await.unwrap();
        assert_eq!(differs, None);
        analyst.read_log().await.unwrap();
        analyst.models().await.unwrap();
        analyst.decided().await.unwrap();
    }
    let leaves = analyst.read_log().await.unwrap().leaves.len();
    assert!(leaves > 1_000, "a long log, of several pages: {leaves}");

    let found = counted(port).await;
    assert_eq!(
        found["sotto_jobs_total{outcome=\"released\"}"],
        f64::from(QUESTIONS + 1)
    );
    assert!(found["sotto_rounds_total{outcome=\"summed\"}"] >= f64::from(QUESTIONS + ROUNDS));
    assert_eq!(limited(&found), BTreeMap::new(), "nobody met a limit");
    assert_eq!(told_of_limits(&world), Vec::<String>::new());

    // Whoever does meet one is counted, so none was overlooked above.
    let profile = &world.running.profile;
    let identity = Identity::load(&profile.identity).unwrap();
    let endpoint = Endpoint::from_shared(format!("https://{}", profile.coordinator)).unwrap();
    let endpoint = endpoint.tls_config(identity.client_tls_to_any_key()).unwrap();
    let rpc = AnalystsClient::new(endpoint.connect().await.unwrap());
    let mut calls = 0;
    while limited(&counted(port).await).is_empty() {
        assert!(calls < 200_000, "{calls} calls met no limit");
        let flood = (0..16).map(|_| {
            let mut analyst = rpc.clone();
            tokio::spawn(async move {
                for _ in 0..250 {
                    let _ = analyst.get_status(proto::v1::GetStatusRequest {}).await;
                }
            })
        });
        for flood in flood.collect::<Vec<_>>() {
            flood.await.unwrap();
        }
        calls += 16 * 250;
    }
    world.running.stop().await;
}
