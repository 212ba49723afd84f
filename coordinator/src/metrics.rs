//! Numbers for Prometheus, on a loopback port or nowhere. None of them depends on data or names a person.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::PrometheusBuilder;

/// Opens the port.
pub fn install(port: u16) -> Result<(), String> {
    PrometheusBuilder::new()
        .with_http_listener(([127, 0, 0, 1], port))
        .install()
        .map_err(|error| error.to_string())?;
    describe_gauge!("sotto_agents_online", "agents with an open stream");
    describe_gauge!("sotto_rounds_open", "rounds in progress");
    describe_counter!("sotto_rounds_total", "rounds that ended, by outcome");
    describe_counter!("sotto_jobs_total", "jobs that ended, by outcome");
    describe_counter!(
        "sotto_agents_too_slow_total",
        "streams ended because the agent did not read"
    );
    describe_counter!(
        "sotto_protocol_faults_total",
        "messages dropped because they broke the protocol"
    );
    describe_counter!("sotto_vector_bytes_total", "bytes of masked vectors received");
    describe_counter!(
        "sotto_spool_dropped_total",
        "masked vectors not kept because the disk was behind"
    );
    describe_counter!(
        "sotto_limited_total",
        "calls, requests and words that met a limit, by the code that said so"
    );
    describe_histogram!("sotto_step_seconds", "time of the engine per input");
    describe_histogram!("sotto_store_seconds", "time to make the records of a step durable");
    Ok(())
}

pub fn stepped(took: Duration, agents: usize, rounds: usize) {
    histogram!("sotto_step_seconds").record(took.as_secs_f64());
    gauge!("sotto_agents_online").set(agents as f64);
    gauge!("sotto_rounds_open").set(rounds as f64);
}

pub fn stored(took: Duration) {
    histogram!("sotto_store_seconds").record(took.as_secs_f64());
}

pub fn round(outcome: &'static str) {
    counter!("sotto_rounds_total", "outcome" => outcome).increment(1);
}

pub fn job(outcome: &'static str) {
    counter!("sotto_jobs_total", "outcome" => outcome).increment(1);
}

pub fn slow_agent() {
    counter!("sotto_agents_too_slow_total").increment(1);
}

pub fn misbehaved() {
    counter!("sotto_protocol_faults_total").increment(1);
}

/// Somebody met a limit: was refused, or waits.
pub fn limited(code: &'static str) {
    counter!("sotto_limited_total", "code" => code).increment(1);
}

pub fn vector(bytes: u64) {
    counter!("sotto_vector_bytes_total").increment(bytes);
}

pub fn spool_dropped() {
    counter!("sotto_spool_dropped_total").increment(1);
}
