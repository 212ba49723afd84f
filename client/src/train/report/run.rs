//! What was run: data, model, algorithm with every setting, rounds, and what the receipt says.

use super::charts;
use super::document::{Block, Picture};
use crate::Problem;
use crate::train::Trained;
use crate::train::settings::{self, named};

/// The run in short, and what a reader must know before anything else.
pub(super) fn opening(trained: &Trained) -> Vec<Block> {
    let request = trained.released.request();
    let mut blocks = vec![Block::facts([
        ("release", trained.released.id()),
        ("released", trained.released.released()),
        ("model hash", trained.run.model_hash.to_string()),
        ("name", trained.run.name.clone()),
        (
            "parent",
            trained.run.parent.map_or("none".to_owned(), |hash| hash.to_string()),
        ),
        ("analyst", request.analyst.clone()),
        ("purpose", request.purpose.clone()),
        ("signature of the coordinator", signature(trained.released.verified())),
    ])];
    if !trained.released.verified() {
        let words = "The release is not signed by the coordinator of your roster: believe nothing below.";
        blocks.push(Block::Warning(words.to_owned()));
    }
    blocks.extend(trained.symptoms().into_iter().map(Block::Warning));
    blocks
}

pub(super) fn signature(verified: bool) -> String {
    let words = if verified {
        "verified with the key in the roster"
    } else {
        "NOT VERIFIED"
    };
    words.to_owned()
}

pub(super) fn sections(trained: &Trained) -> Vec<Block> {
    let mut blocks = vec![Block::heading("Data"), data(trained)];
    blocks.extend([Block::heading("Model"), model(trained)]);
    blocks.extend([Block::heading("Algorithm"), algorithm(trained)]);
    blocks.extend([Block::heading("Rounds"), rounds(trained)]);
    blocks.extend([Block::heading("Receipt"), receipt(trained)]);
    blocks
}

/// The loss as every party knows it: part of each noisy sum.
pub(super) fn losses(trained: &Trained) -> Result<Vec<Block>, Problem> {
    let mut blocks = vec![Block::heading("Loss")];
    blocks.push(match charts::loss_chart(trained) {
        Some(figure) => Block::Picture(Picture::new("loss", &figure)?),
        None => Block::Text("The noise left nothing of the loss.".to_owned()),
    });
    Ok(blocks)
}

fn data(trained: &Trained) -> Block {
    let task = &trained.task;
    Block::facts([
        ("dataset", trained.run.dataset.clone()),
        ("contract", trained.released.request().contract.to_string()),
        ("features", task.features.join(", ")),
        ("target", settings::target(task)),
        ("held out from training", settings::held_out(task)),
        (
            "units, as far as the public knows",
            task.expected_units.map_or("not stated".to_owned(), |n| n.to_string()),
        ),
    ])
}

fn model(trained: &Trained) -> Block {
    let shape = &trained.run.model.shape;
    let hidden: Vec<String> = shape.hidden.iter().map(u32::to_string).collect();
    let classes = trained.run.model.target.labels();
    Block::facts([
        ("kind", named(&trained.task.model).0),
        ("encoded inputs", shape.inputs.to_string()),
        (
            "hidden layers",
            if hidden.is_empty() {
                "none".to_owned()
            } else {
                hidden.join(", ")
            },
        ),
        ("outputs", shape.outputs.to_string()),
        ("loss", named(&shape.head).0),
        (
            "classes",
            if classes.is_empty() {
                "none: a number".to_owned()
            } else {
                classes.join(", ")
            },
        ),
        ("numbers", shape.parameters().to_string()),
    ])
}

fn algorithm(trained: &Trained) -> Block {
    Block::Facts(settings::algorithm(&trained.task))
}

fn rounds(trained: &Trained) -> Block {
    let run = &trained.run;
    Block::facts([
        ("planned", trained.task.rounds.to_string()),
        ("in the model", run.rounds.to_string()),
        ("charged", run.rounds_charged.to_string()),
        (
            "participants in the last round",
            format!("{} of {}", run.contributors_last_round, run.privacy.members),
        ),
    ])
}

fn receipt(trained: &Trained) -> Block {
    let receipt = trained.released.receipt();
    Block::facts([
        ("unit", receipt.unit.clone()),
        (
            "contributors, cohort, members",
            format!("{}, {}, {}", receipt.contributors, receipt.cohort, receipt.members),
        ),
        ("rounds", receipt.rounds.to_string()),
        (
            "attempts",
            format!(
                "{} of {} allowed",
                receipt.attempts,
                trained.released.request().max_attempts
            ),
        ),
        ("plan", receipt.plan.to_string()),
        ("last sum", receipt.sum.to_string()),
        (
            "repeats",
            receipt
                .repeated
                .map_or("no earlier release".to_owned(), |id| id.to_string()),
        ),
    ])
}
