//! The catalogue as this analyst may read it: datasets with their versions and owners, and which version a name means.
//!
//! A name means the version that the most owners serve as an active one, of two that as many serve the newer; `name@version`
//! means just that one. A request binds to one contract by hash, and the owners who serve that very contract take part.

use std::cmp::Ordering;

use governance::contract::compat::{Verdict, compare, overall};
use governance::contract::versions;
use governance::{ContentHash, Contract};
use proto::v1;

use crate::released::minute;
use crate::{Answer, Exit, Problem};

/// One version of a dataset as its owners publish it; the contract's hash was recomputed.
#[derive(Clone, Debug)]
pub struct Dataset {
    pub name: String,
    pub contract: Contract,
    pub sites: Vec<v1::DatasetSite>,
}

/// All that the caller may know of.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    pub datasets: Vec<Dataset>,
    /// Of these only the name, the owners and the purposes.
    pub listed: Vec<v1::ListedDataset>,
}

impl TryFrom<v1::Datasets> for Catalogue {
    type Error = Problem;

    fn try_from(found: v1::Datasets) -> Result<Self, Problem> {
        Ok(Self {
            datasets: found
                .datasets
                .into_iter()
                .map(Dataset::read)
                .collect::<Result<_, _>>()?,
            listed: found.listed,
        })
    }
}

impl Catalogue {
    /// The dataset that `name` or `name@version` means.
    pub fn find(&self, wanted: &str) -> Result<&Dataset, Problem> {
        let (name, version) = match wanted.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (wanted, None),
        };
        let versions = self.versions(name);
        let found = match version {
            None => versions.iter().copied().max_by(|a, b| a.preferred(b)),
            Some(version) => versions.iter().copied().find(|known| known.contract.version == version),
        };
        match found {
            Some(dataset) => Ok(dataset),
            None if !versions.is_empty() => {
                let known: Vec<String> = versions.iter().map(|known| known.label()).collect();
                let message = format!("no version {} of `{name}`", version.unwrap_or_default());
                Err(Problem::new(Exit::Refused, "SOTTO-2003", message)
                    .remedy(format!("versions here: {}", known.join(", "))))
            }
            None => Err(self.unknown(name)),
        }
    }

    /// All versions of a name, the newest first.
    pub fn versions(&self, name: &str) -> Vec<&Dataset> {
        let mut found: Vec<&Dataset> = self.datasets.iter().filter(|dataset| dataset.name == name).collect();
        found.sort_by(|a, b| versions::compare(&b.contract.version, &a.contract.version));
        found
    }

    /// The version under this contract.
    pub fn under(&self, contract: &ContentHash) -> Option<&Dataset> {
        self.datasets
            .iter()
            .find(|dataset| dataset.contract.hash() == *contract)
    }

    /// What an analyst who uses this version is to know, if anything: that it goes, when, and what takes its place.
    pub fn notice(&self, dataset: &Dataset) -> Option<String> {
        let until_ms = dataset.served_until_ms()?;
        let newer = self.find(&dataset.name).ok();
        let newer = newer.filter(|newer| newer.contract.hash() != dataset.contract.hash());
        let instead = match newer {
            Some(newer) => {
                let verdict = overall(&compare(&dataset.contract, &newer.contract));
                let goes_on = match verdict.is_backward() {
                    true => "this question works under it",
                    false => "compare them with `sotto contract diff`: not every question works under it",
                };
                format!("{} takes its place; {goes_on}", newer.label())
            }
            None => "no other version is active yet".to_owned(),
        };
        Some(format!(
            "{} is deprecated and served until {}: {instead}",
            dataset.label(),
            minute(until_ms)
        ))
    }

    /// An answer with the notice of the version that it was asked under.
    pub fn noted(&self, answer: Answer) -> Answer {
        let dataset = self.under(&answer.request().contract);
        let notice = dataset.and_then(|dataset| self.notice(dataset));
        answer.noted(notice)
    }

    fn unknown(&self, name: &str) -> Problem {
        if let Some(listed) = self.listed.iter().find(|listed| listed.name == name) {
            let message = format!("`{name}` is listed only: its owners show its contract to whom they admit");
            return Problem::new(Exit::Refused, "SOTTO-2031", message).remedy(format!(
                "ask its owners ({}), for one of the purposes {}",
                listed.owners.join(", "),
                listed.purposes.join(", ")
            ));
        }
        let mut known: Vec<&str> = self.datasets.iter().map(|dataset| dataset.name.as_str()).collect();
        known.dedup();
        let known = match known.is_empty() {
            true => "nobody offers one now".to_owned(),
            false => known.join(", "),
        };
        Problem::new(Exit::Refused, "SOTTO-2001", format!("unknown dataset `{name}`"))
            .remedy(format!("datasets here: {known}"))
    }
}

impl Dataset {
    fn read(dataset: v1::Dataset) -> Result<Self, Problem> {
        let broken = |what: String| {
            Problem::new(
                Exit::Refused,
                "SOTTO-7202",
                format!("contract of `{}`: {what}", dataset.name),
            )
            .remedy("compare versions with `sotto doctor`: the two sides do not mean the same contract")
        };
        let text = std::str::from_utf8(&dataset.contract_json).map_err(|error| broken(error.to_string()))?;
        let contract = Contract::from_canonical_json(text).map_err(|error| broken(error.message))?;
        if contract.hash().0[..] != dataset.contract_hash[..] {
            return Err(broken(format!("expected hash {}, got another", contract.hash())));
        }
        Ok(Self {
            name: dataset.name,
            contract,
            sites: dataset.sites,
        })
    }

    /// `heart 1.0.0`.
    pub fn label(&self) -> String {
        format!("{} {}", self.name, self.contract.version)
    }

    /// Owners that would be asked now.
    pub fn serving(&self) -> impl Iterator<Item = &v1::DatasetSite> {
        let asked = |site: &&v1::DatasetSite| site.online && !site.paused && site.stage != "proposed";
        self.sites.iter().filter(asked)
    }

    /// Participants at which it rests: their operators paused it, or somebody suspended it there.
    pub fn paused(&self) -> Vec<&str> {
        let paused = self.sites.iter().filter(|site| site.paused);
        paused.map(|site| site.participant.as_str()).collect()
    }

    /// How many of them serve it as an active version.
    fn active(&self) -> usize {
        self.serving().filter(|site| site.stage != "deprecated").count()
    }

    /// The end of the notice, where an owner has given one: the first of them.
    pub fn served_until_ms(&self) -> Option<u64> {
        self.sites.iter().filter_map(|site| site.served_until_ms).min()
    }

    /// Where it stands, in words: at all owners, or owner by owner.
    pub fn stage(&self) -> String {
        let of = |site: &v1::DatasetSite| match (site.stage.as_str(), site.served_until_ms) {
            ("", _) => "active".to_owned(),
            (stage, Some(until_ms)) => format!("{stage}, until {}", minute(until_ms)),
            (stage, None) => stage.to_owned(),
        };
        let mut stages: Vec<String> = self.sites.iter().map(of).collect();
        stages.sort();
        stages.dedup();
        match stages.as_slice() {
            [one] => one.clone(),
            _ => {
                let each = |site: &v1::DatasetSite| format!("{} at {}", of(site), site.participant);
                self.sites.iter().map(each).collect::<Vec<_>>().join("; ")
            }
        }
    }

    /// Whose it is, each once.
    pub fn owners(&self) -> Vec<&str> {
        let mut owners: Vec<&str> = self.sites.iter().map(|site| site.organisation.as_str()).collect();
        owners.sort_unstable();
        owners.dedup();
        owners
    }

    /// What becomes of questions that were written for `other`.
    pub fn verdict_from(&self, other: &Self) -> Verdict {
        overall(&compare(&other.contract, &self.contract))
    }

    /// Orders two versions of one name: the greater is what the name means.
    fn preferred(&self, other: &Self) -> Ordering {
        let serving = |dataset: &Self| (dataset.active(), dataset.serving().count());
        let by_owners = serving(self).cmp(&serving(other));
        by_owners.then_with(|| versions::compare(&self.contract.version, &other.contract.version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEART: &str = include_str!("../../governance/contracts/heart.toml");

    fn version(label: &str, sites: &[(&str, &str, Option<u64>)]) -> Dataset {
        let site = |(name, stage, until): &(&str, &str, Option<u64>)| v1::DatasetSite {
            participant: (*name).to_owned(),
            organisation: format!("{name} hospital"),
            online: true,
            stage: (*stage).to_owned(),
            served_until_ms: *until,
            ..v1::DatasetSite::default()
        };
        Dataset {
            name: "heart".to_owned(),
            contract: Contract::parse(&HEART.replace("1.0.0", label)).unwrap(),
            sites: sites.iter().map(site).collect(),
        }
    }

    fn catalogue(datasets: Vec<Dataset>) -> Catalogue {
        Catalogue {
            datasets,
            listed: vec![v1::ListedDataset {
                name: "ward".to_owned(),
                owners: vec!["north".to_owned()],
                purposes: vec!["quality".to_owned()],
            }],
        }
    }

    fn means(catalogue: &Catalogue, name: &str) -> String {
        catalogue.find(name).unwrap().contract.version.clone()
    }

    #[test]
    fn a_name_means_the_version_that_most_owners_serve_and_of_two_the_newer() {
        let both = [("a", "", None), ("b", "", None), ("c", "active", None)];
        let migrating = catalogue(vec![version("1.9.0", &both), version("1.10.0", &both[..1])]);
        assert_eq!(means(&migrating, "heart"), "1.9.0");
        let migrated = catalogue(vec![version("1.10.0", &both), version("1.9.0", &both)]);
        assert_eq!(means(&migrated, "heart"), "1.10.0");
        assert_eq!(means(&migrated, "heart@1.9.0"), "1.9.0");
        assert_eq!(migrated.versions("heart")[0].contract.version, "1.10.0");
    }

    #[test]
    fn a_proposed_or_deprecated_version_gives_way_to_an_active_one() {
        let old = [
            ("a", "deprecated", Some(0)),
            ("b", "deprecated", Some(86_400_000)),
            ("c", "deprecated", Some(0)),
        ];
        let next = [
            ("a", "proposed", None),
            ("b", "proposed", None),
            ("c", "proposed", None),
        ];
        let catalogue = catalogue(vec![
            version("1.0.0", &old),
            version("2.0.0", &[("a", "active", None), ("b", "active", None)]),
            version("3.0.0", &next),
        ]);
        assert_eq!(means(&catalogue, "heart"), "2.0.0");
        let notice = catalogue.notice(catalogue.find("heart@1.0.0").unwrap()).unwrap();
        assert!(notice.contains("until 1970-01-01 00:00 UTC"), "{notice}");
        assert!(
            notice.contains("heart 2.0.0 takes its place; this question works under it"),
            "{notice}"
        );
        assert_eq!(catalogue.notice(catalogue.find("heart").unwrap()), None);
        assert!(
            catalogue
                .find("heart@1.0.0")
                .unwrap()
                .stage()
                .contains("deprecated, until 1970-01-02")
        );
    }

    #[test]
    fn what_is_listed_and_what_is_not_there_are_told_apart_and_what_is_hidden_is_not_there() {
        let catalogue = catalogue(vec![version("1.0.0", &[("a", "", None)])]);
        let listed = catalogue.find("ward").unwrap_err();
        assert_eq!(listed.code, "SOTTO-2031");
        assert!(listed.remedy.unwrap().contains("north"));
        let unknown = catalogue.find("secret").unwrap_err();
        assert_eq!(
            (unknown.code.as_str(), unknown.remedy.unwrap().as_str()),
            ("SOTTO-2001", "datasets here: heart")
        );
        let version = catalogue.find("heart@7").unwrap_err();
        assert!(version.remedy.unwrap().contains("heart 1.0.0"));
    }
}
