//! A party as a child process: the hidden subcommands `__coordinator` and `__participant`.
//!
//! A child holds its parent by standard input: when the parent ends, however it ends, the pipe closes and the child stops
//! in order. Ctrl-C at the terminal does not reach it, because it runs in a process group of its own.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use tokio::sync::oneshot;

use crate::{Exit, Problem};

#[derive(Debug, Args)]
pub struct Child {
    /// Configuration file
    #[arg(long)]
    config: PathBuf,
    /// Print one JSON line on standard output when ready
    #[arg(long)]
    announce: bool,
}

impl Child {
    pub fn run_coordinator(self) -> Result<(), Problem> {
        log_to_stderr();
        let Self { config, announce } = self;
        runtime()?
            .block_on(sotto_coordinator::run(&config, announce, parent_gone()))
            .map_err(|error| Problem::new(Exit::Local, "SOTTO-7401", error.to_string()))
    }

    pub fn run_participant(self) -> Result<(), Problem> {
        log_to_stderr();
        let Self { config, announce } = self;
        runtime()?
            .block_on(sotto_participant::run(&config, announce, parent_gone()))
            .map_err(|error| Problem::new(Exit::Local, "SOTTO-7401", error.to_string()))
    }
}

pub fn runtime() -> Result<tokio::runtime::Runtime, Problem> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .enable_all()
        .build()
        .map_err(|error| Problem::local("cannot start threads", error))
}

/// Resolves when standard input ends. A plain thread waits: it may still be blocked when the process leaves.
pub async fn parent_gone() {
    let (gone, parent) = oneshot::channel();
    std::thread::spawn(move || {
        let mut sink = [0; 64];
        while !matches!(std::io::stdin().read(&mut sink), Ok(0) | Err(_)) {}
        let _ = gone.send(());
    });
    let _ = parent.await;
}

/// Standard output carries the announcement alone.
pub fn log_to_stderr() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("SOTTO_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let _ = tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
}
