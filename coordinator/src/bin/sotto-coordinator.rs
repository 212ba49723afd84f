//! `sotto-coordinator`: a coordinator from its configuration file, until Ctrl-C or SIGTERM.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use sotto_coordinator::config::{Config, Log};
use tracing_subscriber::EnvFilter;

/// Relays, orders and adds for a consortium. It never sees data.
#[derive(Parser)]
#[command(
    version,
    after_help = "EXAMPLES\n  sotto-coordinator --config /etc/sottovoce/coordinator.toml\n  sotto-coordinator --config coordinator.toml --check-config\n  sotto-coordinator --config coordinator.toml --rebuild a.json b.json"
)]
struct Arguments {
    /// Configuration file; coordinator.example.toml documents every key
    #[arg(long, env = "SOTTO_COORDINATOR_CONFIG", default_value = "coordinator.toml")]
    config: PathBuf,
    /// Check configuration, identity and roster, say what was found, and stop
    #[arg(long)]
    check_config: bool,
    /// Write the log and what was decided into an empty store from participants' mirrors (`sotto-participant mirror FILE`, one of each
    /// organisation), and stop
    #[arg(long, value_name = "MIRROR", num_args = 1..)]
    rebuild: Vec<PathBuf>,
    /// Rebuild although acts or rosters that the log names are in none of the mirrors
    #[arg(long, requires = "rebuild")]
    incomplete: bool,
    /// Print one line of JSON on standard output when listening
    #[arg(long)]
    announce: bool,
}

fn main() -> ExitCode {
    proto::identity::install_crypto_provider();
    let arguments = Arguments::parse();
    match start(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sotto-coordinator: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &Arguments) -> Result<(), sotto_coordinator::Fatal> {
    if arguments.check_config {
        println!("{}", sotto_coordinator::check(&arguments.config)?);
        return Ok(());
    }
    if !arguments.rebuild.is_empty() {
        let rebuilt = sotto_coordinator::rebuild(&arguments.config, &arguments.rebuild, arguments.incomplete)?;
        for missing in &rebuilt.missing {
            eprintln!("sotto-coordinator: without {missing}");
        }
        println!(
            "{} leaves of the log, {} acts and {} rosters are back; jobs and answers are in no mirror",
            rebuilt.leaves, rebuilt.acts, rebuilt.rosters
        );
        return Ok(());
    }
    log(Config::load(&arguments.config)?.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(sotto_coordinator::run(
        &arguments.config,
        arguments.announce,
        asked_to_stop(),
    ))
}

fn log(format: Log) {
    let filter = EnvFilter::try_from_env("SOTTO_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        Log::Json => builder.json().init(),
        Log::Text => builder.init(),
    }
}

/// Resolves at Ctrl-C or SIGTERM.
async fn asked_to_stop() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
