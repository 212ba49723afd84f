//! The layers of one agent and what they say together: allowed only if every layer that is there allows. Nothing is parsed for
//! a decision; each policy of each layer is evaluated once, half a microsecond a policy.
//!
//! A layer allows if no `forbid` of it applies, some `permit` of it does, and *every* policy of it could be evaluated: Cedar
//! skips a policy that fails, which for a `forbid` means "go ahead". A layer that is not there says nothing, unless it is the
//! consortium's and required.

use std::fmt;

use cedar_policy::{AuthorizationError, Authorizer};
use governance::ContentHash;
use governance::decision::{Decide, Path, Question, Verdict};

use crate::{Action, Asked, BundleError, Layer, Policies};

/// At most one set of policies per layer.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    present: Vec<Policies>,
    consortium_required: bool,
}

/// What every layer said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub layers: Vec<LayerDecision>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerDecision {
    pub layer: Layer,
    pub version: u64,
    pub outcome: Outcome,
    /// The policies that decided, in order of id; of `NothingPermits`, those that could have permitted.
    pub policies: Vec<Decider>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decider {
    pub id: String,
    pub remedy: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Allowed,
    Forbidden,
    NothingPermits,
    /// A policy could not be evaluated, or the request could not be put to it.
    Failed(String),
    /// The consortium's layer is required, and not there.
    Absent,
}

impl Layers {
    /// No layer; with `consortium_required`, nothing is allowed until the consortium's is there.
    pub fn new(consortium_required: bool) -> Self {
        Self {
            present: Vec::new(),
            consortium_required,
        }
    }

    /// Puts a layer in force, in place of an older version of it. `false`: the very same was there.
    pub fn install(&mut self, policies: Policies) -> Result<bool, BundleError> {
        let layer = policies.layer();
        match self.present.iter_mut().find(|present| present.layer() == layer) {
            Some(present) if !policies.bundle().supersedes(present.bundle())? => return Ok(false),
            Some(present) => *present = policies,
            None => self.present.push(policies),
        }
        self.present.sort_by_key(Policies::layer);
        Ok(true)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Policies> {
        self.present.iter()
    }

    pub fn get(&self, layer: Layer) -> Option<&Policies> {
        self.present.iter().find(|policies| policies.layer() == layer)
    }

    /// Names all that is in force here: what the log calls the policies of a decision.
    pub fn hash(&self) -> ContentHash {
        let hashes: Vec<ContentHash> = self.present.iter().map(Policies::hash).collect();
        let parts: Vec<&[u8]> = hashes.iter().map(|hash| hash.as_bytes().as_slice()).collect();
        ContentHash::of("policies", &parts)
    }

    /// Asks every layer.
    pub fn ask(&self, asked: &Asked<'_>) -> Decision {
        let mut layers = Vec::new();
        if self.consortium_required && self.get(Layer::Consortium).is_none() {
            layers.push(LayerDecision {
                layer: Layer::Consortium,
                version: 0,
                outcome: Outcome::Absent,
                policies: Vec::new(),
            });
        }
        let cedar = asked.in_cedar();
        layers.extend(self.present.iter().map(|policies| match &cedar {
            Ok((request, entities)) => evaluated(policies, asked.action, request, entities),
            Err(error) => policies.said(Outcome::Failed(error.clone()), Vec::new()),
        }));
        Decision { layers }
    }
}

fn evaluated(
    policies: &Policies,
    action: Action,
    request: &cedar_policy::Request,
    entities: &cedar_policy::Entities,
) -> LayerDecision {
    let response = Authorizer::new().is_authorized(request, &policies.set, entities);
    let diagnostics = response.diagnostics();
    let failed = diagnostics
        .errors()
        .map(|AuthorizationError::PolicyEvaluationError(failed)| failed);
    let failed: Vec<_> = failed.collect();
    if let Some(first) = failed.first() {
        let ids = failed
            .iter()
            .map(|failed| policies.decider(failed.policy_id().as_ref()));
        return policies.said(Outcome::Failed(first.inner().to_string()), ids.collect());
    }
    let fired: Vec<_> = diagnostics.reason().map(|id| policies.decider(id.as_ref())).collect();
    match response.decision() {
        cedar_policy::Decision::Allow => policies.said(Outcome::Allowed, fired),
        cedar_policy::Decision::Deny if fired.is_empty() => {
            let permits = policies.permits(action).map(|(id, _)| policies.decider(id));
            policies.said(Outcome::NothingPermits, permits.collect())
        }
        cedar_policy::Decision::Deny => policies.said(Outcome::Forbidden, fired),
    }
}

impl Policies {
    fn decider(&self, id: &str) -> Decider {
        Decider {
            id: id.to_owned(),
            remedy: self.about(id).and_then(|about| about.remedy.clone()),
        }
    }

    fn said(&self, outcome: Outcome, mut policies: Vec<Decider>) -> LayerDecision {
        policies.sort_by(|a, b| a.id.cmp(&b.id));
        LayerDecision {
            layer: self.layer(),
            version: self.version(),
            outcome,
            policies,
        }
    }
}

impl Decision {
    pub fn is_allowed(&self) -> bool {
        self.refusal().is_none()
    }

    /// The first layer that does not allow.
    pub fn refusal(&self) -> Option<&LayerDecision> {
        self.layers.iter().find(|layer| layer.outcome != Outcome::Allowed)
    }

    pub fn verdict(&self) -> Verdict {
        match self.refusal() {
            None => Verdict::Allow { grant: None },
            Some(layer) => Verdict::Deny {
                rule: layer.layer.rule(),
                reason: layer.to_string(),
                remedy: layer.remedy(),
            },
        }
    }
}

impl LayerDecision {
    /// How to be allowed: the policies' own words, or whom to ask.
    pub fn remedy(&self) -> String {
        let own: Vec<&str> = self
            .policies
            .iter()
            .filter_map(|policy| policy.remedy.as_deref())
            .collect();
        let layer = self.layer;
        match &self.outcome {
            Outcome::Allowed => String::new(),
            Outcome::Forbidden | Outcome::NothingPermits if !own.is_empty() => own.join("; or: "),
            Outcome::Forbidden => format!(
                "ask for what {} does not forbid, or its steward to change it",
                self.names()
            ),
            Outcome::NothingPermits if self.policies.is_empty() => {
                format!("the {layer} layer has no permit for this action: its steward may add one")
            }
            Outcome::NothingPermits => format!("ask for what {} permits, or its steward to permit more", self.names()),
            Outcome::Failed(_) => {
                format!("the steward of the {layer} layer corrects it; `sotto policy test` shows the error beforehand")
            }
            Outcome::Absent => {
                "governance publishes them (`sotto policy publish --layer consortium`), or this agent has not heard of it".to_owned()
            }
        }
    }

    fn names(&self) -> String {
        let ids: Vec<String> = self.policies.iter().map(|policy| format!("`{}`", policy.id)).collect();
        match ids.as_slice() {
            [one] => format!("policy {one}"),
            many => format!("policies {}", many.join(", ")),
        }
    }
}

impl fmt::Display for LayerDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layer = self.layer;
        match &self.outcome {
            Outcome::Allowed => write!(f, "{} of the {layer} layer permits it", self.names()),
            Outcome::Forbidden => write!(f, "{} of the {layer} layer forbids it", self.names()),
            Outcome::NothingPermits => write!(f, "no policy of the {layer} layer permits it"),
            Outcome::Failed(error) if self.policies.is_empty() => {
                write!(
                    f,
                    "the request cannot be put to the {layer} layer ({error}), and what fails refuses"
                )
            }
            Outcome::Failed(error) => {
                write!(
                    f,
                    "{} of the {layer} layer failed ({error}), and what fails refuses",
                    self.names()
                )
            }
            Outcome::Absent => write!(f, "the {layer} layer of policies is required here and not installed"),
        }
    }
}

impl Decide for Layers {
    fn stamp(&self) -> ContentHash {
        let layers: Vec<ContentHash> = self.iter().map(Policies::hash).collect();
        let mut parts: Vec<&[u8]> = layers.iter().map(|layer| layer.0.as_slice()).collect();
        let required = [u8::from(self.consortium_required)];
        parts.push(&required);
        ContentHash::of("layers", &parts)
    }

    fn walk(&self, question: &Question<'_>, path: &mut Path) -> Verdict {
        // No layer says nothing, and nothing is put into Cedar's words for it.
        if self.present.is_empty() && !self.consortium_required {
            path.passed("policy", || "no layer of policies is in force here".to_owned());
            return Verdict::Allow { grant: None };
        }
        match Asked::of(question) {
            Some(asked) => {
                let decision = self.ask(&asked);
                // What comes after the first layer that refuses is not told: it decided nothing.
                let allowed = decision
                    .layers
                    .iter()
                    .take_while(|said| said.outcome == Outcome::Allowed);
                allowed.for_each(|said| {
                    path.passed(said.layer.rule(), || format!("{said} (version {})", said.version));
                });
                decision.verdict()
            }
            // What a policy does not know it does not allow.
            None => Verdict::Deny {
                rule: "policy.action",
                reason: format!("policies do not speak of requests of kind `{}`", question.request.kind),
                remedy: "ask for a query, a training run or an evaluation".to_owned(),
            },
        }
    }
}
