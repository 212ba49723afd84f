//! Flower, as a user installs it: a virtual environment of our own in the user's cache, made once (a minute, 400 MB), and the
//! scripts of `experiments/python` run in it. What cannot be installed or run is an error; no figure is ever made up.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ::tests::learn::Result;
use serde_json::Value;

/// How many lines of a failed program are shown.
const LINES: usize = 20;

/// An environment with Flower in it.
pub struct Flower {
    python: PathBuf,
    scripts: PathBuf,
}

impl Flower {
    /// Finds the environment for this version, or makes it. `version` is pip's: `1.41.*`.
    pub fn install(version: &str, scripts: &Path) -> Result<Self> {
        let folder = cache()?.join(format!("flower-{}", version.replace('*', "x")));
        let python = folder.join("bin/python");
        // Written last: an interrupted installation is made anew.
        let complete = folder.join("complete");
        if !complete.exists() {
            eprintln!("installing Flower {version} into {}", folder.display());
            std::fs::create_dir_all(&folder)?;
            let clear = Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&folder)
                .output();
            said(
                clear,
                "python3 -m venv",
                "install Python 3.11 or later with its venv module",
            )?;
            let wanted = format!("flwr[simulation]=={version}");
            let pip = Command::new(&python)
                .args(["-m", "pip", "install", "--quiet", &wanted, "numpy"])
                .output();
            said(pip, &wanted, "another version may be had: --flower 1.42.*")?;
            std::fs::write(&complete, version)?;
        }
        let scripts = std::path::absolute(scripts)?;
        if !scripts.join("peers.py").exists() {
            let place = scripts.display();
            return Err(
                format!("no peers.py in {place}: run from the root of the repository, or name --scripts").into(),
            );
        }
        Ok(Self { python, scripts })
    }

    /// One run of `plan` in a mode; the figures that it prints last.
    pub fn run(&self, plan: &Value, mode: &str) -> Result<Value> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("plan.json");
        std::fs::write(&path, plan.to_string())?;
        let output = Command::new(&self.python)
            .arg(self.scripts.join("peers.py"))
            .arg(&path)
            .arg(mode)
            // The scripts' folder is part of the repository.
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .output();
        let printed = said(output, &format!("Flower, {mode}"), "the lines above are Flower's own")?;
        let last = printed.lines().last().unwrap_or_default();
        Ok(serde_json::from_str(last).map_err(|error| format!("Flower printed no figures but {last:?}: {error}"))?)
    }
}

/// What a program printed, if it succeeded.
fn said(output: std::io::Result<std::process::Output>, what: &str, remedy: &str) -> Result<String> {
    let output = output.map_err(|error| format!("cannot run {what}: {error}; {remedy}"))?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().collect();
    let tail = lines[lines.len().saturating_sub(LINES)..].join("\n");
    Err(format!("{what}: {}\n{tail}\n{remedy}", output.status).into())
}

/// `$XDG_CACHE_HOME/sottovoce`, or `~/.cache/sottovoce`.
fn cache() -> Result<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let home = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    let home = home.ok_or("no place for Flower: neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(home.join("sottovoce"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> std::io::Result<std::process::Output> {
        Command::new("sh").args(["-c", script]).output()
    }

    #[test]
    fn a_program_that_fails_gives_its_last_words_and_no_figures() {
        let error = said(
            shell("echo '{\"seconds_per_round\": 1}'; echo no such package >&2; exit 3"),
            "pip",
            "try another",
        )
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("no such package") && error.contains("try another"),
            "{error}"
        );
        assert!(!error.contains("seconds_per_round"), "{error}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let output = Command::new("no-such-program-anywhere").output();
        let error = said(output, "Flower", "install it").unwrap_err().to_string();
        assert!(error.contains("Flower") && error.contains("install it"), "{error}");
    }
}
