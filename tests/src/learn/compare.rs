//! The accuracy table: federated DP over secure aggregation beside the same without noise, centralised DP-SGD with as
//! much noise, all data pooled without privacy, and each site alone; every one on the same splits.

use super::{Bench, Encoded, Metric, Result, Summary, central, federated, plain};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    FederatedDp,
    CentralDp,
    FederatedNonPrivate,
    Pooled,
    Site(String),
}

impl Setting {
    pub fn name(&self) -> String {
        match self {
            Setting::FederatedDp => "federated-dp".into(),
            Setting::CentralDp => "central-dp".into(),
            Setting::FederatedNonPrivate => "federated-non-private".into(),
            Setting::Pooled => "pooled".into(),
            Setting::Site(name) => format!("site:{name}"),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Figure {
    pub setting: Setting,
    /// Infinite where nothing is private.
    pub epsilon: f64,
    pub metric: Metric,
    pub summary: Summary,
    pub seeds: u64,
}

/// One figure a setting and epsilon, over seeds 1 to `seeds`; `say` hears each as it is known.
pub fn compare(
    bench: &Bench,
    encoded: &Encoded,
    epsilons: &[f64],
    seeds: u64,
    say: &mut dyn FnMut(&Figure),
) -> Result<Vec<Figure>> {
    let mut wanted = vec![
        (Setting::Pooled, f64::INFINITY),
        (Setting::FederatedNonPrivate, f64::INFINITY),
    ];
    for epsilon in epsilons.iter().copied().filter(|epsilon| epsilon.is_finite()) {
        wanted.extend([(Setting::FederatedDp, epsilon), (Setting::CentralDp, epsilon)]);
    }
    wanted.extend(
        encoded
            .sites
            .iter()
            .map(|name| (Setting::Site(name.clone()), f64::INFINITY)),
    );
    let mut figures = Vec::new();
    for (setting, epsilon) in wanted {
        let values = (1..=seeds).map(|seed| one(bench, encoded, &setting, epsilon, seed));
        let values: Vec<f64> = values.collect::<Result<_>>()?;
        let figure = Figure {
            setting,
            epsilon,
            metric: bench.metric,
            summary: Summary::of(&values).ok_or("no seed: expected at least 1")?,
            seeds,
        };
        say(&figure);
        figures.push(figure);
    }
    Ok(figures)
}

fn one(bench: &Bench, encoded: &Encoded, setting: &Setting, epsilon: f64, seed: u64) -> Result<f64> {
    let split = encoded.split(seed);
    let all = split.sites.concat();
    let trained = match setting {
        Setting::FederatedDp | Setting::FederatedNonPrivate => {
            let sites = split
                .sites
                .iter()
                .map(|units| encoded.data(units))
                .collect::<Result<Vec<_>>>()?;
            federated(&bench.plan(epsilon)?, &sites, seed, 0.0)?
        }
        Setting::CentralDp => central(&bench.plan(epsilon)?, encoded, &all, seed)?,
        Setting::Pooled => plain(bench, encoded, &all, seed)?,
        Setting::Site(name) => {
            let site = encoded
                .sites
                .iter()
                .position(|site| site == name)
                .ok_or("no such site")?;
            plain(bench, encoded, &split.sites[site], seed)?
        }
    };
    bench.metric.of(&trained.model, encoded, &split.test)
}
