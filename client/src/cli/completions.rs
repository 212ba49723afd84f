//! Completions, written to standard output by clap_complete.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::Problem;
use crate::output::Target;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sotto completions bash > ~/.local/share/bash-completion/completions/sotto\n  sotto completions zsh > ~/.zfunc/_sotto"
)]
pub struct Completions {
    shell: Shell,
}

impl Completions {
    pub fn run(self) -> Result<(), Problem> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::Cli::command(), "sotto", &mut script);
        Target::new(None, None).write_bytes(&script)
    }
}
