//! A layer's text, checked: every policy has its own id, and the set passes Cedar's strict validation. What is needed to decide
//! and to say who decided is looked up here once, when the layer is loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::LazyLock;

use cedar_policy::ffi::DetailedError;
use cedar_policy::{ActionConstraint, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use governance::ContentHash;

use crate::asked::Action;
use crate::fault::{Fault, Faults, Place, Wrong};
use crate::{Bundle, Layer, Source};

/// The text of the schema, for editors and for `sotto policy schema`.
pub const SCHEMA: &str = include_str!("schema.cedarschema");

/// A layer is read whole at each agent, and every policy is evaluated for every round.
const MAX_BYTES: usize = 256 * 1024;
const MAX_POLICIES: usize = 1_000;

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    // Unwrap safety: the text is a constant of this crate, and its tests load it.
    Validator::new(Schema::from_cedarschema_str(SCHEMA).expect("the schema is valid").0)
});

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Permit,
    Forbid,
}

impl Effect {
    fn of(policy: &Policy) -> Self {
        match policy.effect() {
            cedar_policy::Effect::Permit => Self::Permit,
            cedar_policy::Effect::Forbid => Self::Forbid,
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permit => "permit",
            Self::Forbid => "forbid",
        })
    }
}

/// What a refusal says of a policy.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub effect: Effect,
    pub remedy: Option<String>,
    pub place: Place,
    actions: ActionConstraint,
}

/// The valid policies of one layer.
#[derive(Clone, Debug)]
pub struct Policies {
    bundle: Bundle,
    hash: ContentHash,
    pub(crate) set: PolicySet,
    about: BTreeMap<String, About>,
}

impl Policies {
    /// The local layer, from the owner's own disk.
    pub fn local(organisation: &str, sources: Vec<Source>) -> Result<Self, Faults> {
        Self::check(Bundle {
            layer: Layer::Local,
            of: organisation.to_owned(),
            version: 0,
            sources,
        })
    }

    /// Reads and validates. Whether anybody may publish it, the register says.
    pub fn check(bundle: Bundle) -> Result<Self, Faults> {
        Faults::none_of(shape(&bundle))?;
        let mut found = Reading::default();
        for source in &bundle.sources {
            found.read(source);
        }
        Faults::none_of(found.wrong)?;
        Faults::none_of(invalid(&found.set, &bundle, &found.about))?;
        Ok(Self {
            hash: bundle.hash(),
            bundle,
            set: found.set,
            about: found.about,
        })
    }

    pub fn layer(&self) -> Layer {
        self.bundle.layer
    }

    pub fn version(&self) -> u64 {
        self.bundle.version
    }

    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// Names layer, version and text.
    pub fn hash(&self) -> ContentHash {
        self.hash
    }

    /// Ids with their effects and places, in order of id.
    pub fn ids(&self) -> impl Iterator<Item = (&str, Effect, &Place)> {
        self.about
            .iter()
            .map(|(id, about)| (id.as_str(), about.effect, &about.place))
    }

    /// Whether any policy permits anything: a layer of nothing but `forbid` denies everything.
    pub fn permits_something(&self) -> bool {
        self.about.values().any(|about| about.effect == Effect::Permit)
    }

    pub(crate) fn about(&self, id: &str) -> Option<&About> {
        self.about.get(id)
    }

    /// The permits that speak of `action`: what could have allowed it.
    pub(crate) fn permits(&self, action: Action) -> impl Iterator<Item = (&str, &About)> {
        let uid = action.uid();
        let speaks = move |actions: &ActionConstraint| match actions {
            ActionConstraint::Any => true,
            ActionConstraint::In(list) => list.contains(&uid),
            ActionConstraint::Eq(one) => *one == uid,
        };
        let permit = move |about: &About| about.effect == Effect::Permit && speaks(&about.actions);
        self.about
            .iter()
            .filter(move |(_, about)| permit(about))
            .map(|(id, about)| (id.as_str(), about))
    }
}

fn shape(bundle: &Bundle) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let mut add = |source: &str, fault| {
        wrong.push(Wrong {
            place: Place::whole(source),
            fault,
        });
    };
    let layer = format!("{} layer", bundle.layer);
    if bundle.sources.is_empty() {
        add(&layer, Fault::NoSource);
    }
    let found = bundle.sources.iter().map(|source| source.text.len()).sum();
    if found > MAX_BYTES {
        let most = MAX_BYTES;
        add(&layer, Fault::TooLong { found, most });
    }
    let mut names = BTreeSet::new();
    for source in &bundle.sources {
        if !names.insert(&source.name) {
            add(&source.name, Fault::RepeatedSource);
        }
    }
    wrong
}

#[derive(Default)]
struct Reading {
    set: PolicySet,
    about: BTreeMap<String, About>,
    wrong: Vec<Wrong>,
}

impl Reading {
    fn read(&mut self, source: &Source) {
        let parsed: PolicySet = match source.text.parse() {
            Ok(parsed) => parsed,
            Err(errors) => {
                let errors: &cedar_policy::ParseErrors = &errors;
                let wrong = errors.iter().map(|error| {
                    let error = DetailedError::from(error);
                    Wrong {
                        place: place(&error, source).unwrap_or_else(|| Place::whole(&source.name)),
                        fault: Fault::Syntax(told(&error)),
                    }
                });
                self.wrong.extend(wrong);
                return;
            }
        };
        let statements = parsed.num_of_policies() + parsed.num_of_templates();
        if statements == 0 {
            self.fault(Place::whole(&source.name), Fault::Empty);
        }
        // Cedar numbers the statements of a text in their order and, where it has it, shows each in its own words.
        let mut after = 0;
        for number in 0..statements {
            let numbered = PolicyId::new(format!("policy{number}"));
            let mut find = |text: String| {
                let start = source.text[after..].find(&text).map_or(after, |at| after + at);
                after = start + text.len().min(source.text.len() - start);
                Place::at(&source.name, &source.text, start)
            };
            if let Some(template) = parsed.template(&numbered) {
                let place = find(template.to_string());
                self.fault(place, Fault::Template);
            } else if let Some(policy) = parsed.policy(&numbered) {
                let place = find(policy.to_string());
                self.add(policy, place);
            }
        }
        if self.about.len() > MAX_POLICIES {
            let (found, most) = (self.about.len(), MAX_POLICIES);
            self.fault(Place::whole(&source.name), Fault::TooMany { found, most });
        }
    }

    fn add(&mut self, policy: &Policy, place: Place) {
        let effect = Effect::of(policy);
        let Some(id) = policy.annotation("id") else {
            return self.fault(place, Fault::NoId(effect));
        };
        if !is_id(id) {
            return self.fault(place, Fault::BadId(id.to_owned()));
        }
        if let Some(earlier) = self.about.get(id) {
            let (id, first) = (id.to_owned(), earlier.place.clone());
            return self.fault(place, Fault::RepeatedId { id, first });
        }
        if let Err(error) = self.set.add(policy.new_id(PolicyId::new(id))) {
            return self.fault(place, Fault::Syntax(error.to_string()));
        }
        let about = About {
            effect,
            remedy: policy
                .annotation("remedy")
                .filter(|text| !text.is_empty())
                .map(str::to_owned),
            place,
            actions: policy.action_constraint(),
        };
        self.about.insert(id.to_owned(), about);
    }

    fn fault(&mut self, place: Place, fault: Fault) {
        self.wrong.push(Wrong { place, fault });
    }
}

fn is_id(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=64).contains(&text.len()) && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(allowed)
}

/// What strict validation finds. A warning is a fault, too: it says that a policy can never apply or does not read as it is
/// written, and a `forbid` like that forbids nothing. Of a policy with errors it only repeats them.
fn invalid(set: &PolicySet, bundle: &Bundle, about: &BTreeMap<String, About>) -> Vec<Wrong> {
    let result = VALIDATOR.validate(set, ValidationMode::Strict);
    let errors = result
        .validation_errors()
        .map(|e| (e.policy_id(), DetailedError::from(e)));
    let faulty: BTreeSet<_> = result.validation_errors().map(|error| error.policy_id()).collect();
    let warnings = result
        .validation_warnings()
        .filter(|warning| !faulty.contains(warning.policy_id()))
        .map(|w| (w.policy_id(), DetailedError::from(w)));
    let wrong = errors.chain(warnings).map(|(id, error)| {
        let id: &str = id.as_ref();
        let of_policy = about.get(id).map(|about| about.place.clone());
        let of_policy = of_policy.unwrap_or_else(|| Place::whole(bundle.layer.as_str()));
        let source = bundle.sources.iter().find(|source| source.name == of_policy.source);
        Wrong {
            place: source.and_then(|source| place(&error, source)).unwrap_or(of_policy),
            fault: Fault::Invalid {
                id: id.to_owned(),
                message: told(&error),
            },
        }
    });
    wrong.collect()
}

fn place(error: &DetailedError, source: &Source) -> Option<Place> {
    let label = error.source_locations.first()?;
    Some(Place::at(&source.name, &source.text, label.loc.start))
}

fn told(error: &DetailedError) -> String {
    match &error.help {
        Some(help) => format!("{}; {help}", error.message),
        None => error.message.clone(),
    }
}
