//! The versions of one dataset: several contracts over the same files, with the same mapping and the same people. Each is opened and
//! checked by itself, so a version that the files contradict is refused and the others are served.

use std::collections::BTreeSet;

use governance::Contract;

use super::{DataError, Dataset};
use crate::config::{self, Mapping};

/// A version as if it stood alone in the configuration, and its contract.
pub struct Version {
    pub entry: config::Dataset,
    pub contract: Result<Contract, DataError>,
}

/// All versions of an entry, in the order of the configuration.
pub fn versions(entry: &config::Dataset) -> Vec<Version> {
    let paths = [&entry.contract].into_iter().chain(&entry.other_versions);
    let alone = |path: &std::path::PathBuf| config::Dataset {
        contract: path.clone(),
        other_versions: Vec::new(),
        ..entry.clone()
    };
    let mut found: Vec<Version> = Vec::new();
    for entry in paths.map(alone) {
        let contract = Dataset::contract_of(&entry).and_then(|contract| fits(&entry, contract, &found));
        found.push(Version { entry, contract });
    }
    let columns: BTreeSet<String> = found
        .iter()
        .filter_map(|version| version.contract.as_ref().ok())
        .flat_map(|contract| contract.columns.iter().map(|column| column.name.clone()))
        .collect();
    for version in &mut found {
        if let Ok(contract) = &version.contract {
            // What no version knows stays, and is refused by name when the version is opened.
            let concerns = |column: &String| contract.column(column).is_some() || !columns.contains(column);
            version.entry.mapping.keep(concerns);
        }
    }
    found
}

/// A further version has the first one's name and a label of its own.
fn fits(entry: &config::Dataset, contract: Contract, before: &[Version]) -> Result<Contract, DataError> {
    let path = || entry.contract.clone();
    for other in before.iter().filter_map(|version| version.contract.as_ref().ok()) {
        if other.name != contract.name {
            return Err(DataError::OtherName {
                path: path(),
                expected: other.name.clone(),
                found: contract.name.clone(),
            });
        }
        if other.version == contract.version {
            return Err(DataError::SameVersion {
                path: path(),
                version: contract.version.clone(),
            });
        }
    }
    Ok(contract)
}

impl Mapping {
    fn keep(&mut self, concerns: impl Fn(&String) -> bool) {
        self.rename.retain(|column, _| concerns(column));
        self.nulls.retain(|column, _| concerns(column));
        self.categories.retain(|column, _| concerns(column));
        self.units.retain(|column, _| concerns(column));
    }
}
