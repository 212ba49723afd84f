//! A steward's test file: which policies, which requests, and what each is expected to be answered. TOML, for a pipeline.
//!
//! ```toml
//! [policies]                       # files or folders, beside this file
//! consortium = ["consortium.cedar"]
//! local = ["local.cedar"]
//!
//! [request]                        # what a case leaves out
//! analyst = "ann"
//! organisation = "Institute of Cardiology"
//! action = "query"
//! dataset = "heart"
//! purpose = "research"
//! columns = ["age"]
//! epsilon = 1.0
//! cohort = 3
//! time = 2026-03-02T10:00:00Z
//!
//! [[case]]
//! name = "nobody asks for marketing"
//! request = { purpose = "marketing" }
//! expect = "deny"
//! by = "no-marketing"              # optional: a policy that decided
//! ```
//! A file without a case is refused, and so is a `by` that names no policy: such a test could not fail.

use std::collections::BTreeSet;

use serde::Deserialize;
use toml::Spanned;

use crate::{Decision, Draft, Layers, Outcome, Sample};

/// Where each layer's text is to be found: files or folders, relative to the test file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    pub consortium: Option<Vec<String>>,
    pub owner: Option<Vec<String>>,
    pub local: Option<Vec<String>>,
    #[serde(default)]
    pub require_consortium: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    Allow,
    Deny,
}

impl Expected {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// A test file that can be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Casebook {
    pub sources: Sources,
    cases: Vec<Case>,
}

#[derive(Clone, Debug, PartialEq)]
struct Case {
    name: String,
    line: usize,
    sample: Sample,
    expect: Expected,
    by: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct CasebookError {
    pub line: usize,
    pub message: String,
}

/// What one case came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    pub name: String,
    pub line: usize,
    pub expect: Expected,
    pub by: Option<String>,
    pub decision: Decision,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub tried: Vec<Tried>,
    /// Policies that decided no case, as `layer/id`: nothing here would notice if they were wrong.
    pub untested: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    policies: Spanned<Sources>,
    #[serde(default)]
    request: Draft,
    #[serde(default, rename = "case")]
    cases: Vec<Spanned<CaseFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    name: String,
    #[serde(default)]
    request: Draft,
    expect: Expected,
    by: Option<String>,
}

impl Casebook {
    pub fn parse(text: &str) -> Result<Self, CasebookError> {
        let at = |offset: usize, message: String| CasebookError {
            line: 1 + text.as_bytes()[..offset.min(text.len())]
                .iter()
                .filter(|b| **b == b'\n')
                .count(),
            message,
        };
        let file: File = toml::from_str(text)
            .map_err(|error| at(error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
        let sources = file.policies.get_ref();
        let layers = [&sources.consortium, &sources.owner, &sources.local];
        if layers.iter().all(|layer| layer.is_none()) {
            let message = "[policies] names no layer: expected consortium, owner or local";
            return Err(at(file.policies.span().start, message.into()));
        }
        if file.cases.is_empty() {
            return Err(at(0, "no case: add a [[case]] with name, request and expect".into()));
        }
        let mut cases: Vec<Case> = Vec::new();
        for spanned in &file.cases {
            let (start, case) = (spanned.span().start, spanned.get_ref());
            let fault = |message: String| Err(at(start, format!("case `{}`: {message}", case.name)));
            if cases.iter().any(|earlier| earlier.name == case.name) {
                return fault("there is another of this name".into());
            }
            let sample = match case.request.over(&file.request) {
                Ok(sample) => sample,
                Err(missing) => return fault(format!("{missing}: say it in the case or in [request]")),
            };
            cases.push(Case {
                name: case.name.clone(),
                line: at(start, String::new()).line,
                sample,
                expect: case.expect,
                by: case.by.clone(),
            });
        }
        let sources = file.policies.into_inner();
        Ok(Self { sources, cases })
    }

    /// Asks `layers` every case. Fails where a case waits for a policy that none of them has.
    pub fn run(&self, layers: &Layers) -> Result<Report, CasebookError> {
        let mut untested: BTreeSet<String> = BTreeSet::new();
        for policies in layers.iter() {
            untested.extend(policies.ids().map(|(id, _, _)| format!("{}/{id}", policies.layer())));
        }
        let mut tried = Vec::new();
        for case in &self.cases {
            let known = |by: &str| layers.iter().any(|policies| policies.about(by).is_some());
            if let Some(by) = case.by.as_deref().filter(|by| !known(by)) {
                return Err(CasebookError {
                    line: case.line,
                    message: format!("case `{}`: by names policy `{by}`, which no layer has", case.name),
                });
            }
            let decision = layers.ask(&case.sample.asked());
            for layer in decision
                .layers
                .iter()
                .filter(|layer| layer.outcome.was_decided_by_policies())
            {
                for policy in &layer.policies {
                    untested.remove(&format!("{}/{}", layer.layer, policy.id));
                }
            }
            tried.push(Tried {
                name: case.name.clone(),
                line: case.line,
                expect: case.expect,
                by: case.by.clone(),
                decision,
            });
        }
        let untested = untested.into_iter().collect();
        Ok(Report { tried, untested })
    }
}

impl Outcome {
    /// Rather than by the absence of one.
    fn was_decided_by_policies(&self) -> bool {
        matches!(self, Self::Allowed | Self::Forbidden)
    }
}

impl Tried {
    /// The decision is the expected one, and, where the case says so, that policy took part in it.
    pub fn passed(&self) -> bool {
        let allowed = self.decision.is_allowed();
        let decided = |by: &String| {
            let same = |layer: &&crate::LayerDecision| (layer.outcome == Outcome::Allowed) == allowed;
            let mut deciding = self
                .decision
                .layers
                .iter()
                .filter(same)
                .filter(|l| l.outcome != Outcome::NothingPermits);
            deciding.any(|layer| layer.policies.iter().any(|policy| policy.id == *by))
        };
        allowed == (self.expect == Expected::Allow) && self.by.as_ref().is_none_or(decided)
    }
}

impl Report {
    pub fn passed(&self) -> bool {
        self.tried.iter().all(Tried::passed)
    }
}
