//! Medians, figures for people, and figures to keep.

use std::time::{Duration, Instant};

use tests::learn::Result;

/// Median of several runs of `work`, after one that warms up.
pub fn median_seconds(runs: usize, mut work: impl FnMut()) -> f64 {
    work();
    let times = (0..runs.max(1))
        .map(|_| {
            let began = Instant::now();
            work();
            began.elapsed()
        })
        .collect();
    median(times).as_secs_f64()
}

pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// 0 of nothing.
pub fn median_of(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n => (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0,
    }
}

/// One figure a line; lists were told as they came.
pub fn print(figures: &serde_json::Value) {
    if let Some(object) = figures.as_object() {
        for (name, value) in object {
            match value.as_array() {
                Some(list) => println!("{name:>40}  {} entries, --json shows them", list.len()),
                None => println!("{name:>40}  {value}"),
            }
        }
    }
}

/// Files figures under `folder`, beside them how they were made, and draws their pictures.
pub fn keep(folder: &std::path::Path, name: &str, figures: &serde_json::Value) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let words: Vec<String> = std::env::args().skip(1).collect();
    let kept = serde_json::json!({
        "made_by": format!("cargo run --release -p experiments -- {}", words.join(" ")),
        "figures": figures,
    });
    std::fs::write(folder.join(format!("{name}.json")), format!("{kept:#}\n"))?;
    crate::pictures::draw(folder, name).map(drop)
}
