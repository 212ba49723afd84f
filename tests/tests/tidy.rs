//! House rules that a compiler does not hold: who may name whom, one set of features, how files open.
//! Asks `cargo tree` per crate (`cargo metadata` would unify features over the workspace); a few seconds in all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The tower. An arrow means "may name".
const ARROWS: &[(&str, &[&str])] = &[
    ("secagg", &[]),
    ("privacy", &[]),
    ("governance", &[]),
    ("policy", &["governance"]),
    ("engine", &["secagg", "privacy", "governance"]),
    ("workload", &["engine", "privacy", "governance"]),
    ("proto", &["engine", "workload", "secagg", "privacy", "governance"]),
    (
        "sotto-coordinator",
        &["proto", "workload", "engine", "privacy", "governance"],
    ),
    (
        "sotto-participant",
        &["proto", "workload", "engine", "privacy", "governance", "policy"],
    ),
    (
        "sottovoce",
        &[
            "proto",
            "workload",
            "engine",
            "privacy",
            "governance",
            "policy",
            "sotto-coordinator",
            "sotto-participant",
        ],
    ),
    (
        "tests",
        &[
            "secagg",
            "privacy",
            "governance",
            "policy",
            "engine",
            "workload",
            "proto",
            "sotto-coordinator",
            "sotto-participant",
            "sottovoce",
        ],
    ),
    (
        "experiments",
        &[
            "secagg",
            "privacy",
            "governance",
            "policy",
            "engine",
            "workload",
            "proto",
            "sotto-coordinator",
            "sotto-participant",
            "sottovoce",
            "tests",
        ],
    ),
];

/// What must not be in a crate's closure, and so cannot be called by accident.
const ABSENT: &[(&str, &[&str])] = &[
    ("secagg", &["tokio", "tonic", "polars", "rusqlite", "opendp"]),
    ("privacy", &["tokio", "tonic", "polars", "rusqlite", "opendp"]),
    ("governance", &["tokio", "tonic", "polars", "rusqlite", "opendp"]),
    ("policy", &["tokio", "tonic", "polars", "rusqlite", "opendp"]),
    ("engine", &["tokio", "tonic", "polars", "rusqlite", "opendp"]),
    ("workload", &["tokio", "tonic", "polars", "rusqlite", "opendp"]),
    ("sotto-coordinator", &["polars", "opendp", "cedar-policy"]),
];

fn root() -> PathBuf {
    // Not CARGO_MANIFEST_DIR: a target directory shared by checkouts would remember another one's path.
    Path::new("..")
        .canonicalize()
        .expect("tests run in their package's folder")
}

fn cargo_tree(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["tree", "--locked", "--prefix", "none"])
        .args(if arguments.contains(&"-e") {
            &[][..]
        } else {
            &["-e", "normal"][..]
        })
        .args(arguments)
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo tree {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("cargo prints text")
}

fn names(tree: &str) -> BTreeSet<&str> {
    tree.lines().filter_map(|line| line.split_whitespace().next()).collect()
}

#[test]
fn every_crate_names_only_what_the_tower_allows() {
    let ours: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    for (name, allowed) in ARROWS {
        let tree = cargo_tree(&["-p", name, "--depth", "1"]);
        for named in names(&tree).intersection(&ours).filter(|named| *named != name) {
            assert!(
                allowed.contains(named),
                "{name} names {named}: not an arrow of the tower"
            );
        }
    }
}

#[test]
fn what_must_be_absent_is_absent_from_the_whole_closure() {
    for (name, absent) in ABSENT {
        let tree = cargo_tree(&["-p", name]);
        let closure = names(&tree);
        for package in *absent {
            assert!(!closure.contains(package), "{package} is in the closure of {name}");
        }
    }
}

#[test]
fn one_crate_and_the_workspace_build_third_party_packages_with_the_same_features() {
    let with_features = |tree: &str| -> BTreeMap<String, BTreeSet<String>> {
        let mut packages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for line in tree
            .lines()
            .filter(|line| !line.contains(root().to_str().expect("a UTF-8 path")))
        {
            let line = line.trim_end_matches(" (*)");
            let package = line.split(" | ").next().unwrap_or(line).to_owned();
            packages.entry(package).or_default().insert(line.to_owned());
        }
        packages
    };
    let alone = with_features(&cargo_tree(&["-p", "sottovoce", "-f", "{p} | {f}"]));
    let together = with_features(&cargo_tree(&["--workspace", "-f", "{p} | {f}"]));
    for (package, features) in alone {
        assert_eq!(
            Some(&features),
            together.get(&package),
            "{package} would be built twice"
        );
    }
}

#[test]
fn features_of_third_party_packages_stand_only_in_the_workspace_manifest() {
    let ours: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    for manifest in tracked("Cargo.toml")
        .into_iter()
        .filter(|path| path.parent() != Some(&root()))
    {
        let text = std::fs::read_to_string(&manifest).expect("a readable manifest");
        for line in text
            .lines()
            .filter(|line| line.contains("features = [") && line.contains("workspace = true"))
        {
            let name = line.split_whitespace().next().unwrap_or_default();
            assert!(ours.contains(name), "{}: {line}", manifest.display());
        }
    }
}

#[test]
fn every_source_file_opens_by_saying_what_it_is() {
    for path in tracked(".rs") {
        let text = std::fs::read_to_string(&path).expect("a readable source file");
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with("//!"), "{}: opens with {first:?}", path.display());
    }
}

#[test]
fn no_source_file_grows_too_long_to_read() {
    for path in tracked(".rs") {
        let lines = std::fs::read_to_string(&path)
            .expect("a readable source file")
            .lines()
            .count();
        assert!(lines <= 600, "{}: {lines} lines, look for the seam", path.display());
    }
}

/// What makes a `tonic::Status` without a code of ours.
const BARE_STATUSES: &[&str] = &[
    "Status::new",
    "Status::with_",
    "Status::from_error",
    "::cancelled(",
    "::unknown(",
    "::invalid_argument(",
    "::deadline_exceeded(",
    "::not_found(",
    "::already_exists(",
    "::permission_denied(",
    "::resource_exhausted(",
    "::failed_precondition(",
    "::aborted(",
    "::out_of_range(",
    "::unimplemented(",
    "::internal(",
    "::unavailable(",
    "::data_loss(",
    "::unauthenticated(",
];

#[test]
fn no_refusal_goes_out_without_its_code() {
    let sources = ["coordinator/src", "proto/src"].map(|folder| root().join(folder));
    for path in tracked(".rs") {
        if !sources.iter().any(|folder| path.starts_with(folder))
            || path.ends_with("proto/src/refusal.rs")
            || path.ends_with("identity/tests.rs")
        {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a readable source file");
        let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
        for bare in BARE_STATUSES {
            assert!(
                !shipped.contains(bare),
                "{}: {bare}: make it of a refusal, with proto::refusal or the coordinator's",
                path.display()
            );
        }
    }
}

#[test]
fn every_code_has_its_row_in_the_document() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).expect("a readable file");
    let (codes, document) = (read("engine/src/codes.rs"), read("docs/errors.md"));
    let said: Vec<&str> = codes
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split('"').nth(1))
        .collect();
    assert!(said.len() > 40, "{said:?}");
    for code in said {
        let rows = document.lines().filter(|line| line.starts_with(&format!("| {code} |")));
        assert_eq!(rows.count(), 1, "{code}");
    }
}

fn tracked(ending: &str) -> Vec<PathBuf> {
    fn walk(directory: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).expect("a readable folder").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                walk(&path, ending, found);
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), ending, &mut found);
    found.sort();
    assert!(!found.is_empty(), "no {ending} under {}", root().display());
    found
}
