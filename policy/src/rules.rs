//! What an agent decides by: the owner's own list or a grant, *and* every layer of policy. Each can only refuse what the others
//! allow, and a refusal says which of them it was. The consortium's and the owner's layer come from the register, where signed acts
//! put them, and are read once a version; the local one is given.

use std::sync::{Arc, PoisonError, RwLock};

use governance::act::Layer as Published;
use governance::decision::{Decide, LocalRules, Path, Question, Verdict};
use governance::{ContentHash, Register};

use crate::{Bundle, BundleError, Layer, Layers, Policies};

#[derive(Debug, Default)]
pub struct Rules {
    pub owner: LocalRules,
    /// The local layer.
    pub policies: Layers,
    /// With the published ones, as the register had them last.
    all: RwLock<Option<InForce>>,
}

/// Layers by the published versions that they hold.
#[derive(Debug, Clone)]
struct InForce {
    published: [Option<ContentHash>; 2],
    layers: Arc<Result<Layers, Unreadable>>,
}

/// A published layer that no agent can read refuses everything.
#[derive(Debug, Clone)]
struct Unreadable {
    layer: Layer,
    reason: String,
}

impl Rules {
    pub fn new(owner: LocalRules, policies: Layers) -> Self {
        Self {
            owner,
            policies,
            all: RwLock::default(),
        }
    }

    /// What is in force for this owner now; read anew when a version rose.
    fn in_force(&self, register: &Register, consortium: &str, owner: &str) -> Arc<Result<Layers, Unreadable>> {
        let layers = [
            (Published::Consortium, Layer::Consortium, consortium),
            (Published::Owner(owner.to_owned()), Layer::Owner, owner),
        ];
        let published = layers
            .clone()
            .map(|(name, ..)| register.policy(&name).map(|policy| policy.hash));
        // A panic elsewhere leaves a whole value behind.
        let known = self.all.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known.filter(|known| known.published == published) {
            return known.layers;
        }
        let mut all = Ok(self.policies.clone());
        for (name, layer, of) in layers {
            let Some(policy) = register.policy(&name) else { continue };
            let read = Bundle::open(&policy.bundle, layer, of);
            all = all.and_then(|mut all| {
                let installed = read.and_then(|policies| all.install(policies));
                let reason = |error: BundleError| error.to_string();
                installed.map(|_| all).map_err(|error| Unreadable {
                    layer,
                    reason: reason(error),
                })
            });
        }
        let layers = Arc::new(all);
        let known = InForce {
            published,
            layers: layers.clone(),
        };
        *self.all.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
        layers
    }
}

impl From<LocalRules> for Rules {
    fn from(owner: LocalRules) -> Self {
        Self::new(owner, Layers::default())
    }
}

impl Decide for Rules {
    fn walk(&self, question: &Question<'_>, path: &mut Path) -> Verdict {
        let allowed = match self.owner.walk(question, path) {
            allowed @ Verdict::Allow { .. } => allowed,
            denied => return denied,
        };
        match &*self.in_force(question.register, question.consortium, question.owner) {
            Ok(layers) => match layers.walk(question, path) {
                Verdict::Allow { .. } => allowed,
                denied => denied,
            },
            Err(Unreadable { layer, reason }) => Verdict::Deny {
                rule: "policy.unreadable",
                reason: format!("the {layer} layer in force cannot be read: {reason}"),
                remedy: "its signer publishes a layer that `sotto policy check` accepts".to_owned(),
            },
        }
    }

    fn stamp(&self) -> ContentHash {
        let (owner, local) = (self.owner.stamp(), self.policies.stamp());
        ContentHash::of("rules", &[&owner.0, &local.0])
    }

    fn local_policy(&self) -> Option<ContentHash> {
        self.policies.iter().next().map(Policies::hash)
    }

    fn admits(&self, dataset: &str, analyst: &str) -> bool {
        self.owner.admits(dataset, analyst)
    }

    /// Policies speak of columns, and there are none before the plan.
    fn walk_early(&self, question: &Question<'_>, path: &mut Path) -> Verdict {
        self.owner.walk_early(question, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Source;

    /// A register in which these are in force, for the consortium `four` and the owner `north`.
    fn published(bundles: &[(Published, Layer, &str, Bundle)]) -> Register {
        let mut register = Register::default();
        for (number, (name, layer, of, bundle)) in (0u8..).zip(bundles) {
            let role = match layer {
                Layer::Consortium => governance::log::event::Role::Governance,
                _ => governance::log::event::Role::Steward,
            };
            let by = governance::act::By {
                role,
                id: "signer".to_owned(),
                organisation: (*of).to_owned(),
            };
            let what = governance::What::PolicyPublished {
                layer: name.clone(),
                version: 1,
                bundle: governance::canonical::to_string(bundle).unwrap(),
            };
            let act = governance::Act {
                by,
                at_ms: 1,
                note: String::new(),
                what,
            };
            register.apply(ContentHash([number; 32]), &act).unwrap();
        }
        register
    }

    fn bundle(layer: Layer, of: &str, text: &str) -> Bundle {
        let sources = vec![Source {
            name: "a.cedar".to_owned(),
            text: text.to_owned(),
        }];
        let of = of.to_owned();
        Bundle {
            layer,
            of,
            version: 1,
            sources,
        }
    }

    #[test]
    fn published_layers_narrow_and_one_that_cannot_be_read_refuses() {
        let rules = Rules::default();
        let text = "@id(\"open\") permit (principal, action, resource);";
        let consortium = || {
            (
                Published::Consortium,
                Layer::Consortium,
                "four",
                bundle(Layer::Consortium, "four", text),
            )
        };
        let owner = |text: &str| {
            let name = Published::Owner("north".to_owned());
            (name, Layer::Owner, "north", bundle(Layer::Owner, "north", text))
        };
        let in_force = |register: &Register| rules.in_force(register, "four", "north");
        let layers = |found: &Result<Layers, Unreadable>| found.as_ref().unwrap().iter().count();
        assert_eq!(layers(&in_force(&Register::default())), 0);
        assert_eq!(layers(&in_force(&published(&[consortium()]))), 1);
        let both = published(&[consortium(), owner(text)]);
        assert_eq!(layers(&in_force(&both)), 2);
        assert_eq!(
            rules
                .in_force(&both, "four", "south")
                .as_ref()
                .as_ref()
                .unwrap()
                .iter()
                .count(),
            1,
            "another owner's layer is not this one's"
        );
        let broken = in_force(&published(&[
            consortium(),
            owner("permit (principal, action, resource);"),
        ]));
        assert_eq!(broken.as_ref().as_ref().unwrap_err().layer, Layer::Owner);
        let elsewhere = (
            Published::Consortium,
            Layer::Consortium,
            "four",
            bundle(Layer::Consortium, "five", text),
        );
        let broken = in_force(&published(&[elsewhere]));
        assert_eq!(broken.as_ref().as_ref().unwrap_err().layer, Layer::Consortium);
    }

    /// A coordinator that withholds the act must not be what frees an agent from it.
    #[test]
    fn where_the_consortiums_layer_is_required_nothing_is_allowed_without_it() {
        let rules = Rules::new(LocalRules::default(), Layers::new(true));
        let sample = crate::Draft {
            analyst: Some("ada".to_owned()),
            organisation: Some("university".to_owned()),
            action: Some("query".to_owned()),
            dataset: Some("heart".to_owned()),
            purpose: Some("research".to_owned()),
            columns: Some(Vec::new()),
            epsilon: Some(1.0),
            cohort: Some(3),
            time: Some(crate::Instant { unix_ms: 1 }),
            ..crate::Draft::default()
        };
        let sample = sample.over(&crate::Draft::default()).unwrap();
        let allows = |register: &Register| {
            let layers = rules.in_force(register, "four", "north");
            layers.as_ref().as_ref().unwrap().ask(&sample.asked()).is_allowed()
        };
        assert!(!allows(&Register::default()));
        let text = "@id(\"open\") permit (principal, action, resource);";
        let layer = bundle(Layer::Consortium, "four", text);
        let there = published(&[(Published::Consortium, Layer::Consortium, "four", layer)]);
        assert!(allows(&there));
    }
}
