//! `govern`: what it costs that somebody decides. A figure is a module; `--only` measures one.

mod consent;

use serde_json::{Map, Value};
use tests::learn::Result;

#[derive(clap::Args)]
pub struct Arguments {
    /// One figure instead of all
    #[arg(long)]
    only: Option<Figure>,
    #[arg(long, default_value_t = 7)]
    runs: usize,
    /// Rows of the questions that are timed
    #[arg(long, default_value_t = 10_000_000)]
    rows: u64,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Figure {
    /// A question with a filter by consent, against the same question without
    Consent,
}

pub fn run(arguments: &Arguments) -> Value {
    measure(arguments).unwrap_or_else(|error| {
        eprintln!("govern: {error}");
        std::process::exit(1)
    })
}

fn measure(arguments: &Arguments) -> Result<Value> {
    let mut figures = Map::new();
    let wanted = |figure| arguments.only.is_none_or(|only| only == figure);
    if wanted(Figure::Consent) {
        figures.extend(consent::measure(arguments.rows, arguments.runs)?);
    }
    Ok(figures.into())
}
