//! `sotto policy test`: the cases of a steward's test file, asked of the policies that it names.

use std::path::{Path, PathBuf};

use clap::Args;
use policy::{Casebook, CasebookError, Expected, Layer, Layers, Report, Tried};
use serde_json::{Value, json};

use super::{beside, install};
use crate::{Exit, Problem};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto policy test policies/tests.toml
  sotto policy test policies/*.toml --json

The file names policies, a usual request, and cases:
  [policies]
  local = [\"local.cedar\"]
  [request]
  analyst = \"ann\"
  organisation = \"Institute of Cardiology\"
  action = \"query\"
  dataset = \"heart\"
  purpose = \"research\"
  columns = [\"age\"]
  epsilon = 1.0
  cohort = 3
  time = 2026-03-02T10:00:00Z
  [[case]]
  name = \"by night nobody asks\"
  request = { time = 2026-03-02T02:00:00Z }
  expect = \"deny\"
  by = \"night\"")]
pub(super) struct Test {
    #[arg(required = true)]
    pub(super) files: Vec<PathBuf>,
}

impl Test {
    pub(super) fn run(self, json: bool) -> Result<(), Problem> {
        let reports = self
            .files
            .iter()
            .map(|file| report(file))
            .collect::<Result<Vec<_>, _>>()?;
        let (mut cases, mut failed) = (0, 0);
        let mut told = Vec::new();
        for (file, report) in self.files.iter().zip(&reports) {
            cases += report.tried.len();
            failed += report.tried.iter().filter(|tried| !tried.passed()).count();
            match json {
                true => told.push(json!({
                    "file": file, "untested": report.untested, "cases": report.tried.iter().map(as_json).collect::<Vec<_>>(),
                })),
                false => show(file, report),
            }
        }
        let problem = (failed > 0).then(|| {
            Problem::new(
                Exit::Local,
                "SOTTO-7603",
                format!("{failed} of {cases} cases came out otherwise"),
            )
            .remedy("correct the policy or the case; `sotto policy explain` tries a request by hand")
        });
        if json {
            let mut object = json!({ "cases": cases, "failed": failed, "files": told });
            if let Some(problem) = &problem {
                object["error"] = problem.to_json()["error"].take();
            }
            println!("{object:#}");
        } else if failed == 0 {
            println!("{cases} cases passed");
        }
        problem.map_or(Ok(()), |problem| Err(problem.told(json)))
    }
}

fn report(file: &Path) -> Result<Report, Problem> {
    let refused = |error: CasebookError| {
        Problem::new(
            Exit::Local,
            "SOTTO-7602",
            format!("{}:{}: {}", file.display(), error.line, error.message),
        )
        .remedy("put that line right; `sotto policy test --help` shows a whole file")
    };
    let text = std::fs::read_to_string(file).map_err(|error| Problem::unread(file, &error))?;
    let book = Casebook::parse(&text).map_err(refused)?;
    let mut layers = Layers::new(book.sources.require_consortium);
    for (layer, paths) in [
        (Layer::Consortium, &book.sources.consortium),
        (Layer::Owner, &book.sources.owner),
        (Layer::Local, &book.sources.local),
    ] {
        if let Some(paths) = paths {
            let paths: Vec<PathBuf> = paths.iter().map(|path| beside(file, path)).collect();
            install(&mut layers, layer, &paths)?;
        }
    }
    book.run(&layers).map_err(refused)
}

fn show(file: &Path, report: &Report) {
    for tried in &report.tried {
        match tried.passed() {
            true => println!("ok    {}", tried.name),
            false => println!(
                "FAIL  {}\n      {}:{}: {}",
                tried.name,
                file.display(),
                tried.line,
                outcome(tried)
            ),
        }
    }
    if !report.untested.is_empty() {
        println!("note: no case is decided by {}", report.untested.join(", "));
    }
}

fn outcome(tried: &Tried) -> String {
    let by = tried.by.as_ref().map_or(String::new(), |by| format!(" by `{by}`"));
    let got = if tried.decision.is_allowed() { "allow" } else { "deny" };
    let told: Vec<String> = tried.decision.layers.iter().map(ToString::to_string).collect();
    format!("expected {}{by}, got {got}: {}", tried.expect.as_str(), told.join("; "))
}

fn as_json(tried: &Tried) -> Value {
    let got = if tried.decision.is_allowed() {
        Expected::Allow
    } else {
        Expected::Deny
    };
    json!({
        "name": tried.name, "line": tried.line, "passed": tried.passed(), "expected": tried.expect.as_str(),
        "by": tried.by, "got": got.as_str(), "layers": super::explain::layers_json(&tried.decision),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::saved;
    use super::*;

    const BOOK: &str = r#"
[policies]
local = ["open.cedar"]
[request]
analyst = "ann"
organisation = "Institute of Cardiology"
action = "query"
dataset = "heart"
purpose = "research"
columns = ["age"]
epsilon = 1.0
cohort = 3
time = 2026-03-02T10:00:00Z
[[case]]
name = "anybody may ask"
expect = "allow"
by = "open"
"#;

    fn run(book: &str) -> Result<(), Problem> {
        let folder = tempfile::tempdir().unwrap();
        saved(
            folder.path(),
            "open.cedar",
            "@id(\"open\") permit (principal, action, resource);",
        );
        let files = vec![saved(folder.path(), "tests.toml", book)];
        Test { files }.run(false)
    }

    #[test]
    fn a_case_that_comes_out_otherwise_stops_the_pipeline_with_exit_1() {
        run(BOOK).unwrap();
        let problem = run(&BOOK.replace("allow", "deny")).unwrap_err();
        assert_eq!((problem.exit as u8, problem.code.as_str()), (1, "SOTTO-7603"));
        assert!(problem.message.contains("1 of 1"), "{problem}");
    }

    #[test]
    fn a_test_file_that_is_none_names_its_line_and_a_missing_policy_file_its_path() {
        let problem = run(&BOOK.replace("by = \"open\"", "by = \"opn\"")).unwrap_err();
        assert_eq!(problem.code, "SOTTO-7602");
        assert!(problem.message.contains("tests.toml:14: "), "{problem}");
        let problem = run(&BOOK.replace("open.cedar", "shut.cedar")).unwrap_err();
        assert_eq!(problem.code, "SOTTO-7001");
        assert!(problem.message.contains("shut.cedar"), "{problem}");
    }
}
