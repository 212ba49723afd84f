//! The privacy statement in full: what is covered, at which price, on which assumptions, and what is not covered. The
//! conditions are those of SECURITY.md.

use governance::canonical::Real;
use workload::training::Covers;

use super::document::{Block, Picture};
use super::{Report, charts};
use crate::Problem;
use crate::output::plain;
use crate::train::on_top_of;

pub(super) fn section(report: &Report) -> Result<Vec<Block>, Problem> {
    let (trained, receipt) = (&report.trained, report.trained.released.receipt());
    let privacy = &trained.run.privacy;
    let claimed = |x: Option<f64>| x.map_or("none claimed".to_owned(), plain);
    let real = |x: Option<Real>| claimed(x.map(|x| x.get()));
    // Receipts of earlier versions name a relation also where nothing is claimed.
    let neighbouring = match privacy.covers {
        Covers::Nothing => "none: nothing is claimed".to_owned(),
        Covers::Unit | Covers::Site => receipt.neighbouring.clone(),
    };
    let mut blocks = vec![
        Block::heading("Privacy"),
        Block::Text(covered(privacy.covers, &privacy.unit)),
        Block::facts([
            ("covered", spelled(&privacy.covers)),
            ("privacy unit", privacy.unit.clone()),
            ("neighbouring data", neighbouring),
            ("epsilon planned", real(privacy.epsilon_planned)),
            ("epsilon spent by this run", real(privacy.epsilon)),
            (
                "charged at most at any participant, failed attempts and unused rounds included",
                claimed(receipt.epsilon_charged),
            ),
            ("delta", format!("{:e}", privacy.delta.get())),
            ("rho over the accounted orders", claimed(receipt.rho)),
            ("mechanism", privacy.mechanism.clone()),
            ("clip norm", plain(privacy.clip_norm.get())),
            ("sampling rate", plain(privacy.sampling_rate.get())),
            ("noise multiplier", real(privacy.noise_multiplier)),
            ("members", privacy.members.to_string()),
            ("noise shares counted on", privacy.shares.to_string()),
            ("smallest cohort", receipt.s_min.to_string()),
            ("participants that may collude", receipt.c.to_string()),
        ]),
    ];
    if let Some(above) = on_top_of(privacy.on_top_of) {
        blocks.insert(2, Block::Warning(above));
    }
    if let Some(figure) = charts::epsilon_chart(trained, report.plan.as_ref()) {
        blocks.push(Block::Picture(Picture::new("epsilon", &figure)?));
        if report.plan.is_none() {
            let why = "Only the end of the curve is drawn: the dataset has another contract by now, or none, and the plan \
                       whose hash the receipt names cannot be derived again.";
            blocks.push(Block::Text(why.to_owned()));
        }
    }
    blocks.push(Block::heading("What is assumed"));
    blocks.push(Block::List(assumed(report)));
    blocks.push(Block::heading("What is not covered"));
    blocks.push(Block::List(uncovered(report)));
    Ok(blocks)
}

/// What is covered is said first and never blurred.
fn covered(covers: Covers, unit: &str) -> String {
    match covers {
        Covers::Unit => format!(
            "Differential privacy of a unit ({unit}): whoever sees every sum of every round and the model learns almost the same \
             whether or not any one unit is in the data."
        ),
        Covers::Site => format!(
            "Differential privacy of \"replace one site's data\", and so of each unit ({unit}): a participant's whole update is \
             clipped and hidden by noise in every round."
        ),
        Covers::Nothing => {
            "Secure aggregation only: each round shows a sum over participants, and NO differential privacy is claimed for \
             anything in it."
                .to_owned()
        }
    }
}

fn assumed(report: &Report) -> Vec<String> {
    let privacy = &report.trained.run.privacy;
    let (c, s_min) = (
        report.trained.released.receipt().c,
        report.trained.released.receipt().s_min,
    );
    let mut list = vec![
        format!(
            "At most {c} of the {} members collude with the coordinator or hand their secrets to it. The coordinator itself may \
             lie and replay.",
            privacy.members
        ),
        format!(
            "A sum holds at least {s_min} contributions, {} of them of participants that do not collude.",
            privacy.shares
        ),
    ];
    if privacy.covers != Covers::Nothing {
        list.push(format!(
            "The price counts on the noise of {} participants. Everybody who contributed added a share, so there is usually more \
             noise than that, and the price is an upper bound.",
            privacy.shares
        ));
        list.push("Owners told the contract the truth about which rows belong to one unit.".to_owned());
    }
    list
}

fn uncovered(report: &Report) -> Vec<String> {
    let said = |words: &str| words.to_owned();
    let privacy = &report.trained.run.privacy;
    let mut list = match privacy.covers {
        Covers::Unit => vec![said(
            "Totals of an organisation: sums over cohorts that differ by one participant show that participant's total, with \
             noise for a unit and not for an organisation.",
        )],
        Covers::Site => Vec::new(),
        Covers::Nothing => vec![
            said("Anything that the sums and the model show about a unit."),
            said(
                "The parts of participants: two rounds over cohorts that differ by one participant show that participant's part as \
                 it is, because no noise is in it.",
            ),
        ],
    };
    list.extend([
        said("What is true of many: a model says about a person what it learnt from the others."),
        said(
            "Other releases over the same data. Costs add up: an evaluation of this model has its own epsilon, and budgets bound \
             the sum.",
        ),
        said("Data that a participant made up, and a wrong sum that the coordinator announces."),
        said(
            "Time: agents without a tick show how long a step took, which follows the number of sampled rows. Machines that were \
             broken into show what they hold.",
        ),
    ]);
    list
}

fn spelled(covers: &Covers) -> String {
    let value = serde_json::to_value(covers).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
