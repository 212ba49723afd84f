//! The decision step: the one place where a participant says yes or no to a question.
//!
//! What ships is `LocalRules`: contract AND nothing suspended AND (the owner's own list OR an active grant that covers the question).
//! Cedar policy (crate `policy`) plugs in behind `Decide` and can only narrow it. Everything here is independent of data, so a refusal
//! names its rule, its reason and what would help. Absent permission is a refusal.

pub mod columns;
pub mod path;

pub use columns::ColumnsRead;
pub use path::Path;

use crate::grant::{Action, Witnessed};
use crate::register::{ContractStanding, Uncovered, Wanted};
use crate::{ContentHash, Contract, Register, Request};
use std::collections::{BTreeMap, BTreeSet};

/// What a participant is asked to contribute to.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub request: &'a Request,
    pub contract: &'a Contract,
    pub contract_hash: ContentHash,
    /// Organisation of the analyst, from the roster.
    pub organisation: &'a str,
    /// Organisation that is asked: the agent's own.
    pub owner: &'a str,
    /// What the acts that this participant knows lead to.
    pub register: &'a Register,
    /// Which of them count: see [`Witnessed`].
    pub witnessed: &'a dyn Witnessed,
    /// Its name, which the layer of policies of all carries.
    pub consortium: &'a str,
    /// The columns that the plan reads.
    pub columns: &'a ColumnsRead,
    /// The aggregates that it releases, as in SQL and in capitals; none for training.
    pub aggregates: &'a [String],
    /// Whether what leaves holds noise. Before there is a plan nobody knows, and it counts as so.
    pub noise: bool,
    /// The smallest cohort that this round may release a sum over.
    pub s_min: u32,
    pub now_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Allow {
        /// The grant that admits the analyst, where the owner's own list does not: what is spent is its.
        grant: Option<ContentHash>,
    },
    Deny {
        /// Stable name of the rule, for logs and documents.
        rule: &'static str,
        reason: String,
        remedy: String,
    },
}

pub trait Decide: Send + Sync {
    /// Says yes or no, and keeps on `path` what each rule that let the question pass said. Why it refuses is in the verdict.
    fn walk(&self, question: &Question<'_>, path: &mut Path) -> Verdict;

    fn decide(&self, question: &Question<'_>) -> Verdict {
        self.walk(question, &mut Path::silent())
    }

    /// Asked before there is a plan, and so without columns: a rule that needs none may refuse here already and spare the
    /// work. An allow settles nothing, `walk` is asked in any case.
    fn walk_early(&self, question: &Question<'_>, path: &mut Path) -> Verdict {
        self.walk(question, path)
    }

    /// The policies of the owner's own disk, as the log names them; none where there are none.
    fn local_policy(&self) -> Option<ContentHash> {
        None
    }

    /// Whether an analyst may know of a dataset whose contract does not show itself to everybody. Absent permission is none.
    fn admits(&self, _dataset: &str, _analyst: &str) -> bool {
        false
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
    fn walk(&self, q: &Question<'_>, path: &mut Path) -> Verdict {
        let dataset = &q.request.dataset;
        let analyst = &q.request.analyst;
        if q.request.contract != q.contract_hash || *dataset != q.contract.name {
            return deny(
                "local.contract",
                format!("the request names another contract of `{dataset}` than this participant serves"),
                "fetch the current contract with `sotto dataset` and ask again".into(),
            );
        }
        if let Some(denied) = retired(q) {
            return denied;
        }
        path.passed("contract", || {
            let standing = q.register.standing(q.owner, dataset, &q.contract_hash, q.now_ms);
            let (version, hash) = (&q.contract.version, q.contract_hash);
            let stands = match standing.name() {
                "" => "as its owner configured it",
                stage => stage,
            };
            format!("`{dataset}` version {version}, {stands}, {hash}")
        });
        if let Some(denied) = suspended(q) {
            return denied;
        }
        path.passed("suspended", || {
            "neither the analyst's organisation nor the owner nor the dataset".to_owned()
        });
        let grant = match self.admits(dataset, analyst) {
            true => {
                path.passed("local.list", || format!("`{analyst}` is on the owner's own list"));
                None
            }
            false => match q.grant() {
                // A grant is capped by its epsilon, and what has no noise has none: no cap would hold.
                Ok(_) if !q.noise => {
                    return deny(
                        "grant.noise",
                        format!(
                            "analyst `{analyst}` is admitted to `{dataset}` by a grant, and none covers sums without noise"
                        ),
                        "leave `non_private` out, or the owner lists the analyst in its configuration".into(),
                    );
                }
                Ok(grant) => {
                    path.passed("grant", || {
                        let covers = "active, covers action, purpose, columns and aggregates";
                        format!("grant {grant}: {covers}")
                    });
                    Some(grant)
                }
                Err(Uncovered { rule, reason, remedy }) => {
                    let reason =
                        format!("analyst `{analyst}` is not on the owner's list for `{dataset}`, and {reason}");
                    return deny(rule, reason, remedy);
                }
            },
        };
        let vocabulary = q.register.vocabulary();
        let allowed = &q.contract.purposes;
        if !allowed
            .iter()
            .any(|allowed| vocabulary.subsumes(allowed, &q.request.purpose))
        {
            return deny(
                "contract.purpose",
                format!(
                    "purpose `{}` is not allowed by the contract of `{dataset}`",
                    q.request.purpose
                ),
                format!("allowed purposes: {}", q.contract.purposes.join(", ")),
            );
        }
        path.passed("contract.purpose", || {
            format!(
                "`{}`, of those that the contract allows: {}",
                q.request.purpose,
                allowed.join(", ")
            )
        });
        let withheld = || {
            let list = self.forbidden_columns.get(dataset)?;
            (q.columns.names().iter().map(String::as_str)).find(|name| list.contains(*name))
        };
        if let Some(column) = q.columns.unqueryable().or_else(withheld) {
            return deny(
                "local.column",
                format!("column `{column}` of `{dataset}` may not be used here"),
                "leave the column out of the question".into(),
            );
        }
        path.passed("local.column", || match q.columns.names() {
            [] => "the question reads no column".to_owned(),
            read => format!("may be used: {}", listed(read)),
        });
        Verdict::Allow { grant }
    }

    fn admits(&self, dataset: &str, analyst: &str) -> bool {
        let admitted = self.analysts.get(dataset);
        admitted.is_some_and(|list| list.contains(analyst) || list.contains("*"))
    }
}

impl Question<'_> {
    /// What the request does; none for a kind that no grant knows.
    pub fn action(&self) -> Option<Action> {
        Action::of_kind(&self.request.kind)
    }

    /// The active grant that covers this question.
    pub fn grant(&self) -> Result<ContentHash, Uncovered> {
        let wanted = Wanted {
            requester: &self.request.analyst,
            organisation: self.organisation,
            owner: self.owner,
            dataset: &self.request.dataset,
            columns: self.columns.names(),
            aggregates: self.aggregates,
            purpose: &self.request.purpose,
            action: self.action(),
            now_ms: self.now_ms,
        };
        self.register.covering(&wanted, self.witnessed).map(|grant| grant.id)
    }
}

/// The owner's acts may have moved the contract along, whatever its configuration still serves.
fn retired(q: &Question<'_>) -> Option<Verdict> {
    let dataset = &q.request.dataset;
    let (rule, stands) = match q.register.standing(q.owner, dataset, &q.contract_hash, q.now_ms) {
        ContractStanding::Proposed => ("contract.proposed", "is proposed and not active yet"),
        ContractStanding::Retired => ("contract.retired", "is retired"),
        _ => return None,
    };
    let reason = format!("version {} of `{dataset}` {stands}", q.contract.version);
    let remedy = format!("`sotto dataset show {dataset}` names the version that is active now: ask under it");
    Some(deny(rule, reason, remedy))
}

fn suspended(q: &Question<'_>) -> Option<Verdict> {
    let stopped = q.register.stopped(q.owner, q.organisation, &q.request.dataset)?;
    Some(deny(stopped.rule, stopped.reason(), stopped.remedy()))
}

/// The first names of a list that may be long: an image has hundreds of columns.
fn listed(names: &[String]) -> String {
    const FIRST: usize = 12;
    let first = names[..names.len().min(FIRST)].join(", ");
    match names.len().saturating_sub(FIRST) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

fn deny(rule: &'static str, reason: String, remedy: String) -> Verdict {
    Verdict::Deny { rule, reason, remedy }
}
