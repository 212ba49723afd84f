//! Completions, written to standard output by clap_complete.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::Problem;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sotto completions bash > ~/.local/share/bash-completion/completions/sotto\n  sotto completions zsh > ~/.zfunc/_sotto")]
pub struct Completions {
    shell: Shell,
}

impl Completions {
    pub fn run(self) -> Result<(), Problem> {
        clap_complete::generate(self.shell, &mut super::Cli::command(), "sotto", &mut std::io::stdout());
        Ok(())
    }
}
