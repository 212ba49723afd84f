//! Reports of a run that the real workloads made, over the contract of the demo and sums that were made up.

use std::collections::BTreeSet;

use engine::{Digest, JobId, Outcome, PlainSum, Plan, Receipt, Release, Workload};
use governance::canonical::Real;
use governance::{ContentHash, Contract, Request};
use workload::training::{
    EVALUATE_KIND, EvaluatePlan, EvaluateTask, EvaluateWorkload, Holdout, KIND, LossPoint, ModelKind, Part, TrainTask,
    TrainWorkload,
};

use super::*;
use crate::Released;

const TERMS: CohortTerms = CohortTerms { n: 4, c: 1, s_min: 3 };

const HEART: &str = include_str!("../../../../governance/contracts/heart.toml");

fn heart() -> Contract {
    Contract::parse(HEART).unwrap()
}

fn released(kind: &str, task: String, plan: &Plan, epsilon: f64, body: Vec<u8>) -> Released {
    let contract = heart();
    let charge = plan.charge.times(u64::from(plan.rounds));
    let request = Request {
        nonce: ContentHash([7; 32]),
        analyst: "ada".into(),
        dataset: contract.name.clone(),
        contract: contract.hash(),
        purpose: "research".into(),
        kind: kind.into(),
        task,
        epsilon,
        delta: contract.delta.get(),
        max_attempts: 3,
        issued_at_ms: 0,
        expires_at_ms: 1,
    };
    let receipt = Receipt {
        unit: "row".into(),
        neighbouring: "one row added or removed at one participant".into(),
        epsilon: Some(::privacy::cost::epsilon(&charge, request.delta)),
        delta: request.delta,
        rho: Some(0.25),
        epsilon_charged: Some(3.5),
        mechanism: "discrete Gaussian".into(),
        contributors: 4,
        cohort: 4,
        members: TERMS.n,
        s_min: TERMS.s_min,
        c: TERMS.c,
        rounds: plan.rounds,
        attempts: 2,
        contract: contract.hash(),
        plan: plan.hash(),
        sum: Digest([4; 32]),
        repeated: None,
    };
    let release = Release {
        id: JobId([0xa5; 16]),
        request_hash: ContentHash([1; 32]),
        analyst: "ada".into(),
        dataset: contract.name.clone(),
        body: String::from_utf8(body).unwrap(),
        receipt,
    };
    Released::of(release, request, true)
}

pub(crate) fn ran() -> Trained {
    let mut task = TrainTask::dp_sgd(&["age", "sex", "trestbps"], "num", ModelKind::Logistic, 12);
    task.positive_above = Real::new(0.0);
    task.holdout = Some(Holdout {
        fraction: Real::new(0.25).unwrap(),
        seed: 9,
    });
    let contract = heart();
    let plan = TrainPlan::new(task.clone(), &contract, &TERMS, 3.0, contract.delta.get()).unwrap();
    let plan = plan.to_plan().unwrap();
    let mut state = None;
    for round in 0.. {
        let values = (0..plan.dim as i64).map(|i| (i - 3) * 1000).collect();
        let sum = PlainSum {
            values,
            contributors: 4,
            variance: 4 * plan.variance,
        };
        match TrainWorkload.absorb(&plan, round, state.as_deref(), &sum).unwrap() {
            Outcome::Again { state: next, .. } => state = Some(next),
            Outcome::Done { release } => {
                return Trained::of(released(KIND, task.to_task(), &plan, 3.0, release)).unwrap();
            }
        }
    }
    unreachable!("a run ends")
}

fn evaluated(trained: &Trained, group: Option<&str>) -> Evaluated {
    let task = EvaluateTask {
        model: trained.run.model.clone(),
        part: Part::Held,
        holdout: trained.task.holdout,
        group: group.map(str::to_owned),
        bins: 20,
    };
    let contract = heart();
    let own = EvaluatePlan::new(task.clone(), &contract, &TERMS, 0.5, contract.delta.get()).unwrap();
    let count = |i: usize| {
        let (bin, class) = (i % 20, i / 20 % 2);
        let likely = if class == 1 { bin } else { 19 - bin };
        (likely as i64 + 2) * own.weight as i64
    };
    let plan = own.to_plan().unwrap();
    let sum = PlainSum {
        values: (0..own.dim()).map(count).collect(),
        contributors: 4,
        variance: 4 * plan.variance,
    };
    match EvaluateWorkload.absorb(&plan, 0, None, &sum).unwrap() {
        Outcome::Done { release } => {
            Evaluated::of(released(EVALUATE_KIND, task.to_task(), &plan, 0.5, release)).unwrap()
        }
        Outcome::Again { .. } => unreachable!("an evaluation is one round"),
    }
}

fn report(group: Option<&str>) -> Report {
    let trained = ran();
    Report {
        evaluated: Some(evaluated(&trained, group)),
        plan: plan_of(&trained, &heart()),
        trained,
    }
}

/// What a reader sees of a page: without pictures, tags and escapes.
fn read(html: &str) -> String {
    let mut text = String::new();
    for (i, part) in html.split("<svg").enumerate() {
        text += if i == 0 {
            part
        } else {
            part.split_once("</svg>").unwrap().1
        };
    }
    let words = text
        .split('<')
        .map(|part| part.split_once('>').map_or(part, |(_, words)| words));
    let words = words.collect::<Vec<_>>().join(" ");
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(words, |text, (from, to)| text.replace(from, to))
}

fn figures(text: &str) -> BTreeSet<&str> {
    let digits = |word: &&str| word.chars().any(|c| c.is_ascii_digit());
    text.split(|c: char| c.is_whitespace() || "|;()[]".contains(c))
        .filter(digits)
        .collect()
}

#[test]
fn the_page_holds_every_figure_of_the_notes() {
    let document = report(Some("sex")).document().unwrap();
    let (notes, page) = (document.markdown().replace('\\', ""), read(&document.html()));
    let there = figures(&page);
    let missing: Vec<_> = figures(&notes)
        .into_iter()
        .filter(|figure| !there.contains(figure))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(there.len() > 100, "only {there:?}");
}

#[test]
fn the_statement_is_whole() {
    let text = report(None).document().unwrap().markdown();
    for said in [
        "- covered: add or remove one unit",
        "- privacy unit: one row",
        "- epsilon planned: 3\n",
        "- epsilon spent by this run: ",
        "- charged at most at any participant, failed attempts and unused rounds included: 3.5",
        "- delta: 1e-6",
        "- mechanism: Poisson-sampled distributed discrete Gaussian",
        "- clip norm: 1",
        "- sampling rate: 1",
        "- noise multiplier: ",
        "- members: 4",
        "- noise shares counted on: 2",
        "- participants that may collude: 1",
        "## What is assumed",
        "At most 1 of the 4 members",
        "## What is not covered",
        &format!("- contract: {}", heart().hash()),
        "- features: age, sex, trestbps",
        "- target: num, class 1 above 0",
        "- seed of the initial weights: 0",
        "- held out from training: 0.25 of the units, split 9",
        "- attempts: 2 of 3 allowed",
        "| AUC | ",
        "![Privacy spent by the run of model",
        "(epsilon.png)",
        "(roc.png)",
        "(calibration.png)",
        "(scores.png)",
    ] {
        assert!(text.contains(said), "{said}\n{text}");
    }
}

#[test]
fn groups_and_the_gaps_between_them_are_shown() {
    let text = report(Some("sex")).document().unwrap().markdown();
    for said in [
        "## Groups",
        "| Female | ",
        "| Male | ",
        "- gap in accuracy, greatest less least: ",
        "- gap in true positive rate, greatest less least: ",
        "## Confusion",
    ] {
        assert!(text.contains(said), "{said}\n{text}");
    }
}

#[test]
fn a_group_that_the_noise_ate_has_no_share_and_makes_no_gap() {
    let mut report = report(Some("sex"));
    let evaluated = report.evaluated.as_mut().unwrap();
    assert!(evaluated.words().contains("Male: accuracy 0."), "{}", evaluated.words());
    assert!(
        evaluated.words().contains(", false positive rate 0."),
        "{}",
        evaluated.words()
    );
    let real = |x: f64| Real::new(x).unwrap();
    evaluated.evaluation.groups[0].accuracy = Some(workload::training::Estimate {
        value: real(0.97),
        low: real(0.0),
        high: real(1.0),
    });
    evaluated.evaluation.accuracy_gap = None;
    let words = evaluated.words();
    for said in [
        "gap between groups in accuracy: lost in the noise",
        "Female: accuracy lost in the noise",
    ] {
        assert!(words.contains(said), "{said}\n{words}");
    }
    let text = report.document().unwrap().markdown();
    assert!(
        text.contains("- gap in accuracy, greatest less least: lost in noise"),
        "{text}"
    );
    assert!(text.contains("± 0.21 | lost in noise |"), "{text}");
}

#[test]
fn a_loss_that_rose_and_numbers_beyond_all_use_are_told_everywhere() {
    let mut trained = ran();
    let real = |x: f64| Real::new(x);
    let point = |round: u32, loss: f64| LossPoint {
        from_round: round,
        to_round: round,
        loss: real(loss),
        deviation: real(0.01),
    };
    trained.run.losses = vec![point(0, 0.69), point(1, 0.6)];
    assert!(trained.to_json(None)["loss_rose"].is_null() && !trained.statement().contains("the loss rose"));
    trained.run.losses = vec![point(0, 0.69), point(1, 0.92)];
    let json = trained.to_json(None);
    assert_eq!(
        (&json["loss_rose"]["start"], &json["loss_rose"]["end"]),
        (&0.69.into(), &0.92.into())
    );
    let statement = trained.statement();
    assert!(
        statement.contains("WARNING: the loss rose from 0.69 to 0.92"),
        "{statement}"
    );
    assert!(statement.contains("try a smaller learning rate"), "{statement}");
    let report = Report {
        trained,
        evaluated: None,
        plan: None,
    };
    let text = report.document().unwrap().markdown();
    assert!(text.contains("> **the loss rose from 0.69 to 0.92"), "{text}");
}

#[test]
fn hostile_names_stay_names() {
    let hostile = "<script>alert(1)</script> | `x` ![y](https://e.example/z) & *";
    let mut report = report(Some("sex"));
    report.trained.run.dataset = hostile.into();
    report.trained.task.target = hostile.into();
    report.trained.run.privacy.unit = hostile.into();
    let evaluation = &mut report.evaluated.as_mut().unwrap().evaluation;
    evaluation.groups[0].name = format!("{hostile}\n# not a heading");
    let document = report.document().unwrap();
    let (notes, page) = (document.markdown(), document.html());
    assert!(!page.contains("<script") && read(&page).contains(hostile), "{page}");
    assert!(!notes.contains("<script") || !notes.contains(" <script"), "{notes}");
    for (i, _) in notes.match_indices(['<', '`', '[']) {
        // The only brackets of ours are those of pictures.
        assert!(
            notes[..i].ends_with(['\\', '!']),
            "{}",
            &notes[i.saturating_sub(20)..i + 10]
        );
    }
    assert!(!notes.contains("\n# not a heading"));
    for reference in ["src=", "href=", "url(", "@import", "<link", "<iframe"] {
        assert!(!page.contains(reference), "{reference}");
    }
}

#[test]
fn every_picture_of_the_notes_is_written_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    let files = report(None).write(folder.path()).unwrap();
    let names: BTreeSet<String> = files
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    let notes = std::fs::read_to_string(folder.path().join("report.md")).unwrap();
    let linked: Vec<&str> = notes
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .collect();
    assert_eq!(linked, ["epsilon.png", "roc.png", "calibration.png", "scores.png"]);
    for name in linked {
        assert!(
            names.contains(name) && names.contains(&name.replace("png", "svg")),
            "{name} in {names:?}"
        );
    }
    assert!(names.contains("model.json") && names.contains("report.html"));
}

#[test]
fn the_curve_of_epsilon_ends_at_what_the_release_says() {
    let report = report(None);
    let (spent, plan) = (
        report.trained.run.privacy.epsilon.unwrap().get(),
        report.plan.clone().unwrap(),
    );
    let figure = charts::epsilon_chart(&report.trained, Some(&plan)).unwrap();
    let curve = &figure.panels[0].series[0].points;
    assert_eq!((curve.len(), curve[0].y), (13, 0.0));
    assert!((curve[12].y - spent).abs() < 1e-12 && curve.windows(2).all(|pair| pair[0].y < pair[1].y));
}

#[test]
fn the_area_under_the_roc_curve_is_the_released_auc_as_far_as_bins_tell() {
    let report = report(None);
    let evaluation = &report.evaluated.as_ref().unwrap().evaluation;
    let points = &charts::roc_chart(evaluation).unwrap().panels[0].series[0].points;
    let end = points.last().unwrap();
    assert!((end.x - 1.0).abs() < 1e-9 && (end.y - 1.0).abs() < 1e-9);
    assert!(
        points
            .windows(2)
            .all(|pair| pair[0].x <= pair[1].x && pair[0].y <= pair[1].y)
    );
    let area: f64 = points
        .windows(2)
        .map(|pair| (pair[1].x - pair[0].x) * f64::midpoint(pair[0].y, pair[1].y))
        .sum();
    let auc = evaluation.overall.auc.unwrap().value.get();
    assert!((area - auc).abs() < 0.05, "{area} of {auc}");
}

#[test]
fn without_its_contract_a_report_says_why_the_curve_is_a_point() {
    let mut report = report(None);
    let other = Contract::parse(&HEART.replace("maxRows = 1000", "maxRows = 1001")).unwrap();
    report.plan = plan_of(&report.trained, &other);
    assert!(report.plan.is_none());
    let text = report.document().unwrap().markdown();
    assert!(text.contains("Only the end of the curve is drawn"), "{text}");
    report.evaluated = None;
    let text = report.document().unwrap().markdown();
    assert!(
        text.contains("No evaluation was paid for") && !text.contains("calibration.png"),
        "{text}"
    );
}

#[test]
fn a_run_without_noise_is_not_dressed_up() {
    let mut report = report(None);
    let privacy = &mut report.trained.run.privacy;
    (privacy.covers, privacy.epsilon, privacy.epsilon_planned) = (workload::training::Covers::Nothing, None, None);
    report.plan = None;
    let text = report.document().unwrap().markdown();
    assert!(text.contains("NO differential privacy is claimed") && text.contains("epsilon planned: none claimed"));
    assert!(
        text.contains("- neighbouring data: none") && !text.contains("added or removed"),
        "{text}"
    );
    assert!(!text.contains("epsilon.png") && !text.contains("price counts on"));
}

#[test]
fn a_loss_curve_has_its_rounds_and_its_noise() {
    let mut report = report(None);
    let real = |x: f64| Real::new(x);
    let point = |from_round: u32, to_round: u32, loss: Option<f64>| LossPoint {
        from_round,
        to_round,
        loss: loss.and_then(real),
        deviation: loss.and(real(0.1)),
    };
    // Rounds are counted from 0 in a release and from 1 by people; a block stands in its middle; one that was lost has no point.
    report.trained.run.losses = vec![point(0, 0, Some(0.7)), point(1, 4, None), point(9, 11, Some(0.5))];
    let figure = charts::loss_chart(&report.trained).unwrap();
    let points = &figure.panels[0].series[0].points;
    assert_eq!((points[1].x, points[1].y), (11.0, 0.5));
    assert!((points[1].high - points[1].low - 0.392).abs() < 1e-12);
}
