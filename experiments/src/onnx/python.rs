//! A Python with onnxruntime: the one that is named, or one in a virtual environment of the user's cache, made once.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tests::learn::Result;

const PACKAGES: [&str; 4] = ["numpy", "onnx", "onnxruntime>=1.17", "safetensors"];
const IMPORTS: &str = "import numpy, onnx, onnxruntime, safetensors";
const SCRIPT: &str = "experiments/python/onnx_check.py";

pub struct Python(PathBuf);

impl Python {
    pub fn ready(named: Option<&Path>) -> Result<Self> {
        if let Some(python) = named {
            return match has_packages(python) {
                true => Ok(Self(python.to_owned())),
                false => Err(remedied(format!("{} cannot {IMPORTS}", python.display()))),
            };
        }
        let home = environment()?;
        let python = home.join("bin/python");
        if !has_packages(&python) {
            println!("making {} with {}", home.display(), PACKAGES.join(", "));
            said(
                "python3",
                Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home),
            )?;
            let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
            said("pip", Command::new(&python).args(install).args(PACKAGES))?;
            if !has_packages(&python) {
                return Err(remedied(format!("{} cannot {IMPORTS}", python.display())));
            }
        }
        Ok(Self(python))
    }

    /// Runs the script over these jobs and answers what it prints; what goes wrong there goes to standard error.
    pub fn check(&self, jobs: &Path) -> Result<String> {
        let mut command = Command::new(&self.0);
        let output = command.arg(SCRIPT).arg(jobs).stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            return Err(format!("{SCRIPT} failed: {}", output.status).into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

fn environment() -> Result<PathBuf> {
    let cache = match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
        (Some(cache), _) if !cache.is_empty() => PathBuf::from(cache),
        (_, Some(home)) => PathBuf::from(home).join(".cache"),
        _ => return Err("no cache: expected XDG_CACHE_HOME or HOME in the environment".into()),
    };
    Ok(cache.join("sottovoce/onnx-check"))
}

fn has_packages(python: &Path) -> bool {
    let mut command = Command::new(python);
    let run = command
        .args(["-c", IMPORTS])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    run.is_ok_and(|status| status.success())
}

fn said(what: &str, command: &mut Command) -> Result<()> {
    match command.stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(remedied(format!("{what} failed: {status}"))),
        Err(error) => Err(remedied(format!("{what}: {error}"))),
    }
}

fn remedied(failure: String) -> Box<dyn std::error::Error> {
    format!(
        "{failure}\n  try: install python3 with venv (Debian: apt-get install python3 python3-venv) where pip reaches PyPI,\n  \
         or name a Python that has {}: --python PATH",
        PACKAGES.join(", ")
    )
    .into()
}
