//! The agent of one organisation, for deployment: `run` beside the data, and the local operator's commands.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sotto_participant::config::Config;
use sotto_participant::data::{self, Version, versions};
use sotto_participant::problem::{self, Problem};
use sotto_participant::{budget, consent, driver, rules, serving, socket, status::Command as Local};

#[derive(Parser)]
#[command(
    name = "sotto-participant",
    version,
    about = "Answers signed aggregate questions over this organisation's data, without the data leaving",
    after_help = "Examples:\n  sotto-participant --config participant.toml run\n  sotto-participant --config participant.toml check\n  sotto-participant --config participant.toml ledger --json\n  sotto-participant --config participant.toml pause heart\n  sotto-participant --config participant.toml consent import consents.csv\n  sotto-participant --config participant.toml revoke 3f9c2b6e8d0a"
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
    #[command(args_conflicts_with_subcommands = true)]
    Ledger {
        /// One population only
        population: Option<String>,
        #[command(subcommand)]
        act: Option<LedgerAct>,
    },
    /// Write the log as this participant received it to a file: with it a coordinator that lost everything has its log again
    Mirror { file: PathBuf },
    /// Answer nothing over a dataset until it is resumed
    Pause { dataset: String },
    /// Answer again
    Resume { dataset: String },
    /// How two people raise a cap: a key for each, what is to be signed, and signing it
    Budget {
        #[command(subcommand)]
        order: budget::Order,
    },
    /// Whose rows may be used, and what for; with the running agent, or on its file while it does not run
    Consent {
        #[command(subcommand)]
        order: consent::Order,
    },
    /// Grants that concern this organisation
    Grants,
    /// End a grant for this organisation, at once and for good, whether the coordinator is there or not
    #[command(after_help = "Example:\n  sotto-participant revoke 3f9c2b6e8d0a --note \"the study ended\"")]
    Revoke {
        /// The grant's id, or the first eight digits of it
        grant: String,
        /// Why; the requester reads it
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Hold a grant up at once; a steward lets it go on with `sotto grant resume`
    #[command(after_help = "Example:\n  sotto-participant suspend 3f9c2b6e8d0a --note \"under review\"")]
    Suspend {
        /// The grant's id, or the first eight digits of it
        grant: String,
        /// Why; the requester reads it
        #[arg(long, default_value = "")]
        note: String,
    },
}

#[derive(Subcommand)]
enum LedgerAct {
    /// After the store was put back to an older state: charge again what the log says was charged
    #[command(
        after_help = "Example:\n  sotto-participant ledger replay -o replay.json     says what two people sign: sotto-participant budget sign\n  sotto-participant ledger replay replay.json        does it"
    )]
    Replay {
        /// What two people signed; without it, this says what they would have to sign
        signed: Option<PathBuf>,
        /// Where to write what is to be signed
        #[arg(short, long, conflicts_with = "signed")]
        output: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error),
    };
    let json = cli.json;
    match act(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            if json {
                println!("{}", problem.to_json());
            }
            eprintln!("sotto-participant: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// clap's own words for people; for a script the same parts as of every other error. Help and version are no errors.
fn not_understood(error: &clap::Error) -> ExitCode {
    // A closed standard error is nobody's loss.
    let _ = error.print();
    let exit = u8::try_from(error.exit_code()).unwrap_or(2);
    if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
        let text = error.render().to_string();
        let first = text.split("\n\n").next().unwrap_or_default();
        let mut told = Problem::new(problem::USAGE, first.trim_start_matches("error: ").trim()).to_json();
        told["error"]["exit"] = exit.into();
        println!("{told}");
    }
    ExitCode::from(exit)
}

fn act(cli: Cli) -> Result<(), Problem> {
    let mut replayed = None;
    let local = match cli.act.unwrap_or(Act::Run) {
        _ if cli.check_config => {
            rules::policies(&Config::load(&cli.config)?)?;
            println!("{}: good", cli.config.display());
            return Ok(());
        }
        Act::Run => return run(&cli.config),
        Act::Check => return check(&cli.config, cli.json),
        Act::Status => Local::Status,
        Act::Mirror { file } => return mirror(&cli.config, &file),
        Act::Ledger {
            act: Some(LedgerAct::Replay { signed, output }),
            ..
        } => {
            let approval = signed.as_deref().map(budget::read).transpose()?;
            replayed = output;
            Local::Replay { approval }
        }
        Act::Ledger { population, act: None } => Local::Ledger { population },
        Act::Pause { dataset } => Local::Pause { dataset },
        Act::Resume { dataset } => Local::Resume { dataset },
        Act::Budget { order } => return told(&order.carry_out(&cli.config)?, cli.json),
        Act::Consent { order } => return consent(&cli.config, order.located()?, cli.json),
        Act::Grants => Local::Grants,
        Act::Revoke { grant, note } => Local::Revoke { grant, note },
        Act::Suspend { grant, note } => Local::Suspend { grant, note },
    };
    let path = Config::load(&cli.config)?.socket;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(socket::ask(&path, &local)).map_err(|error| {
        let text = format!("no running agent answers at {}: {error}", path.display());
        Problem::new(problem::NOT_RUNNING, text)
    })?;
    match answer.get("proposal") {
        Some(proposal) => {
            let proposal = serde_json::from_value(proposal.clone())?;
            let people = serde_json::from_value(answer["approvers"].clone())?;
            told(&budget::written(proposal, &people, replayed.as_deref())?, cli.json)
        }
        None => told(&answer, cli.json),
    }
}

fn told(answer: &serde_json::Value, json: bool) -> Result<(), Problem> {
    if let Some(problem) = Problem::of_answer(answer) {
        return Err(problem);
    }
    if json {
        println!("{answer}");
    } else {
        print!("{}", sotto_participant::status::for_people(answer));
    }
    Ok(())
}

/// Whoever answers at the socket holds the file; where nobody does, the file is free. Its lock says so if that is wrong.
fn consent(config: &std::path::Path, order: consent::Order, json: bool) -> Result<(), Problem> {
    let config = Config::load(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let command = Local::Consent { order: order.clone() };
    match runtime.block_on(socket::ask(&config.socket, &command)) {
        Ok(answer) => told(&answer, json),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            let consents = serving::consents_of(&config)?.ok_or(consent::OrderError::NotRequired)?;
            told(&consents.order(&order, driver::now_ms())?, json)
        }
        Err(error) => {
            let text = format!("the agent at {} did not answer: {error}", config.socket.display());
            Err(Problem::new(problem::LOCAL, text))
        }
    }
}

fn run(config: &std::path::Path) -> Result<(), Problem> {
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

/// Works beside a running agent and without one.
fn mirror(config: &std::path::Path, file: &std::path::Path) -> Result<(), Problem> {
    let mirror = sotto_participant::mirror(&Config::load(config)?.store)?;
    let leaves = mirror.leaves.len();
    std::fs::write(file, serde_json::to_vec(&mirror)?)?;
    println!("{}: {leaves} leaves of the log", file.display());
    Ok(())
}

fn check(config: &std::path::Path, json: bool) -> Result<(), Problem> {
    let config = Config::load(config)?;
    rules::policies(&config)?;
    let mut bad = 0;
    let all: Vec<Version> = config.datasets.iter().flat_map(versions).collect();
    let count = all.len();
    for Version { entry, contract } in all {
        let opened = contract.and_then(|contract| data::Dataset::open(contract, &entry.files, entry.mapping));
        match opened.and_then(|dataset| dataset.check()) {
            Ok(report) if json => println!("{}", serde_json::to_string(&report)?),
            Ok(report) => println!("{report}"),
            Err(error) => {
                bad += 1;
                eprintln!("{}: {error}", entry.contract.display());
            }
        }
    }
    if bad > 0 {
        let text = format!("{bad} of {count} datasets would be refused");
        return Err(Problem::new(problem::WOULD_BE_REFUSED, text));
    }
    Ok(())
}
