//! `agents`: what many agents cost. Every agent is a process of its own with a small CSV; the questions are SQL with real noise.
//! Setup (processes, connections, keys, one epoch over everybody) is timed apart from the queries.

use std::time::Instant;

use serde_json::json;
use sottovoce::local::Site;

use crate::consortium::Consortium;
use crate::measure::median;

#[derive(clap::Args)]
pub struct Arguments {
    #[arg(long, default_value_t = 200)]
    participants: usize,
    #[arg(long, default_value_t = 10)]
    colluders: u32,
    #[arg(long, default_value_t = 3)]
    queries: usize,
}

const CONTRACT: &str = r#"
apiVersion = "v3.1.0"
kind = "DataContract"
name = "visits"
version = "1.0.0"
description = "Visits, made for a measurement"
purposes = ["research"]

[privacy]
maxRows = 1000
delta = 1e-6

[[schema.properties]]
name = "kind"
logicalType = "string"
required = true
categories = ["acute", "planned"]

[[schema.properties]]
name = "days"
logicalType = "integer"
required = true
logicalTypeOptions = { minimum = 0, maximum = 60 }
"#;

pub fn run(arguments: &Arguments) -> serde_json::Value {
    let data = tempfile::tempdir().expect("a temporary folder");
    let contract = data.path().join("visits.toml");
    std::fs::write(&contract, CONTRACT).expect("a writable temporary folder");
    let rows: String = (0..200)
        .map(|i| format!("{},{}\n", ["acute", "planned"][i % 2], i % 40))
        .collect();
    let file = data.path().join("visits.csv");
    std::fs::write(&file, format!("kind,days\n{rows}")).expect("a writable temporary folder");

    let config: toml::Table = toml::from_str(&format!(
        "[[dataset]]\ncontract = {contract:?}\nfiles = [{file:?}]\npopulation = \"patients\"\nanalysts = [\"*\"]\n\
         [[population]]\nid = \"patients\"\nepsilon = 100.0\ndelta = 1e-4\n\
         approved_by = [\"first\", \"second\"]\nanalysts = {{ \"*\" = 100.0 }}\n"
    ))
    .expect("a valid configuration");
    let sites = (0..arguments.participants)
        .map(|i| Site {
            name: format!("agent-{i:03}"),
            organisation: format!("Site {i}"),
            config: config.clone(),
        })
        .collect();
    let began = Instant::now();
    let consortium = Consortium::start(arguments.colluders, sites, &[]);
    let setup_seconds = began.elapsed().as_secs_f64();

    let times = (0..arguments.queries)
        .map(|i| {
            let began = Instant::now();
            consortium.query(&format!(
                "SELECT kind, COUNT(*), AVG(days) FROM visits WHERE days < {} GROUP BY kind",
                60 - i
            ));
            began.elapsed()
        })
        .collect();
    let counters = consortium.counters();
    consortium.stop();
    json!({
        "participants": arguments.participants,
        "colluders": arguments.colluders,
        "setup_seconds": setup_seconds,
        "seconds_per_query": median(times).as_secs_f64(),
        "coordinator_peak_memory_mib": counters.coordinator_peak_mib,
    })
}
