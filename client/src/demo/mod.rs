//! The tour's material: public data split into four hospitals, three questions, and the true answers, which exist only
//! because this data is public. About 920 rows; everything here takes milliseconds.

mod data;
mod governed;
mod model;
mod truth;

use std::fs;
use std::path::Path;

use toml::{Table, Value};

use crate::Problem;
use crate::local::{Analyst, Site, Spec};

pub use governed::{Governed, by_grant, governed, granted};
pub use model::{EPSILON as TRAINING_EPSILON, EVALUATION, Learnt, learn};
pub use truth::{Truth, truth};

const CONTRACT: &str = include_str!("../../../governance/contracts/heart.toml");
/// What each hospital is ready to spend on all answers together.
pub const BUDGET: f64 = 8.0;

/// Name in the consortium, organisation, value of the column `dataset` in the published table.
const HOSPITALS: [(&str, &str, &str); 4] = [
    ("cleveland", "Cleveland Clinic Foundation", "Cleveland"),
    ("budapest", "Hungarian Institute of Cardiology", "Hungary"),
    ("zurich", "University Hospitals Zurich and Basel", "Switzerland"),
    ("long-beach", "VA Medical Center, Long Beach", "VA Long Beach"),
];

/// One question of the tour.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub about: &'static str,
    pub sql: &'static str,
    pub epsilon: f64,
}

pub const QUESTIONS: [Asked; 3] = [
    Asked {
        about: "Counts and averages, by group",
        sql: "SELECT sex, COUNT(*) AS patients, AVG(age) AS mean_age FROM heart WHERE num > 0 GROUP BY sex",
        epsilon: 1.0,
    },
    Asked {
        about: "Quantiles: a tree of counts, one round",
        sql: "SELECT MEDIAN(thalch) AS median_rate, QUANTILE(thalch, 0.9) AS rate_90 FROM heart",
        epsilon: 1.0,
    },
    Asked {
        about: "A histogram over bands of age",
        sql: "SELECT BIN(age, 10) AS age_band, COUNT(*) AS patients FROM heart GROUP BY age_band",
        epsilon: 0.5,
    },
];

/// Writes four hospitals' files and the contract into `folder` and says who takes part.
pub fn consortium(folder: &Path) -> Result<Spec, Problem> {
    let contract = folder.join("heart.toml");
    fs::write(&contract, CONTRACT).map_err(|error| Problem::local(contract.display(), error))?;
    let mut participants = Vec::new();
    for (name, organisation, hospital) in HOSPITALS {
        let file = folder.join(format!("{name}.csv"));
        data::write_hospital(hospital, &file)?;
        participants.push(Site {
            name: name.to_owned(),
            organisation: organisation.to_owned(),
            config: site(&contract, &file),
        });
    }
    Ok(Spec {
        name: "four-hospitals".to_owned(),
        colluders: 1,
        min_cohort: 3,
        listen: ([127, 0, 0, 1], 0).into(),
        analyst: Analyst {
            name: "you".to_owned(),
            organisation: "Demo".to_owned(),
            purpose: Some("research".to_owned()),
        },
        stewards: Vec::new(),
        participants,
    })
}

fn site(contract: &Path, file: &Path) -> Table {
    let text = |path: &Path| Value::String(path.to_string_lossy().into_owned());
    let missing = Table::from_iter([("chol".to_owned(), Value::Array(vec![Value::Integer(0)]))]);
    let dataset = Table::from_iter([
        ("contract".to_owned(), text(contract)),
        ("files".to_owned(), Value::Array(vec![text(file)])),
        ("population".to_owned(), Value::String("patients".to_owned())),
        ("min_cohort".to_owned(), Value::Integer(3)),
        ("analysts".to_owned(), Value::Array(vec![Value::String("*".to_owned())])),
        ("nulls".to_owned(), Value::Table(missing)),
    ]);
    let population = Table::from_iter([
        ("id".to_owned(), Value::String("patients".to_owned())),
        ("epsilon".to_owned(), Value::Float(BUDGET)),
        ("delta".to_owned(), Value::Float(1e-6)),
        (
            "approved_by".to_owned(),
            Value::Array(["first person", "second person"].map(Value::from).to_vec()),
        ),
        (
            "analysts".to_owned(),
            Value::Table(Table::from_iter([("*".to_owned(), Value::Float(BUDGET))])),
        ),
    ]);
    Table::from_iter([
        ("dataset".to_owned(), Value::Array(vec![Value::Table(dataset)])),
        ("population".to_owned(), Value::Array(vec![Value::Table(population)])),
    ])
}
