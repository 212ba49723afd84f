//! `sotto up`: a whole consortium on this machine until Ctrl-C.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::wait::Spinner;
use crate::local::{Spec, State, start};
use crate::{Problem, output};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto up client/examples/clinics/consortium.toml
  sotto --help                                      in another terminal, with the profile that `up` names:
  export SOTTO_PROFILE=$PWD/.sottovoce/profile.toml
  sotto query \"SELECT ward, COUNT(*), AVG(days) FROM visits GROUP BY ward\" --epsilon 1

Identities, ledgers and answers stay in the state folder: the next `sotto up` goes on where this one ended.")]
pub struct Up {
    /// Who takes part, with which data and budgets
    consortium: PathBuf,
    /// Where identities, ledgers and logs are kept
    #[arg(long, default_value = "./.sottovoce")]
    state: PathBuf,
}

impl Up {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        let spec = Spec::load(&self.consortium)?;
        let state = State::prepare(&self.state, &spec)?;
        let executable = std::env::current_exe().map_err(|error| Problem::local("this executable", error))?;
        let mut spinner = Spinner::new();
        let mut tell = |step: &str| spinner.say(step);
        let mut running = tokio::select! {
            started = start(&executable, &spec, &state, &[], &mut tell) => started?,
            _ = tokio::signal::ctrl_c() => return Err(super::interrupted("stopped while starting")),
        };
        spinner.clear();
        let (coordinator, participants) = (&running.profile.coordinator, spec.participants.len());
        let (profile, logs) = (state.profile(), state.log("x").with_file_name(""));
        if json {
            let up =
                json!({ "coordinator": coordinator, "participants": participants, "profile": profile, "logs": logs });
            println!("{up}");
        } else {
            println!(
                "`{}` is up: a coordinator at {coordinator} and {participants} participants.",
                spec.name
            );
            println!("In another terminal:\n");
            println!("  export SOTTO_PROFILE={}", profile.display());
            println!("  sotto doctor\n  sotto dataset\n");
            println!("Logs are in {}. Ctrl-C stops everything.", logs.display());
        }
        let mut stop = std::pin::pin!(asked_to_stop());
        let ended = loop {
            tokio::select! {
                (coordinator, problem) = running.ended() => {
                    if coordinator {
                        break Err(problem);
                    }
                    // The others go on without it, as they would in deployment.
                    super::report(&problem);
                }
                () = &mut stop => break Ok(()),
            }
        };
        if output::watched() {
            eprintln!("\nstopping");
        }
        running.stop().await;
        ended.map_err(|problem| problem.told(json))
    }
}

/// Ctrl-C, or SIGTERM from a supervisor.
async fn asked_to_stop() {
    let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    match terminate {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}
