//! A finished run: the model, what the run cost and covers, and figures that an evaluation paid for.

use governance::ContentHash;
use serde_json::{Value, json};
use workload::training::{Estimate, Evaluation, GroupFigures, Part, Rise, TrainRelease, TrainTask};

use super::settings::covered;
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
        let covers = covered(privacy.covers, &privacy.unit);
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
        if let Some(above) = on_top_of(privacy.on_top_of) {
            text += &format!("{above}\n");
        }
        for symptom in self.symptoms() {
            text += &format!("WARNING: {symptom}\n");
        }
        text += &format!("release {}", self.released.id());
        if !self.released.verified() {
            text += "\nWARNING: the release is not signed by the coordinator of your roster";
        }
        text
    }

    /// What the run shows of a learning rate that was too large, a sentence each; read off what was released, so it costs nothing.
    pub fn symptoms(&self) -> Vec<String> {
        let mut said = Vec::new();
        if self.run.diverged {
            said.push(
                "the next step left the finite numbers, and this is the last good model: try a smaller learning rate"
                    .to_owned(),
            );
        }
        if let Some(Rise { start, end, .. }) = self.run.loss_rose() {
            said.push(format!(
                "the loss rose from {start:.2} to {end:.2}, further than the noise explains (95 %): try a smaller learning rate"
            ));
        }
        if let Some(largest) = self.run.overgrown() {
            said.push(format!(
                "the largest number of the model is {}, where features lie within [-1, 1], which is beyond all use: \
                 try a smaller learning rate",
                plain(largest)
            ));
        }
        said
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
            "loss_rose": self.run.loss_rose(),
            "overgrown": self.run.overgrown(),
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
        let overall = &evaluation.overall;
        let figures = [
            overall.auc.map(|auc| share("AUC", &auc)),
            overall.accuracy.map(|accuracy| share("accuracy", &accuracy)),
            overall.log_loss.map(|loss| bounded("log loss", &loss)),
        ];
        let mut text = figures.into_iter().flatten().collect::<Vec<_>>().join(", ");
        if text.is_empty() {
            text = "the noise left no figure: a larger epsilon of the evaluation would".to_owned();
        }
        for (name, gap) in self.gaps() {
            let gap = gap.map_or("lost in the noise".to_owned(), |gap| {
                format!("{gap:.3} (no interval: see those of the groups)")
            });
            text += &format!("\n  gap between groups in {name}: {gap}");
        }
        for group in &evaluation.groups {
            let said = rates(group)
                .into_iter()
                .filter_map(|(name, rate)| Some(share(name, &rate?)));
            let said = said.collect::<Vec<_>>().join(", ");
            let said = if said.is_empty() { "no figures".to_owned() } else { said };
            text += &format!("\n  {}: {said}", group.name);
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

    /// Of each share that some group has: how far the groups with a figure lie apart, or that fewer than two have one.
    pub fn gaps(&self) -> Vec<(&'static str, Option<f64>)> {
        let evaluation = &self.evaluation;
        let gaps = [
            evaluation.accuracy_gap,
            evaluation.true_positive_gap,
            evaluation.false_positive_gap,
        ];
        let all = evaluation.groups.iter().chain([&evaluation.overall]);
        let known = |i: usize| all.clone().any(|group| rates(group)[i].1.is_some());
        let named = (0..3).zip(rates(&evaluation.overall)).zip(gaps);
        let wanted = named.filter(|((i, _), _)| !evaluation.groups.is_empty() && known(*i));
        wanted
            .map(|((_, (name, _)), gap)| (name, gap.map(|gap| gap.get())))
            .collect()
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

/// Shares that groups are compared by.
fn rates(group: &GroupFigures) -> [(&'static str, Option<Estimate>); 3] {
    [
        ("accuracy", group.accuracy),
        ("true positive rate", group.true_positive_rate),
        ("false positive rate", group.false_positive_rate),
    ]
}

/// A share that may be anything is no figure.
fn share(name: &str, found: &Estimate) -> String {
    match found.is_lost_share() {
        true => format!("{name} lost in the noise"),
        false => bounded(name, found),
    }
}

fn bounded(name: &str, found: &Estimate) -> String {
    let (value, low, high) = (found.value.get(), found.low.get(), found.high.get());
    format!("{name} {value:.3} [{low:.3}, {high:.3}]")
}

/// What is said wherever a statement of a continued model is.
pub(crate) fn on_top_of(parent: Option<ContentHash>) -> Option<String> {
    let short: String = parent?.to_string().chars().take(12).collect();
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
