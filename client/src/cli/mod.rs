//! The command line: acts are verbs, things are `noun verb` in the singular, and a bare noun lists. Each command's file
//! holds its arguments, its examples and its few lines over [`crate::Client`].

mod audit;
mod budget;
mod completions;
mod contract;
mod dataset;
#[cfg(feature = "agents")]
mod demo;
mod doctor;
mod enroll;
mod explain;
mod grant;
mod job;
mod join;
mod lineage;
mod mock;
mod model;
mod participant;
mod policy;
#[cfg(feature = "agents")]
mod predict;
mod profile;
mod publish;
mod purpose;
mod query;
mod question;
mod release;
mod remote;
mod run;
mod suspend;
#[cfg(feature = "agents")]
mod train;
mod up;
mod usage;
mod wait;

use std::io::stderr;

use clap::{Parser, Subcommand};

use crate::output::Paint;
use crate::{Exit, Problem};

/// Private questions over data that stays home.
#[derive(Debug, Parser)]
#[command(name = "sotto", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  sotto demo                                             the tour: four hospitals on this machine
  sotto explain \"SELECT sex, AVG(chol) FROM heart GROUP BY sex\" --epsilon 1
  sotto query   \"SELECT sex, AVG(chol) FROM heart GROUP BY sex\" --epsilon 1
  sotto doctor                                           what stands between you and an answer

With --json every command prints one JSON object, or its error as one.

Exit codes:
  0 done                             4 coordinator not reachable, certificate not accepted
  1 this machine: a file, a key      5 started and failed; says what was charged
  2 the command line                 6 timed out; the job goes on
  3 refused, nothing was spent       7 doctor found something       130 interrupted")]
pub struct Cli {
    /// One JSON object on standard output: the answer, or the error with its code
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The tour: four hospitals on this machine, three private questions with the true answers beside them, and a model
    #[cfg(feature = "agents")]
    Demo(demo::Demo),
    /// Ask a question in SQL
    Query(query::Query),
    /// Say what a question would cost and how exact its answer would be; spends nothing
    Explain(explain::Explain),
    /// Train a model over all participants, round by round
    Train(Box<train::Train>),
    /// Training runs: list, watch, stop, report
    Run(run::Run),
    /// Trained models: show, compare, evaluate, promote, roll back, export
    Model(model::Model),
    /// A trained model over a file of your own
    #[cfg(feature = "agents")]
    Predict(predict::Predict),
    /// Earlier answers, again and free
    Release(release::Release),
    /// Questions that were asked from here
    Job(job::Job),
    /// The transparency log: read it, replay it, prove it to others
    Audit(audit::Audit),
    /// What is left to spend, and with whom
    Budget(budget::Budget),
    /// What was asked and used, by whom and of whose data
    Usage(usage::Usage),
    /// The participants (organisations' agents) of the consortium
    Participant(participant::Participant),
    /// The datasets that can be asked about
    Dataset(dataset::Dataset),
    /// Who may ask what of whose data: ask for it, approve it, end it
    Grant(grant::Grant),
    /// Purposes that questions may be asked for
    Purpose(purpose::Purpose),
    /// Stop an organisation, a dataset or a grant at once
    Suspend(suspend::Suspend),
    /// Let it go on
    Reinstate(suspend::Reinstate),
    /// Contracts: check a file, compare two; as a steward publish, deprecate and retire versions
    Contract(contract::ContractCommand),
    /// Policies in files: check, test, explain and sign them
    Policy(policy::PolicyCommand),
    /// Check clock, identity, connection, roster, cohort and contracts; a remedy for whatever is wrong
    Doctor(doctor::Doctor),
    /// Write or show the profile, so that nobody types addresses and folders
    Profile(profile::Profile),
    /// Found a consortium: certificate authority, governance key, list of members
    Init(enroll::Init),
    /// Become a member: an exchange of files
    #[command(subcommand)]
    Enroll(enroll::Enroll),
    /// Run a whole consortium on this machine from one file
    #[cfg(feature = "agents")]
    Up(up::Up),
    /// Completions for a shell
    Completions(completions::Completions),
    #[cfg(feature = "agents")]
    #[command(name = "__coordinator", hide = true)]
    Coordinator(crate::local::child::Child),
    #[cfg(feature = "agents")]
    #[command(name = "__participant", hide = true)]
    Participating(crate::local::child::Child),
}

/// Runs one command line and answers the process's exit code.
pub fn main() -> u8 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error, std::env::args_os().any(|word| word == "--json")),
    };
    // polars brings a second TLS provider; ours is chosen before anything could ask for a default.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let json = cli.json;
    match run(cli.command, json) {
        Ok(()) => 0,
        Err(problem) => {
            if json && !problem.told {
                println!("{}", problem.to_json());
            }
            report(&problem);
            problem.exit as u8
        }
    }
}

/// clap's own words for people; for a script the same four parts as of every other error. Help and version are no errors.
fn not_understood(error: &clap::Error, json: bool) -> u8 {
    // A closed standard error is nobody's loss.
    let _ = error.print();
    if json && error.use_stderr() {
        println!("{}", misused(error).to_json());
    }
    u8::try_from(error.exit_code()).unwrap_or(Exit::Usage as u8)
}

/// The first lines say what is wrong; usage and hints follow after an empty one.
fn misused(error: &clap::Error) -> Problem {
    let text = error.render().to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    Problem::usage(first.trim_start_matches("error: ").trim()).remedy("--help of the command")
}

fn run(command: Command, json: bool) -> Result<(), Problem> {
    match command {
        Command::Completions(command) => command.run(),
        Command::Init(command) => command.run(json),
        Command::Enroll(command) => command.run(json),
        Command::Profile(command) => command.run(json),
        #[cfg(feature = "agents")]
        Command::Coordinator(child) => child.run_coordinator(),
        #[cfg(feature = "agents")]
        Command::Participating(child) => child.run_participant(),
        other => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build();
            let runtime = runtime.map_err(|error| Problem::local("cannot start threads", error))?;
            let result = runtime.block_on(run_async(other, json));
            runtime.shutdown_background();
            result
        }
    }
}

async fn run_async(command: Command, json: bool) -> Result<(), Problem> {
    match command {
        #[cfg(feature = "agents")]
        Command::Demo(command) => command.run(json).await,
        #[cfg(feature = "agents")]
        Command::Up(command) => command.run(json).await,
        Command::Query(command) => command.run(json).await,
        Command::Explain(command) => command.run(json).await,
        Command::Train(command) => command.run(json).await,
        Command::Run(command) => command.run(json).await,
        Command::Model(command) => command.run(json).await,
        #[cfg(feature = "agents")]
        Command::Predict(command) => command.run(json).await,
        Command::Release(command) => command.run(json).await,
        Command::Job(command) => command.run(json).await,
        Command::Audit(command) => command.run(json).await,
        Command::Budget(command) => command.run(json).await,
        Command::Usage(command) => command.run(json).await,
        Command::Participant(command) => command.run(json).await,
        Command::Dataset(command) => command.run(json).await,
        Command::Contract(command) => command.run(json).await,
        Command::Policy(command) => command.run(json).await,
        Command::Doctor(command) => command.run(json).await,
        Command::Grant(command) => command.run(json).await,
        Command::Purpose(command) => command.run(json).await,
        Command::Suspend(command) => command.run(json).await,
        Command::Reinstate(command) => command.run(json).await,
        // The rest needs no connection and was run before there was a runtime.
        _ => Ok(()),
    }
}

fn report(problem: &Problem) {
    let paint = Paint::detect(&stderr());
    eprintln!(
        "{} {}",
        paint.red(&format!("error[{}]:", problem.code)),
        problem.message
    );
    if let Some(remedy) = &problem.remedy {
        eprintln!("  {} {remedy}", paint.green("try:"));
    }
}

/// Ctrl-C while something runs.
pub(crate) fn interrupted(what: impl Into<String>) -> Problem {
    Problem::new(Exit::Interrupted, "SOTTO-7005", what)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_command_line_that_is_not_understood_is_a_problem_with_a_code() {
        let error = Cli::try_parse_from(["sotto", "query", "--epsilom", "1", "--json"]).unwrap_err();
        let told = misused(&error).to_json();
        assert_eq!(told["error"]["code"], "SOTTO-7002");
        assert_eq!(told["error"]["exit"], 2);
        let message = told["error"]["message"].as_str().unwrap();
        assert!(message.contains("--epsilom") && !message.contains("Usage"), "{message}");
    }

    #[test]
    fn json_is_understood_before_and_after_every_command() {
        for line in [
            "sotto --json dataset show heart",
            "sotto dataset show heart --json",
            "sotto --json doctor",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).unwrap().json, "{line}");
        }
    }

    #[test]
    fn every_command_shows_an_example_in_its_help() {
        fn check(command: &clap::Command, path: &str) {
            if command.is_hide_set() {
                return;
            }
            let path = format!("{path} {}", command.get_name());
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("sotto "), "{path}: no example in --help");
            // clap breaks longer lines, and a broken command cannot be pasted; what it is for may stand behind it.
            let pasted = |line: &&str| line.starts_with("  sotto ") || line.starts_with("      --");
            for line in help.lines().filter(pasted) {
                let command = line.trim_start().split("  ").next().unwrap_or_default();
                assert!(
                    command.len() <= 94 || line.starts_with("  sotto ") && command.len() <= 98,
                    "{path}: an example that clap breaks: {command}"
                );
            }
            for sub in command.get_subcommands() {
                check(sub, &path);
            }
        }
        check(&Cli::command(), "");
    }
}
