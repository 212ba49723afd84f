//! The data sets of the bench: contract, task, cohort and settings. Settings were chosen at epsilon 3 on splits of
//! other seeds (101, 102) than the figures are made on. Bounds and categories are constants of the code books, never of
//! rows.

use super::{Metric, Result};
use engine::CohortTerms;
use governance::Contract;
use governance::canonical::Real;
use workload::training::{Holdout, ModelKind, Schedule, TrainPlan, TrainTask};

/// Of every run of the bench.
pub const DELTA: f64 = 1e-5;

#[derive(Clone)]
pub struct Bench {
    pub contract: Contract,
    text: String,
    pub task: TrainTask,
    pub terms: CohortTerms,
    /// The column that says whose row it is; `None`: rows are dealt in turn to `terms.n` sites.
    pub site: Option<&'static str>,
    /// Numbers that stand for a missing value.
    pub nulls: &'static [(&'static str, f64)],
    pub metric: Metric,
    /// Rounds and learning rate where nothing is clipped: pooled data, and each site alone.
    pub open: (u32, f64),
}

const HEART: [&str; 13] = [
    "age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalch", "exang", "oldpeak", "slope", "ca", "thal",
];
const HIE: [&str; 9] = [
    "coins", "xage", "female", "child", "educdec", "income", "ghindx", "hlthp", "year",
];
const PIXELS: usize = 784;

impl Bench {
    /// Four hospitals, 920 patients: is there heart disease?
    pub fn heart() -> Result<Self> {
        let mut task = TrainTask::dp_sgd(&HEART, "num", ModelKind::Logistic, 15);
        task.positive_above = Real::new(0.0);
        task.expected_units = Some(920);
        let text = include_str!("../../../governance/contracts/heart.toml");
        Ok(Self {
            site: Some("dataset"),
            nulls: &[("chol", 0.0)],
            ..Self::new(text.to_owned(), task, (1.5, 0.6), (4, 1, 3), Metric::Auc)?
        })
    }

    /// Six sites, 5,912 people with up to five years each: any visit to a physician this year?
    pub fn hie() -> Result<Self> {
        let mut task = TrainTask::dp_sgd(&HIE, "mdvis", ModelKind::Logistic, 60);
        task.positive_above = Real::new(0.0);
        task.expected_units = Some(5912);
        // Years of one person are clipped together.
        task.clip_norm = real(3.0)?;
        task.schedule = Schedule::Cosine;
        let text = include_str!("../../../governance/contracts/hie.toml");
        Ok(Self {
            site: Some("site"),
            ..Self::new(text.to_owned(), task, (3.0, 0.9), (6, 1, 5), Metric::Auc)?
        })
    }

    /// A census dealt to ten sites, 48,842 people: more than 50,000 dollars a year?
    pub fn adult() -> Result<Self> {
        let features: Vec<&str> = ADULT_NUMBERS.iter().map(|(name, _, _)| *name).collect();
        let features = [features, ADULT_CATEGORIES.iter().map(|(name, _)| *name).collect()].concat();
        let mut task = TrainTask::dp_sgd(&features, "income", ModelKind::Logistic, 100);
        task.expected_units = Some(48_842);
        task.schedule = Schedule::Cosine;
        Self::new(adult_contract(), task, (4.0, 0.9), (10, 1, 10), Metric::Auc)
    }

    /// Ten thousand digits dealt to ten sites.
    pub fn mnist() -> Result<Self> {
        let names: Vec<String> = (0..PIXELS).map(|i| format!("p{i}")).collect();
        let features: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut task = TrainTask::dp_sgd(&features, "label", ModelKind::Softmax, 200);
        task.expected_units = Some(10_000);
        task.sampling_rate = real(0.0625)?;
        task.schedule = Schedule::Cosine;
        let mut bench = Self::new(mnist_contract(1100), task, (0.3, 0.9), (10, 1, 10), Metric::Accuracy)?;
        // Without a clip, gradients are as long as images are bright.
        bench.open = (400, 0.01);
        Ok(bench)
    }

    fn new(
        text: String,
        mut task: TrainTask,
        (rate, momentum): (f64, f64),
        (n, c, s_min): (u32, u32, u32),
        metric: Metric,
    ) -> Result<Self> {
        task.learning_rate = real(rate)?;
        task.momentum = real(momentum)?;
        task.holdout = Some(Holdout {
            fraction: real(super::table::HELD)?,
            seed: 0,
        });
        Ok(Self {
            contract: Contract::parse(&text)?,
            text,
            task,
            terms: CohortTerms { n, c, s_min },
            site: None,
            nulls: &[],
            metric,
            open: (200, 0.5),
        })
    }

    /// The same question to another model; a hidden layer starts small and learns at the same rate.
    pub fn with_model(mut self, model: ModelKind) -> Self {
        self.task.model = model;
        self
    }

    /// The plan of a run, or why there is none. An infinite epsilon asks for no noise.
    pub fn plan(&self, epsilon: f64) -> Result<TrainPlan> {
        let task = TrainTask {
            non_private: epsilon.is_infinite(),
            ..self.task.clone()
        };
        let epsilon = if epsilon.is_infinite() { 1.0 } else { epsilon };
        Ok(TrainPlan::new(task, &self.contract, &self.terms, epsilon, DELTA)?)
    }

    /// The contract of somebody who may hold this many rows.
    pub(super) fn roomy(&self, rows: usize) -> Result<Contract> {
        let line = |line: &str| match line.starts_with("maxRows") {
            true => format!("maxRows = {}\n", rows.max(1)),
            false => format!("{line}\n"),
        };
        Ok(Contract::parse(&self.text.lines().map(line).collect::<String>())?)
    }
}

pub(super) fn real(x: f64) -> Result<Real> {
    Ok(Real::new(x).ok_or("a number that is not finite")?)
}

/// Pixels of a byte, a digit; a site holds at most `rows` images.
pub fn mnist_contract(rows: usize) -> String {
    let mut text = head("mnist", "Handwritten digits", rows);
    (0..PIXELS).for_each(|i| text += &number(&format!("p{i}"), 0, 255));
    text + &number("label", 0, 9)
}

const ADULT_NUMBERS: [(&str, u32, u32); 5] = [
    ("age", 17, 90),
    ("education_num", 1, 16),
    ("hours_per_week", 1, 99),
    ("capital_gain", 0, 20_000),
    ("capital_loss", 0, 4_000),
];

/// A question mark in the file is no category, and so a missing value.
const ADULT_CATEGORIES: [(&str, &[&str]); 5] = [
    (
        "workclass",
        &[
            "Private",
            "Self-emp-not-inc",
            "Self-emp-inc",
            "Federal-gov",
            "Local-gov",
            "State-gov",
            "Without-pay",
            "Never-worked",
        ],
    ),
    (
        "marital_status",
        &[
            "Married-civ-spouse",
            "Divorced",
            "Never-married",
            "Separated",
            "Widowed",
            "Married-spouse-absent",
            "Married-AF-spouse",
        ],
    ),
    (
        "occupation",
        &[
            "Tech-support",
            "Craft-repair",
            "Other-service",
            "Sales",
            "Exec-managerial",
            "Prof-specialty",
            "Handlers-cleaners",
            "Machine-op-inspct",
            "Adm-clerical",
            "Farming-fishing",
            "Transport-moving",
            "Priv-house-serv",
            "Protective-serv",
            "Armed-Forces",
        ],
    ),
    (
        "relationship",
        &[
            "Wife",
            "Own-child",
            "Husband",
            "Not-in-family",
            "Other-relative",
            "Unmarried",
        ],
    ),
    ("sex", &["Female", "Male"]),
];

fn adult_contract() -> String {
    let mut text = head("adult", "UCI Adult census income", 5000);
    ADULT_NUMBERS
        .iter()
        .for_each(|(name, low, high)| text += &number(name, *low, *high));
    let income: (&str, &[&str]) = ("income", &["<=50K", ">50K"]);
    for (name, labels) in ADULT_CATEGORIES.iter().chain([&income]) {
        text += &format!(
            "[[schema.properties]]\nname = \"{name}\"\nlogicalType = \"string\"\ncategories = {labels:?}\n\
             nulls = \"ignore\"\n"
        );
    }
    text
}

fn head(name: &str, description: &str, rows: usize) -> String {
    format!(
        "apiVersion = \"v3.1.0\"\nkind = \"DataContract\"\nname = \"{name}\"\nversion = \"1.0.0\"\n\
         description = \"{description}\"\npurposes = [\"research\"]\n[privacy]\nmaxRows = {rows}\ndelta = 1e-5\n"
    )
}

fn number(name: &str, low: u32, high: u32) -> String {
    format!(
        "[[schema.properties]]\nname = \"{name}\"\nlogicalType = \"integer\"\nrequired = true\n\
         logicalTypeOptions = {{ minimum = {low}, maximum = {high} }}\n"
    )
}
