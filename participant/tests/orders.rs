//! Orders of an agent's operator as processes: each error has a code, says what helps, and with `--json` is one object on standard output.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// A configuration over one contract whose dataset requires consent; its agent does not run.
fn configured(folder: &Path) {
    fs::create_dir_all(folder.join("contracts")).unwrap();
    fs::create_dir_all(folder.join("data")).unwrap();
    let example = Path::new("../client/examples/clinics");
    fs::copy(example.join("visits.toml"), folder.join("contracts/visits.toml")).unwrap();
    fs::copy(example.join("north.csv"), folder.join("data/north.csv")).unwrap();
    let config = r#"
name = "north"
coordinator = "localhost:7443"
identity = "identity"
store = "participant.sqlite"

[[dataset]]
contract = "contracts/visits.toml"
files = ["data/north.csv"]
population = "patients"
consent = "required"

[[population]]
id = "patients"
"#;
    fs::write(folder.join("participant.toml"), config).unwrap();
}

fn order(folder: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sotto-participant"))
        .current_dir(folder)
        .env_remove("SOTTO_PARTICIPANT_CONFIG")
        .args(words)
        .output()
        .unwrap()
}

/// Code and message of an order that is refused, which are the same for people and scripts.
fn refused(folder: &Path, words: &[&str]) -> (String, String) {
    let plain = order(folder, words);
    let json = order(folder, &[words, &["--json"]].concat());
    assert_eq!(plain.status.code(), json.status.code(), "{words:?}");
    assert_eq!(plain.stdout, b"", "{words:?}");
    let error =
        serde_json::from_slice::<Value>(&json.stdout).unwrap_or_else(|e| panic!("{words:?}: {e}"))["error"].take();
    assert_eq!(error["exit"], plain.status.code().unwrap(), "{words:?}");
    let text = |key: &str| {
        error[key]
            .as_str()
            .unwrap_or_else(|| panic!("{words:?}: {error}"))
            .to_owned()
    };
    assert!(!text("remedy").is_empty());
    let told = String::from_utf8(plain.stderr).unwrap();
    if text("code") != "SOTTO-7002" {
        assert!(told.contains(&text("code")) && told.contains("try: "), "{told}");
    }
    (text("code"), text("message"))
}

#[test]
fn every_error_of_an_order_has_a_code_a_message_and_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    configured(folder);
    for (name, rows) in [
        ("unknown.csv", "P001,gambling,\n"),
        ("twice.csv", "P001,research,\nP001,research,\n"),
        ("dates.csv", "P001,research,2027-13-01\n"),
    ] {
        fs::write(folder.join(name), format!("unit,purposes,from\n{rows}")).unwrap();
    }
    for (words, code, says) in [
        (
            &["consent", "import", "unknown.csv"][..],
            "SOTTO-7707",
            "unknown purpose `gambling`",
        ),
        (
            &["consent", "import", "twice.csv"],
            "SOTTO-7707",
            "decided about before",
        ),
        (&["consent", "import", "dates.csv"], "SOTTO-7707", "`from` is no date"),
        (
            &["consent", "import", "absent.csv"],
            "SOTTO-7706",
            "nothing was imported",
        ),
        (
            &["consent", "give", "P001", "--purpose", "gambling"],
            "SOTTO-7708",
            "gambling",
        ),
        (
            &["consent", "give", "P001", "--purpose", "research", "--until", "soon"],
            "SOTTO-7708",
            "`until` is no date",
        ),
        (&["consent", "withdraw", "P999"], "SOTTO-7709", "nobody of this id"),
        (&["consent", "status", "--population", "others"], "SOTTO-7705", "others"),
        (&["revoke", "3f9c2b6e8d0a"], "SOTTO-7701", "no running agent"),
        (&["pause", "visits"], "SOTTO-7701", "no running agent"),
        (&["status", "--config", "absent.toml"], "SOTTO-7702", "cannot be read"),
        (
            &["budget", "sign", "absent.json", "--key", "none"],
            "SOTTO-7712",
            "absent.json",
        ),
        (&["ledger", "replay", "absent.json"], "SOTTO-7712", "absent.json"),
        (&["pause"], "SOTTO-7002", "<DATASET>"),
    ] {
        let (found, message) = refused(folder, words);
        assert_eq!(found, code, "{words:?}: {message}");
        assert!(message.contains(says), "{words:?}: {message}");
    }
    assert_eq!(order(folder, &["pause"]).status.code(), Some(2));
    let done = order(folder, &["consent", "give", "P001", "--purpose", "research", "--json"]);
    assert_eq!(serde_json::from_slice::<Value>(&done.stdout).unwrap()["changed"], 1);
}
