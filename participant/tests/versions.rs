//! Several versions of one contract over one file set, and one ledger: each is checked against the files by itself, and the file that a
//! version contradicts is named with its column.

use std::fs;
use std::path::Path;

use sotto_participant::config::Config;
use sotto_participant::serving::{Serving, ServingError};

const FIRST: &str = r#"
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
const WARD: &str = r#"
[[schema.properties]]
name = "ward"
logicalType = "string"
categories = ["A", "B"]
"#;
const ENTRY: &str = r#"
[[dataset]]
contract = "second.toml"
other_versions = ["first.toml"]
files = ["visits.csv"]
population = "people"
analysts = ["ana"]
"#;
const AGENT: &str = r#"
name = "cleveland"
coordinator = "localhost:1"
identity = "identity"
store = "state/participant.sqlite"
[[population]]
id = "people"
"#;

fn second() -> String {
    FIRST.replace("1.0.0", "2.0.0") + WARD
}

fn open(csv: &str, first: &str, second: &str, dataset: &str) -> (tempfile::TempDir, Result<Serving, ServingError>) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("visits.csv", csv), ("first.toml", first), ("second.toml", second)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let config = Config::parse(&format!("{AGENT}{dataset}"), "p.toml", Path::new(folder.path()), |_| {
        None
    })
    .unwrap();
    let serving = Serving::open(&config);
    (folder, serving)
}

#[test]
fn two_versions_are_served_over_the_same_files_and_charge_the_same_people() {
    let renamed = format!("{ENTRY}[dataset.rename]\nward = \"station\"\n");
    let (_folder, serving) = open("age,station\n50,A\n60,B\n", FIRST, &second(), &renamed);
    let serving = serving.unwrap();
    assert!(serving.refused.is_empty(), "{:?}", serving.refused);
    let served: Vec<(&str, &str)> = serving
        .datasets
        .iter()
        .map(|d| (d.contract.version.as_str(), d.population.as_str()))
        .collect();
    assert_eq!(served, [("2.0.0", "people"), ("1.0.0", "people")]);
    assert_ne!(serving.datasets[0].snapshot, serving.datasets[1].snapshot);
    assert_ne!(serving.datasets[0].contract.hash(), serving.datasets[1].contract.hash());
}

#[test]
fn a_version_that_contradicts_the_file_is_refused_with_its_column_and_the_other_is_served() {
    let (_folder, serving) = open("age\n50\n60\n", FIRST, &second(), ENTRY);
    let serving = serving.unwrap();
    let served: Vec<&str> = serving.datasets.iter().map(|d| d.contract.version.as_str()).collect();
    assert_eq!(served, ["1.0.0"]);
    assert!(
        serving.refused["visits 2.0.0"].contains("`ward` is missing"),
        "{:?}",
        serving.refused
    );
}

#[test]
fn another_dataset_and_a_label_that_was_given_before_are_no_versions() {
    let other = FIRST.replace("\"visits\"", "\"stays\"");
    let (_folder, serving) = open("age,ward\n50,A\n", &other, &second(), ENTRY);
    let refused = serving.unwrap().refused;
    assert!(
        refused
            .values()
            .any(|why| why.contains("`stays`") && why.contains("[[dataset]]")),
        "{refused:?}"
    );

    let again = FIRST.replace("1.0.0", "2.0.0");
    let (_folder, serving) = open("age,ward\n50,A\n", &again, &second(), ENTRY);
    let refused = serving.unwrap().refused;
    assert!(refused.values().any(|why| why.contains("2.0.0 again")), "{refused:?}");
}

#[test]
fn a_mapping_for_a_column_that_no_version_has_is_refused_by_name() {
    let typo = format!("{ENTRY}[dataset.rename]\nwrad = \"station\"\n");
    let (_folder, serving) = open("age,ward\n50,A\n", FIRST, &second(), &typo);
    let serving = serving.unwrap();
    assert!(serving.datasets.is_empty());
    assert!(
        serving.refused.values().all(|why| why.contains("`wrad`")),
        "{:?}",
        serving.refused
    );
}

#[test]
fn one_file_is_not_two_versions_and_two_entries_are_not_one_dataset() {
    let twice = ENTRY.replace("[\"first.toml\"]", "[\"./second.toml\"]");
    let error = Config::parse(&format!("{AGENT}{twice}"), "p.toml", Path::new(""), |_| None).unwrap_err();
    assert!(error.message.contains("named twice"), "{error}");
    let alone = ENTRY.replace("other_versions = [\"first.toml\"]\n", "");
    let both = format!("{alone}{}", alone.replace("second.toml", "first.toml"));
    let (_folder, serving) = open("age,ward\n50,A\n", FIRST, &second(), &both);
    let error = serving.err().expect("refused").to_string();
    assert!(error.contains("other_versions"), "{error}");
}
