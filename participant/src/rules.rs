//! Who may ask this agent what: the owner's own configuration or a grant, *and* every layer of policy. Each can only refuse what the
//! others allow, and a refusal says which of them it was. The consortium's and the owner's layer come from the register, where
//! signed acts put them, and are read once a version; the local one lies on the owner's disk.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use governance::act::Layer as Published;
use governance::decision::{Decide, LocalRules, Path, Question, Verdict};
use governance::{ContentHash, Register};
use policy::{Bundle, Faults, Layer, Layers, Policies, Source};

use crate::config::Config;

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
                let reason = |error: policy::BundleError| error.to_string();
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

/// Why an agent does not start: with policies that cannot be read it would not know what to refuse.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("{}: the policies cannot be read: {error}; correct `local` of [policy] in the configuration", .path.display())]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error("no policy in {}: write one with the ending .cedar, or leave [policy] out of the configuration", .0.display())]
    Nothing(PathBuf),
    #[error("{0}\n(`sotto policy check` tells the same, `sotto policy schema` what a policy may speak of)")]
    Faults(#[from] Faults),
}

/// The layers that the configuration names, checked.
pub fn policies(config: &Config) -> Result<Layers, PolicyError> {
    let mut layers = Layers::new(config.consortium_required);
    let Some(path) = &config.local_policies else {
        return Ok(layers);
    };
    let texts = proto::texts::read(path, "cedar").map_err(|(path, error)| PolicyError::Unreadable { path, error })?;
    if texts.is_empty() {
        return Err(PolicyError::Nothing(path.clone()));
    }
    let source = |(path, text): (PathBuf, String)| Source {
        name: path.display().to_string(),
        text,
    };
    let local = Policies::local(&config.name, texts.into_iter().map(source).collect())?;
    tracing::info!(policies = local.ids().count(), hash = %local.hash(), "local policies");
    if !local.permits_something() {
        tracing::warn!("no local policy permits anything: every request will be refused");
    }
    // Unwrap safety: the first of its layer supersedes nothing.
    layers.install(local).expect("no local layer is there yet");
    Ok(layers)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn with(files: &[(&str, &str)]) -> Result<Layers, PolicyError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("policies")).unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join("policies").join(name), text).unwrap();
        }
        policies(&configuration(folder.path()))
    }

    fn configuration(folder: &Path) -> Config {
        let text = include_str!("../participant.example.toml").replace("# [policy]\n# local", "[policy]\nlocal");
        Config::parse(&text, "p.toml", folder, |_| None).unwrap()
    }

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
        let folder = tempfile::tempdir().unwrap();
        let mut config = configuration(folder.path());
        (config.local_policies, config.consortium_required) = (None, true);
        let rules = Rules::new(LocalRules::default(), policies(&config).unwrap());
        let sample = policy::Draft {
            analyst: Some("ada".to_owned()),
            organisation: Some("university".to_owned()),
            action: Some("query".to_owned()),
            dataset: Some("heart".to_owned()),
            purpose: Some("research".to_owned()),
            columns: Some(Vec::new()),
            epsilon: Some(1.0),
            cohort: Some(3),
            time: Some(policy::Instant { unix_ms: 1 }),
            ..policy::Draft::default()
        };
        let sample = sample.over(&policy::Draft::default()).unwrap();
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

    #[test]
    fn a_good_folder_is_the_local_layer_and_a_bad_one_stops_the_agent_with_file_and_line() {
        let day = "@id(\"day\")\npermit (principal, action, resource) when { context.time.hour > 6 };\n";
        let layers = with(&[("day.cedar", day), ("notes.txt", "not a policy")]).unwrap();
        assert_eq!(
            layers
                .iter()
                .flat_map(Policies::ids)
                .map(|(id, _, _)| id)
                .collect::<Vec<_>>(),
            ["day"]
        );

        let error = with(&[("day.cedar", &day.replace("hour", "our"))])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("policies/day.cedar:2: policy `day` does not fit"),
            "{error}"
        );
        let error = with(&[("day.cedar", day), ("night.cedar", "")])
            .unwrap_err()
            .to_string();
        assert!(error.contains("night.cedar: no policy"), "{error}");
        assert!(matches!(with(&[("notes.txt", day)]), Err(PolicyError::Nothing(_))));
        let nowhere = policies(&configuration(Path::new("/nonexistent"))).unwrap_err();
        assert!(matches!(&nowhere, PolicyError::Unreadable { .. }), "{nowhere}");
    }
}
