//! The agent of one organisation, for deployment: `run` beside the data, and the local operator's commands.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sotto_participant::{config::Config, data, rules, socket, status::Command as Local};

#[derive(Parser)]
#[command(
    name = "sotto-participant",
    version,
    about = "Answers signed aggregate questions over this organisation's data, without the data leaving",
    after_help = "Examples:\n  sotto-participant --config participant.toml run\n  sotto-participant --config participant.toml check\n  sotto-participant --config participant.toml ledger --json\n  sotto-participant --config participant.toml pause heart"
)]
struct Cli {
    /// The agent's configuration; participant.example.toml documents every key
    #[arg(
        long,
        env = "SOTTO_PARTICIPANT_CONFIG",
        default_value = "participant.toml",
        global = true
    )]
    config: PathBuf,
    /// Check the configuration and the policies, and stop
    #[arg(long)]
    check_config: bool,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    act: Option<Act>,
}

#[derive(Subcommand)]
enum Act {
    /// Run the agent (the default)
    Run,
    /// Check the policies, and compare the data with contract and mapping, without connecting to anything
    Check,
    /// What the running agent is doing
    Status,
    /// What was spent, reserved and left, per population
    Ledger {
        /// One population only
        population: Option<String>,
    },
    /// Answer nothing over a dataset until it is resumed
    Pause { dataset: String },
    /// Answer again
    Resume { dataset: String },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match act(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sotto-participant: {error}");
            ExitCode::FAILURE
        }
    }
}

fn act(cli: Cli) -> Result<(), Box<dyn std::error::Error>> {
    let local = match cli.act.unwrap_or(Act::Run) {
        _ if cli.check_config => {
            rules::policies(&Config::load(&cli.config)?)?;
            println!("{}: good", cli.config.display());
            return Ok(());
        }
        Act::Run => return run(&cli.config),
        Act::Check => return check(&cli.config, cli.json),
        Act::Status => Local::Status,
        Act::Ledger { population } => Local::Ledger { population },
        Act::Pause { dataset } => Local::Pause { dataset },
        Act::Resume { dataset } => Local::Resume { dataset },
    };
    let path = Config::load(&cli.config)?.socket;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(socket::ask(&path, &local)).map_err(|error| {
        format!(
            "no running agent answers at {}: {error}; start it with `sotto-participant run`",
            path.display()
        )
    })?;
    if let Some(error) = answer.get("error") {
        return Err(error.as_str().unwrap_or("refused").to_owned().into());
    }
    if cli.json {
        println!("{answer}");
    } else {
        print!("{}", sotto_participant::status::for_people(&answer));
    }
    Ok(())
}

fn run(config: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    proto::identity::install_crypto_provider();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_env("SOTTO_LOG").unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(sotto_participant::run(config, false, sotto_participant::stopped()))?;
    Ok(())
}

fn check(config: &std::path::Path, json: bool) -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::load(config)?;
    rules::policies(&config)?;
    let mut bad = 0;
    for entry in &config.datasets {
        match data::Dataset::load(entry).and_then(|dataset| dataset.check()) {
            Ok(report) if json => println!("{}", serde_json::to_string(&report)?),
            Ok(report) => println!("{report}"),
            Err(error) => {
                bad += 1;
                eprintln!("{}: {error}", entry.contract.display());
            }
        }
    }
    if bad > 0 {
        return Err(format!("{bad} of {} datasets would be refused", config.datasets.len()).into());
    }
    Ok(())
}
