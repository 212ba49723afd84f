//! What went wrong, in the four parts that every error of this crate has: a stable code, what was expected and found, what
//! to do about it, and how the process should exit. docs/errors.md lists every code.

use std::path::Path;
use std::{fmt, io};

/// How `sotto` leaves. Scripts may rely on these numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// This machine: a file, a key, a broken installation.
    Local = 1,
    /// The command line is not complete or not understood.
    Usage = 2,
    /// Refused before anything was spent: SQL, contract, purpose, budget.
    Refused = 3,
    /// The coordinator could not be reached, or one side did not accept the other's certificate.
    Unreachable = 4,
    /// The question was started and failed; the message says what was charged.
    Failed = 5,
    /// Waiting ended before the answer; the job goes on.
    TimedOut = 6,
    /// `sotto doctor` found something.
    Unwell = 7,
    /// Ctrl-C.
    Interrupted = 130,
}

/// An error to show to a person or to a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `SOTTO-` and four digits.
    pub code: String,
    pub message: String,
    pub remedy: Option<String>,
    pub exit: Exit,
    /// It stands in the JSON object that is on standard output already.
    pub told: bool,
}

impl Problem {
    pub fn new(exit: Exit, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            remedy: None,
            exit,
            told: false,
        }
    }

    /// Says that standard output holds it already, within the command's own object.
    pub(crate) fn told(mut self, told: bool) -> Self {
        self.told = told;
        self
    }

    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into()).filter(|remedy| !remedy.is_empty());
        self
    }

    /// A file or a socket of this machine that did not do what it should.
    pub fn local(doing: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self::new(Exit::Local, "SOTTO-7001", format!("{doing}: {error}"))
    }

    /// A file of the user's that could not be read: relative names are looked for where the command runs.
    pub fn unread(file: &Path, error: &io::Error) -> Self {
        let text = match error.kind() {
            io::ErrorKind::NotFound => format!("no file {}", file.display()),
            _ => format!("{}: {error}", file.display()),
        };
        let remedy = match (error.kind(), std::env::current_dir()) {
            (io::ErrorKind::NotFound, Ok(here)) if file.is_relative() => {
                format!("check the name; it was looked for in {}", here.display())
            }
            (io::ErrorKind::NotFound, _) => "check the name".to_owned(),
            (io::ErrorKind::PermissionDenied, _) => "ask whoever owns the file to let you read it".to_owned(),
            (io::ErrorKind::InvalidData, _) => "it has to be text in UTF-8: is it the file that you mean?".to_owned(),
            (io::ErrorKind::IsADirectory, _) => "it is a folder: name a file in it".to_owned(),
            _ => "check the file, and the disk that it is on".to_owned(),
        };
        Self::new(Exit::Local, "SOTTO-7001", text).remedy(remedy)
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "SOTTO-7002", message)
    }

    /// For `--json`: the same four parts as one object.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "error": { "code": self.code, "message": self.message, "remedy": self.remedy, "exit": self.exit as u8 }
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        if let Some(remedy) = &self.remedy {
            write!(f, "\n  try: {remedy}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_shows_its_code_its_reason_and_its_remedy() {
        let problem = Problem::usage("mismatched epsilon: expected a number above 0, got 0").remedy("--epsilon 1");
        assert_eq!(
            problem.to_string(),
            "SOTTO-7002: mismatched epsilon: expected a number above 0, got 0\n  try: --epsilon 1"
        );
        assert_eq!(problem.to_json()["error"]["exit"], 2);
        assert_eq!(Problem::usage("x").remedy("").remedy, None);
    }

    #[test]
    fn a_file_that_is_not_there_is_named_with_where_it_was_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let read = |path: &Path| Problem::unread(path, &std::fs::read_to_string(path).unwrap_err());
        let relative = read(Path::new("nofile.sql"));
        assert_eq!((relative.exit, relative.code.as_str()), (Exit::Local, "SOTTO-7001"));
        assert_eq!(relative.message, "no file nofile.sql");
        let here = std::env::current_dir().unwrap();
        assert!(relative.remedy.unwrap().ends_with(&*here.to_string_lossy()));
        let binary = folder.path().join("binary.toml");
        std::fs::write(&binary, [0xff]).unwrap();
        for path in [folder.path(), &folder.path().join("none"), &binary] {
            let problem = read(path);
            assert!(problem.remedy.is_some(), "{problem}");
        }
        assert!(read(&binary).remedy.unwrap().contains("UTF-8"));
    }

    /// Codes in the sources of all crates, tests left out.
    fn codes_in(folder: &std::path::Path, found: &mut std::collections::BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() && name != "target" && name != "tests" && !name.starts_with('.') {
                codes_in(&path, found);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                let text = std::fs::read_to_string(&path).unwrap();
                let shipped = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                for rest in shipped.split("SOTTO-").skip(1) {
                    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                    if digits.len() == 4 {
                        found.insert(format!("SOTTO-{digits}"));
                    }
                }
            }
        }
    }

    #[test]
    fn every_code_is_explained_in_the_documents_and_every_code_explained_is_one() {
        let root = std::path::Path::new("..");
        let mut codes = std::collections::BTreeSet::new();
        codes_in(root, &mut codes);
        assert!(codes.len() > 40, "found only {codes:?}");
        let text = std::fs::read_to_string(root.join("docs/errors.md")).unwrap();
        let missing: Vec<_> = codes
            .iter()
            .filter(|code| !text.contains(&format!("| {code} |")))
            .collect();
        assert!(missing.is_empty(), "not in docs/errors.md: {missing:?}");
        let explained = text
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.split(' ').next());
        let gone: Vec<_> = explained
            .filter(|code| code.starts_with("SOTTO-") && !codes.contains(*code))
            .collect();
        assert!(gone.is_empty(), "nothing says these any more: {gone:?}");
    }
}
