//! One party of an end-to-end test: the real coordinator or participant as a process that can be killed. Called in any other way it is
//! the command `sotto`, which the suite cannot name from another package.

use clap::{Parser, Subcommand};
use sottovoce::local::child::Child;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    #[command(name = "__coordinator")]
    Coordinator(Child),
    #[command(name = "__participant")]
    Participant(Child),
}

fn main() {
    if !std::env::args().nth(1).is_some_and(|role| role.starts_with("__")) {
        std::process::exit(sottovoce::cli::main().into());
    }
    proto::identity::install_crypto_provider();
    let ended = match Cli::parse().role {
        Role::Coordinator(child) => child.run_coordinator(),
        Role::Participant(child) => child.run_participant(),
    };
    if let Err(problem) = ended {
        eprintln!("{problem}");
        std::process::exit(1);
    }
}
