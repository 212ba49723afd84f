//! `sotto up`: a whole consortium on this machine until Ctrl-C.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use sotto_participant::notices::BUDGET_UNCHANGED;
use sotto_participant::socket;
use sotto_participant::status::Command as Ask;

use super::wait::Spinner;
use crate::local::{Spec, State, start};
use crate::{Problem, output};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto up client/examples/clinics/consortium.toml
  # in another terminal, with the profile that `up` names:
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
        let served = offers(&spec, &state).await;
        if json {
            let up = json!({ "coordinator": coordinator, "participants": participants, "profile": profile, "logs": logs, "served": served });
            println!("{up}");
        } else {
            println!(
                "`{}` is up: a coordinator at {coordinator} and {participants} participants.",
                spec.name
            );
            for (participant, words) in &served {
                println!("  {participant}: {}", words.join("; "));
            }
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

/// What each participant serves, and what it does not and why, in its own words.
async fn offers(spec: &Spec, state: &State) -> BTreeMap<String, Vec<String>> {
    let mut served = BTreeMap::new();
    for site in &spec.participants {
        let asked = socket::ask(&state.socket(&site.name), &Ask::Status).await;
        let words = match asked {
            Ok(status) => told(&status),
            Err(error) => vec![format!(
                "does not answer ({error}): {}",
                state.log(&site.name).display()
            )],
        };
        served.insert(site.name.clone(), words);
    }
    served
}

fn told(status: &serde_json::Value) -> Vec<String> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let offers = status["datasets"].as_array().into_iter().flatten();
    let mut words: Vec<String> = offers
        .map(|offer| format!("serves {}", text(&offer["dataset"])))
        .collect();
    let refused = status["refused_datasets"].as_object().into_iter().flatten();
    words.extend(refused.map(|(contract, why)| format!("does NOT serve {contract}: {}", text(why))));
    let recent = status["recent"].as_array().into_iter().flatten().map(text);
    words.extend(recent.filter(|notice| notice.starts_with(BUDGET_UNCHANGED)));
    if words.is_empty() {
        words.push("serves nothing".to_owned());
    }
    words
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
