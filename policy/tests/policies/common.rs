//! What the suites share: a request that most policies like, and layers made from text.

use policy::{Asked, Bundle, Draft, Layer, Layers, Policies, Sample, Source};

pub fn source(name: &str, text: &str) -> Source {
    Source {
        name: name.to_owned(),
        text: text.to_owned(),
    }
}

pub fn bundle(layer: Layer, version: u64, text: &str) -> Bundle {
    let of = match layer {
        Layer::Consortium => "four-hospitals",
        Layer::Owner | Layer::Local => "Cleveland Clinic",
    };
    Bundle {
        layer,
        of: of.to_owned(),
        version,
        sources: vec![source(&format!("{layer}.cedar"), text)],
    }
}

pub fn policies(layer: Layer, text: &str) -> Policies {
    Policies::check(bundle(layer, u64::from(layer != Layer::Local), text)).unwrap()
}

pub fn layers(texts: &[(Layer, &str)]) -> Layers {
    let mut layers = Layers::default();
    for (layer, text) in texts {
        layers.install(policies(*layer, text)).unwrap();
    }
    layers
}

/// Ann of the institute asks for two columns of heart, for research, on a Monday morning.
pub fn sample() -> Sample {
    draft("").over(&Draft::default()).unwrap()
}

/// The same with some terms, in TOML, said otherwise.
pub fn draft(other: &str) -> Draft {
    let usual: Draft = toml::from_str(
        r#"
        analyst = "ann"
        organisation = "Institute of Cardiology"
        action = "query"
        dataset = "heart"
        purpose = "research"
        columns = ["age", "chol"]
        epsilon = 1.0
        cohort = 3
        time = 2026-03-02T10:00:00Z
        "#,
    )
    .unwrap();
    let other: Draft = toml::from_str(other).unwrap();
    Draft {
        analyst: other.analyst.or(usual.analyst),
        organisation: other.organisation.or(usual.organisation),
        action: other.action.or(usual.action),
        dataset: other.dataset.or(usual.dataset),
        purpose: other.purpose.or(usual.purpose),
        columns: other.columns.or(usual.columns),
        epsilon: other.epsilon.or(usual.epsilon),
        cohort: other.cohort.or(usual.cohort),
        time: other.time.or(usual.time),
        ..other
    }
}

/// Whether `layers` allow the usual request with `other` terms.
pub fn allows(layers: &Layers, other: &str) -> bool {
    let sample = draft(other).over(&Draft::default()).unwrap();
    let asked: Asked<'_> = sample.asked();
    layers.ask(&asked).is_allowed()
}
