//! The decision step: the one place where a participant says yes or no to a question.
//!
//! Grants and consent plug in here later, behind `Decide`; Cedar policy (crate `policy`) does. What stands here is `LocalRules`,
//! the owner's own rules from the agent's configuration. Everything is independent of data, so a refusal names its rule, its
//! reason and what would help. Absent permission is a refusal.

use crate::{ContentHash, Contract, Request};
use std::collections::{BTreeMap, BTreeSet};

/// What a participant is asked to contribute to.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub request: &'a Request,
    pub contract: &'a Contract,
    pub contract_hash: ContentHash,
    /// Organisation of the analyst, from the roster.
    pub organisation: &'a str,
    /// The columns that the plan reads.
    pub columns: &'a [String],
    /// The smallest cohort that this round may release a sum over.
    pub s_min: u32,
    pub now_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Allow,
    Deny {
        /// Stable name of the rule, for logs and documents.
        rule: &'static str,
        reason: String,
        remedy: String,
    },
}

pub trait Decide: Send + Sync {
    fn decide(&self, question: &Question<'_>) -> Verdict;

    /// Asked before there is a plan, and so without columns: a rule that needs none may refuse here already and spare the
    /// work. An allow settles nothing, `decide` is asked in any case.
    fn decide_early(&self, question: &Question<'_>) -> Verdict {
        self.decide(question)
    }
}

/// The owner's own rules. The default allows nothing, because nobody is on its list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalRules {
    /// Per dataset, the analysts who may ask; the entry `*` admits every analyst of the roster.
    pub analysts: BTreeMap<String, BTreeSet<String>>,
    /// Columns that this owner withholds beyond what the contract withholds.
    pub forbidden_columns: BTreeMap<String, BTreeSet<String>>,
}

impl Decide for LocalRules {
    fn decide(&self, q: &Question<'_>) -> Verdict {
        let dataset = &q.request.dataset;
        let analyst = &q.request.analyst;
        if q.request.contract != q.contract_hash || *dataset != q.contract.name {
            return deny(
                "local.contract",
                format!("the request names another contract of `{dataset}` than this participant serves"),
                "fetch the current contract with `sotto dataset` and ask again".into(),
            );
        }
        let admitted = self.analysts.get(dataset);
        if !admitted.is_some_and(|list| list.contains(analyst) || list.contains("*")) {
            return deny(
                "local.analyst",
                format!("analyst `{analyst}` is not admitted to `{dataset}` here"),
                format!("the owner may add `{analyst}` to the analysts of `{dataset}` in the agent's configuration"),
            );
        }
        if !q.contract.purposes.contains(&q.request.purpose) {
            return deny(
                "contract.purpose",
                format!(
                    "purpose `{}` is not allowed by the contract of `{dataset}`",
                    q.request.purpose
                ),
                format!("allowed purposes: {}", q.contract.purposes.join(", ")),
            );
        }
        let withheld = self.forbidden_columns.get(dataset);
        let forbidden = q.columns.iter().find(|name| {
            withheld.is_some_and(|list| list.contains(*name)) || !q.contract.column(name).is_some_and(|c| c.queryable)
        });
        if let Some(column) = forbidden {
            return deny(
                "local.column",
                format!("column `{column}` of `{dataset}` may not be used here"),
                "leave the column out of the question".into(),
            );
        }
        Verdict::Allow
    }
}

fn deny(rule: &'static str, reason: String, remedy: String) -> Verdict {
    Verdict::Deny { rule, reason, remedy }
}
