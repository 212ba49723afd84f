//! A finished run: the model, what the run cost and covers, and figures that an evaluation paid for.

use serde_json::{Value, json};
use workload::training::{Covers, Evaluation, Part, TrainPrivacy, TrainRelease, TrainTask};

use crate::output::plain;
use crate::released::{Released, unreadable};
use crate::{Exit, Problem};

/// The release of a training run.
#[derive(Clone, Debug)]
pub struct Trained {
    pub released: Released,
    pub task: TrainTask,
    pub run: TrainRelease,
}

/// The release of an evaluation.
#[derive(Clone, Debug)]
pub struct Evaluated {
    pub released: Released,
    pub evaluation: Evaluation,
}

impl Trained {
    pub fn of(released: Released) -> Result<Self, Problem> {
        expect_kind(&released, workload::training::KIND)?;
        let run = TrainRelease::from_json(released.body().as_bytes()).map_err(unreadable)?;
        let task = TrainTask::from_task(&released.request().task).map_err(|refusal| unreadable(refusal.message))?;
        if run.model.hash().ok() != Some(run.model_hash) {
            return Err(unreadable("its model is not the one that its hash names"));
        }
        Ok(Self { released, task, run })
    }

    /// The first digits of the model's hash: enough to name it.
    pub fn short_hash(&self) -> String {
        self.run.model_hash.to_string().chars().take(12).collect()
    }

    /// What the run was, in one line.
    pub fn title(&self) -> String {
        let parameters = self.run.model.shape.parameters();
        format!(
            "model {} of `{}`: {} numbers, {} rounds",
            self.short_hash(),
            self.run.dataset,
            parameters,
            self.run.rounds
        )
    }

    /// The privacy statement in a few lines for people: what is covered is said first and never blurred.
    pub fn statement(&self) -> String {
        let privacy = &self.run.privacy;
        let covers = match privacy.covers {
            Covers::Unit => format!("covers each privacy unit ({})", privacy.unit),
            Covers::Site => format!(
                "covers each privacy unit ({}) through \"replace one site's data\": a participant's whole update is clipped and hidden",
                privacy.unit
            ),
            Covers::Nothing => {
                "secure aggregation only: NO differential privacy is claimed, for units or for participants".to_owned()
            }
        };
        let cost = match privacy.epsilon {
            Some(epsilon) => format!("epsilon {}, delta {:e}; ", plain(epsilon.get()), privacy.delta.get()),
            None => String::new(),
        };
        let mut text = format!(
            "{cost}{covers}\n{}; clip norm {}, sampling rate {}, {} of {} participants in the last round\n",
            privacy.mechanism,
            plain(privacy.clip_norm.get()),
            plain(privacy.sampling_rate.get()),
            self.run.contributors_last_round,
            privacy.members,
        );
        if let Some(above) = on_top_of(privacy) {
            text += &format!("{above}\n");
        }
        if self.run.diverged {
            text += "the next step left the finite numbers: this is the last good model; a smaller learning rate may help\n";
        }
        text += &format!("release {}", self.released.id());
        if !self.released.verified() {
            text += "\nWARNING: the release is not signed by the coordinator of your roster";
        }
        text
    }

    pub fn to_json(&self, evaluation: Option<&Evaluated>) -> Value {
        json!({
            "release": self.released.id(),
            "signature_verified": self.released.verified(),
            "dataset": self.run.dataset,
            "model_hash": self.run.model_hash,
            "name": self.run.name,
            "parent": self.run.parent,
            "model": self.run.model,
            "rounds": self.run.rounds,
            "losses": self.run.losses,
            "diverged": self.run.diverged,
            "epsilon": self.run.privacy.epsilon.map(|e| e.get()),
            "privacy": self.run.privacy,
            "receipt": self.released.receipt_json(),
            "evaluation": evaluation.map(|e| &e.evaluation),
        })
    }
}

impl Evaluated {
    pub fn of(released: Released) -> Result<Self, Problem> {
        expect_kind(&released, workload::training::EVALUATE_KIND)?;
        let evaluation = serde_json::from_str(released.body()).map_err(unreadable)?;
        Ok(Self { released, evaluation })
    }

    /// The figures in a few lines for people.
    pub fn words(&self) -> String {
        let evaluation = &self.evaluation;
        let figure = |name: &str, estimate: &Option<workload::training::Estimate>| {
            estimate.as_ref().map(|e| {
                let (value, low, high) = (e.value.get(), e.low.get(), e.high.get());
                // A share that may be anything is no figure.
                match name != "log loss" && low <= 0.0 && high >= 1.0 {
                    true => format!("{name} lost in the noise"),
                    false => format!("{name} {value:.3} [{low:.3}, {high:.3}]"),
                }
            })
        };
        let overall = &evaluation.overall;
        let figures = [
            figure("AUC", &overall.auc),
            figure("accuracy", &overall.accuracy),
            figure("log loss", &overall.log_loss),
        ];
        let mut text = figures.into_iter().flatten().collect::<Vec<_>>().join(", ");
        if text.is_empty() {
            text = "the noise left no figure: a larger epsilon of the evaluation would".to_owned();
        }
        let gaps = [
            ("accuracy", evaluation.accuracy_gap),
            ("true positive rate", evaluation.true_positive_gap),
            ("false positive rate", evaluation.false_positive_gap),
        ];
        for (name, gap) in gaps.into_iter().filter_map(|(name, gap)| Some((name, gap?))) {
            text += &format!(
                "\n  gap between groups in {name}: {:.3} (no interval: see those of the groups)",
                gap.get()
            );
        }
        for group in &evaluation.groups {
            let of_group = figure("accuracy", &group.accuracy).unwrap_or_else(|| "no figures".to_owned());
            text += &format!("\n  {}: {of_group}", group.name);
        }
        let units = match evaluation.part {
            Part::Held => "units that no step saw",
            Part::Train => "units that the steps saw",
            Part::All => "all units, those that the steps saw among them",
        };
        text + &format!(
            "\n{units}, epsilon {} of its own; intervals are 95 % and cover the noise only",
            plain(evaluation.epsilon.get())
        )
    }

    pub fn to_json(&self) -> Value {
        json!({
            "release": self.released.id(),
            "signature_verified": self.released.verified(),
            "evaluation": self.evaluation,
            "receipt": self.released.receipt_json(),
        })
    }
}

/// What is said wherever a statement of a continued model is.
pub(crate) fn on_top_of(privacy: &TrainPrivacy) -> Option<String> {
    let parent = privacy.on_top_of?;
    let short: String = parent.to_string().chars().take(12).collect();
    Some(format!(
        "on top of model {short}: the epsilon is what this run added. What its parents cost comes on top, and if one of them \
         claims nothing, neither does this (`sotto model show` lists them)"
    ))
}

fn expect_kind(released: &Released, kind: &str) -> Result<(), Problem> {
    let found = &released.request().kind;
    if found == kind {
        return Ok(());
    }
    let message = format!("release {} is of kind `{found}`, not `{kind}`", released.id());
    Err(Problem::new(Exit::Usage, "SOTTO-7002", message)
        .remedy("`sotto run` lists training runs, `sotto release` all answers"))
}
