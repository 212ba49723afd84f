//! A run before it is submitted, for `sotto explain run.toml` and `--dry-run`: what would be learnt and how, what it covers and costs, its
//! traffic and its time. All of it follows from public figures; nothing is spent.

use governance::ContentHash;
use serde_json::{Value, json};
use workload::training::TrainPlan;

use super::train::Ready;
use crate::output::plain;
use crate::train::on_top_of;
use crate::train::settings::{self, Settings, covered};

/// What the plan is, what it costs, and what it takes.
pub fn print_run(ready: &Ready, json: bool) {
    match json {
        true => println!("{:#}", run_as_json(ready)),
        false => print!("{}", words(ready)),
    }
}

fn words(ready: &Ready) -> String {
    let plan = &ready.plan;
    let settings = [what(plan), settings::algorithm(&plan.task), cohort(plan)].concat();
    let wide = settings.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let mut text: String = settings
        .iter()
        .map(|(name, value)| format!("{name:wide$}  {value}\n"))
        .collect();
    text += &format!("\n{}\n", cost(plan, ready.epsilon));
    text.extend(on_top_of(parent(plan)).map(|above| format!("{above}\n")));
    if let Some(epsilon) = ready.evaluate_epsilon {
        let groups = ready.run.evaluate_group.as_ref();
        let groups = groups.map(|group| format!(", by `{group}`")).unwrap_or_default();
        text += &format!(
            "the evaluation afterwards: epsilon {} of its own{groups}, over the units that were held out\n",
            plain(epsilon)
        );
    }
    text + &format!(
        "{} up per participant in all rounds; about {} s where each party has a machine of its own on a local network, {} s where all \
         share two cores; more where rows are many or the way is far (four exchanges a round), and one to two ticks a round of the owner with the \
         longest `tick_ms`, which owners do not publish\n\
         nothing was submitted and nothing was spent\n",
        bytes(bytes_up(plan)),
        plain(rounded(expected_seconds(plan, OWN_MACHINES))),
        plain(rounded(expected_seconds(plan, TWO_CORES))),
    )
}

/// The model that the run continues.
fn parent(plan: &TrainPlan) -> Option<ContentHash> {
    plan.task.start.as_ref().map(|start| start.model)
}

fn what(plan: &TrainPlan) -> Settings {
    let task = &plan.task;
    let text = |name: &str, value: String| (name.to_owned(), value);
    let units = task.expected_units.map_or("not stated".to_owned(), |n| n.to_string());
    vec![
        text("dataset", plan.dataset.clone()),
        text("target", settings::target(task)),
        text(
            "features",
            format!("{} ({} encoded)", task.features.join(", "), plan.encoder.width()),
        ),
        text("model", settings::model(&task.model)),
        text("numbers", plan.shape.parameters().to_string()),
        text("rounds", task.rounds.to_string()),
        text("held out from training", settings::held_out(task)),
        text("units, as far as the public knows", units),
    ]
}

fn cohort(plan: &TrainPlan) -> Settings {
    let noise = &plan.noise;
    let members = format!(
        "{} members, at least {} in a sum, {} of them may collude",
        noise.members, noise.s_min, noise.silent
    );
    vec![("cohort".to_owned(), members)]
}

/// The price, and in the release's own words whom it covers.
fn cost(plan: &TrainPlan, asked: f64) -> String {
    let covers = covered(plan.covers(), &plan.unit_words());
    match plan.noise.variance {
        0 => format!("no noise; {covers}; every owner has to allow it"),
        _ => format!(
            "epsilon {} of at most {} at delta {:e}, noise multiplier {}; {covers}",
            plain(plan.epsilon_after(plan.task.rounds)),
            plain(asked),
            plan.noise.delta.get(),
            plain(plan.noise_multiplier()),
        ),
    }
}

pub fn run_as_json(ready: &Ready) -> Value {
    let plan = &ready.plan;
    let private = plan.noise.variance > 0;
    json!({
        "dataset": plan.dataset, "parameters": plan.shape.parameters(), "rounds": plan.task.rounds,
        "settings": settings::as_json(&plan.task), "parent": parent(plan),
        "epsilon": private.then(|| plan.epsilon_after(plan.task.rounds)), "epsilon_charged_at_most": ready.epsilon,
        "delta": plan.noise.delta.get(), "noise_multiplier": private.then(|| plan.noise_multiplier()),
        "covers": plan.covers(), "evaluate_epsilon": ready.evaluate_epsilon,
        "bytes_up_per_participant": bytes_up(plan), "expected_seconds": expected_seconds(plan, OWN_MACHINES),
        "expected_seconds_on_two_cores": expected_seconds(plan, TWO_CORES),
        "features": plan.encoder.names(), "unit": plan.unit,
        "cohort": { "members": plan.noise.members, "at_least": plan.noise.s_min, "colluders": plan.noise.silent },
    })
}

/// Beside its vector a participant sends in a round some 460 bytes, and 33 for each member; and the round's share of the next epoch's
/// setup, 180 for each (`experiments scale`: the cells beyond 10,000 values, and those of 200 rounds).
fn bytes_up(plan: &TrainPlan) -> f64 {
    let vector = (plan.dim() * plan.ring.bytes_per_value()) as f64;
    let beside = 460.0 + (33.0 + 180.0) * f64::from(plan.noise.members);
    (vector + beside) * f64::from(plan.task.rounds)
}

/// Seconds of a round as a sum of terms in 1, n, n^2, d, n d and n^2 d, for n members and d values.
type Terms = [f64; 6];

/// An agent and the coordinator one after the other, each on cores of its own (`experiments scale`, its models added up).
const OWN_MACHINES: Terms = [2.4e-3, 5.2e-4, 0.0, 5.2e-8, 9.7e-9, 0.0];
/// All parties on the two cores that it was measured on; ten participants of `experiments train-rate` need as much.
const TWO_CORES: Terms = [1.15e-3, 6.1e-4, 6.0e-5, 3.3e-8, 3.3e-8, 1.8e-10];

/// Of all rounds. Gradients over many rows and the way of messages come on top.
fn expected_seconds(plan: &TrainPlan, terms: Terms) -> f64 {
    let (n, d) = (f64::from(plan.noise.members), plan.dim() as f64);
    let sizes = [1.0, n, n * n, d, n * d, n * n * d];
    let round: f64 = terms.iter().zip(sizes).map(|(term, size)| term * size).sum();
    f64::from(plan.task.rounds) * round
}

/// To two digits: it is an estimate.
fn rounded(seconds: f64) -> f64 {
    let unit = 10f64.powf(seconds.abs().log10().floor() - 1.0);
    (seconds / unit).round() * unit
}

/// `840 B`, `16 kB`, `2.1 MB`.
fn bytes(bytes: f64) -> String {
    let (size, unit) = match bytes {
        ..1e3 => (bytes, "B"),
        ..1e6 => (bytes / 1e3, "kB"),
        ..1e9 => (bytes / 1e6, "MB"),
        _ => (bytes / 1e9, "GB"),
    };
    match size < 10.0 {
        true => format!("{size:.1} {unit}"),
        false => format!("{size:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::CohortTerms;
    use governance::Contract;
    use governance::canonical::Real;
    use workload::training::{Algorithm, Covers, LocalWork, ModelKind, TrainTask};

    fn plan(members: u32, algorithm: Algorithm, non_private: bool) -> TrainPlan {
        let contract = Contract::parse(include_str!("../../../governance/contracts/heart.toml")).unwrap();
        let mut task = TrainTask::dp_sgd(&["age", "sex"], "num", ModelKind::Softmax, 15);
        let local = LocalWork {
            steps: 3,
            batch: 0,
            learning_rate: Real::new(0.1).unwrap(),
        };
        (task.algorithm, task.non_private) = (algorithm, non_private);
        task.local = (algorithm != Algorithm::DpSgd).then_some(local);
        let terms = CohortTerms {
            n: members,
            c: 1,
            s_min: 3,
        };
        TrainPlan::new(task, &contract, &terms, 3.0, 1e-5).unwrap()
    }

    #[test]
    fn each_algorithm_says_before_a_run_what_its_release_will_cover() {
        let said = |algorithm, bare| cost(&plan(4, algorithm, bare), 3.0);
        let unit = said(Algorithm::DpSgd, false);
        assert!(
            unit.contains("covers each privacy unit (one row)") && !unit.contains("site"),
            "{unit}"
        );
        let site = said(Algorithm::FedAvg, false);
        assert!(
            site.starts_with("epsilon ") && site.contains("\"replace one site's data\""),
            "{site}"
        );
        let bare = said(Algorithm::Scaffold, true);
        assert!(
            bare.contains("NO differential privacy") && !bare.contains("epsilon"),
            "{bare}"
        );
        assert_eq!(plan(4, Algorithm::FedAvg, false).covers(), Covers::Site);
    }

    #[test]
    fn traffic_and_time_grow_with_the_members_as_they_were_measured() {
        let (few, many) = (plan(4, Algorithm::DpSgd, false), plan(64, Algorithm::DpSgd, false));
        let vector = (few.dim() * few.ring.bytes_per_value()) as f64;
        // `scale.json`: 1,282 bytes beside the vector for 4 participants over 200 rounds, 28 ms to 30 ms of wall time for 16.
        let beside = bytes_up(&few) / 15.0 - vector;
        assert!((beside / 1282.0 - 1.0).abs() < 0.1, "{beside}");
        assert!(expected_seconds(&many, OWN_MACHINES) > 5.0 * expected_seconds(&few, OWN_MACHINES));
        let sixteen = expected_seconds(&plan(16, Algorithm::DpSgd, false), TWO_CORES) / 15.0;
        assert!((0.02..0.04).contains(&sixteen), "{sixteen}");
    }

    #[test]
    fn sizes_have_sensible_units() {
        let shown = [840.0, 1_600.0, 16_400.0, 2_140_000.0, 3e9].map(bytes);
        assert_eq!(shown, ["840 B", "1.6 kB", "16 kB", "2.1 MB", "3.0 GB"]);
        assert_eq!((rounded(0.0678), rounded(123.0)), (0.068, 120.0));
    }
}
