//! What a file says of its model beside the numbers: names and texts, as both formats keep them. Nothing is claimed here
//! that the release does not say.

use std::collections::BTreeMap;

use serde::Serialize;
use workload::training::TrainedModel;

use super::super::{Trained, refused};
use crate::Problem;
use crate::output::plain;

/// Sorted by name, so that a model's file has one spelling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(BTreeMap<String, String>);

impl Facts {
    /// A finished run: data set, cost, and what the statement covers.
    pub fn of(trained: &Trained) -> Self {
        let (run, privacy) = (&trained.run, &trained.run.privacy);
        let cost = privacy.epsilon.map_or_else(
            || "none: no differential privacy is claimed".to_owned(),
            |epsilon| plain(epsilon.get()),
        );
        Self::default()
            .and("release", trained.released.id())
            .and("dataset", &run.dataset)
            .and("algorithm", spelled(&run.algorithm))
            .and("rounds", run.rounds.to_string())
            .and("epsilon", cost)
            .and("delta", format!("{:e}", privacy.delta.get()))
            .and("covers", spelled(&privacy.covers))
            .and("unit", &privacy.unit)
            .and(
                "parent",
                run.parent.map_or("none".to_owned(), |parent| parent.to_string()),
            )
            .and("mechanism", &privacy.mechanism)
            .and("statement", trained.statement())
    }

    /// One more fact; a fact that is there already is replaced.
    pub fn and(mut self, name: &str, text: impl Into<String>) -> Self {
        self.0.insert(name.to_owned(), text.into());
        self
    }

    /// The facts that follow from the model, and so always hold: they win over any others.
    pub(super) fn with_model(&self, model: &TrainedModel) -> Result<Self, Problem> {
        let hash = model.hash().map_err(refused)?;
        let features: Vec<&str> = model
            .encoder
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        Ok(self
            .clone()
            .and("model_hash", hash.to_string())
            .and("features", features.join(", "))
            .and("target", &model.target_column)
            .and("target_coding", spelled(&model.target))
            .and("classes", spelled(&model.target.labels())))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }
}

/// As JSON; a word without its quotes. Unwrap safety: the callers' values have texts as keys and finite numbers.
pub(super) fn spelled(value: &impl Serialize) -> String {
    match serde_json::to_value(value).expect("a value with a spelling") {
        serde_json::Value::String(word) => word,
        other => other.to_string(),
    }
}
