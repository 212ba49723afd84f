//! Files that change under a running agent: off the offers before anybody is charged, and back on them once they are good.

use sotto_participant::config::Config;
use sotto_participant::serving::Serving;
use std::fs;
use std::path::{Path, PathBuf};

const GOOD: &str = "age\n50\n60\n";
const CONTRACT: &str = r#"
apiVersion = "v3.1.0"
kind = "DataContract"
name = "visits"
version = "1.0.0"
purposes = ["research"]
[privacy]
maxRows = 100
delta = 1e-6
[[schema.properties]]
name = "age"
logicalType = "integer"
logicalTypeOptions = { minimum = 0, maximum = 100 }
"#;

fn world(csv: &str) -> (tempfile::TempDir, PathBuf, Serving) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("visits.csv");
    fs::write(&data, csv).unwrap();
    fs::write(folder.path().join("visits.toml"), CONTRACT).unwrap();
    let text = r#"
name = "cleveland"
coordinator = "localhost:1"
identity = "identity"
store = "state/participant.sqlite"
[[population]]
id = "people"
[[dataset]]
contract = "visits.toml"
files = ["visits.csv"]
population = "people"
"#;
    let config = Config::parse(text, "p.toml", Path::new(folder.path()), |_| None).unwrap();
    let serving = Serving::open(&config).unwrap();
    (folder, data, serving)
}

const FAR_MS: u64 = u64::MAX / 2;

#[test]
fn a_file_that_changed_is_not_offered_and_comes_back_with_another_snapshot() {
    let (_folder, data, mut serving) = world(GOOD);
    let mut watch = serving.watch.take().unwrap();
    let before = serving.datasets[0].snapshot.clone();
    assert!(watch.look(FAR_MS).is_none(), "nothing changed");

    fs::write(&data, format!("{GOOD}70\n")).unwrap();
    let gone = watch.look(FAR_MS).expect("the change is seen");
    assert!(gone.datasets.is_empty() && gone.refused["visits"].contains("changed"));
    assert!(
        watch.look(FAR_MS + 59_999).is_none(),
        "it is read again after a minute, not before"
    );
    let back = watch.look(FAR_MS + 60_000).expect("it is good again");
    assert!(back.refused.is_empty());
    assert_ne!(back.datasets[0].snapshot, before);
    assert_eq!(back.datasets[0].contract, serving.datasets[0].contract);
}

#[test]
fn a_file_that_was_bad_at_the_start_is_served_once_it_is_put_right() {
    let (_folder, data, mut serving) = world("years\n50\n");
    let mut watch = serving.watch.take().unwrap();
    assert!(serving.datasets.is_empty() && serving.refused["visits"].contains("`age` is missing"));
    assert!(watch.names().contains("visits"));
    fs::write(&data, GOOD).unwrap();
    assert_eq!(watch.look(FAR_MS).unwrap().datasets.len(), 1);
    fs::remove_file(&data).unwrap();
    assert!(watch.look(FAR_MS).unwrap().datasets.is_empty());
}
