//! The command `sotto`. Everything is in the library; this is the process.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(sottovoce::cli::main())
}
