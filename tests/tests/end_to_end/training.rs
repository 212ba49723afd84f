//! Training over real sockets: runs through kills, models that are continued, promoted and rolled back.

use std::time::{Duration, Instant};

use governance::Standing;
use governance::canonical::Real;
use sottovoce::train::export::{Format, export};
use sottovoce::train::{self, Trained, registry};
use workload::training::{Covers, Holdout, ModelKind, Start, TrainTask};

use crate::world::{World, round_began};

/// Heart disease from contract-bounded features, as `docs/training.md` has it.
pub fn heart_task(rounds: u32) -> TrainTask {
    let features = ["age", "sex", "cp", "trestbps", "thalch", "exang", "oldpeak"];
    let real = |x: f64| Real::new(x).unwrap();
    TrainTask {
        positive_above: Some(real(0.0)),
        learning_rate: real(1.5),
        momentum: real(0.6),
        expected_units: Some(920),
        holdout: Some(Holdout {
            fraction: real(0.25),
            seed: 7,
        }),
        ..TrainTask::dp_sgd(&features, "num", ModelKind::Logistic, rounds)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_trained_over_four_hospitals_and_ranks_patients_that_no_step_saw() {
    let world = World::of_hospitals().await;
    let mut analyst = world.analyst().await;
    let dataset = analyst.dataset("heart").await.unwrap();
    let trained = train::run(&mut analyst, &dataset, &heart_task(15), 3.0, "research", 3)
        .await
        .unwrap();
    assert!(trained.released.verified() && !trained.run.diverged);
    assert_eq!((trained.run.rounds, trained.released.receipt().contributors), (15, 4));
    let epsilon = trained.run.privacy.epsilon.unwrap().get();
    assert!(epsilon > 1.0 && epsilon <= 3.0, "{epsilon}");
    assert_eq!(trained.run.losses.len(), 15);
    let start = &trained.run.losses[0];
    let (loss, deviation) = (start.loss.unwrap().get(), start.deviation.unwrap().get());
    // The first model knows nothing, and only the noise errs about that.
    let error = (loss - std::f64::consts::LN_2).abs();
    assert!(deviation < 0.3 && error < 5.0 * deviation, "{loss} +- {deviation}");
    for format in [Format::Onnx, Format::Safetensors] {
        let file = export(&trained, format).unwrap();
        let says = |text: &str| file.windows(text.len()).any(|bytes| bytes == text.as_bytes());
        let (hash, privacy) = (trained.run.model_hash.to_string(), &trained.run.privacy);
        for fact in [
            &hash,
            &privacy.mechanism,
            &privacy.unit,
            &trained.released.id(),
            "add or remove one unit",
        ] {
            assert!(says(fact), "{format:?} does not say {fact}");
        }
    }
    let evaluated = train::evaluate(&mut analyst, &dataset, &trained, 3.0, "research", None)
        .await
        .unwrap();
    let auc = evaluated.evaluation.overall.auc.as_ref().unwrap();
    // 0.87 and more without noise, and an evaluation at epsilon 3 over 230 rows has a deviation of about 0.03.
    assert!(
        auc.high.get() > 0.80,
        "AUC {} in {}..{}",
        auc.value.get(),
        auc.low.get(),
        auc.high.get()
    );
    world.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_through_kills_of_a_participant_and_of_the_coordinator() {
    let mut world = World::of_hospitals().await;
    let mut analyst = world.analyst().await;
    let before = world.left("budapest").await;
    let dataset = analyst.dataset("heart").await.unwrap();
    let request = analyst
        .sign(train::question(&dataset, &heart_task(400), 2.0, "research", 40))
        .unwrap();
    let job = analyst.submit(request).await.unwrap().job;
    round_began(&mut analyst, &job).await;
    world.running.kill("zurich").await.unwrap();
    world.running.restart("zurich").await.unwrap();
    world.running.kill("coordinator").await.unwrap();
    let killed = Instant::now();
    world.running.restart("coordinator").await.unwrap();
    let mut analyst = world.analyst().await;
    round_began(&mut analyst, &job).await;
    let resumed = killed.elapsed();
    println!("a round began {resumed:?} after the coordinator was killed");
    assert!(resumed < Duration::from_secs(5), "{resumed:?}");
    let released = tokio::time::timeout(Duration::from_secs(90), analyst.released(&job)).await;
    let trained = Trained::of(*released.expect("a run that ends").unwrap()).unwrap();
    assert_eq!(trained.run.rounds, 400);
    // Each token is charged once: the run, and what failed attempts used.
    let spent = before - world.left("budapest").await;
    assert!(spent < 2.4, "{spent}");
    world.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_continued_promoted_and_rolled_back_and_the_registry_outlives_a_kill() {
    let mut world = World::of_hospitals().await;
    let mut analyst = world.analyst().await;
    let dataset = analyst.dataset("heart").await.unwrap();
    let first = train::run(&mut analyst, &dataset, &heart_task(4), 1.0, "research", 3)
        .await
        .unwrap();
    let child = TrainTask {
        start: Some(Start::from_model(&first.run.model).unwrap()),
        ..heart_task(3)
    };
    let second = train::run(&mut analyst, &dataset, &child, 1.0, "research", 3)
        .await
        .unwrap();
    assert_eq!(second.run.parent, Some(first.run.model_hash));

    // Nobody validates what nobody looked at, and no candidate skips into production.
    let models = analyst.models().await.unwrap();
    let unseen = models.find("heart.num@1").unwrap();
    for to in [Standing::Validated, Standing::Production] {
        let refused = registry::move_to(&mut analyst, &models, unseen, to, "")
            .await
            .unwrap_err();
        assert_eq!(refused.code, engine::codes::MODEL_MOVE);
    }
    for trained in [&first, &second] {
        train::evaluate(&mut analyst, &dataset, trained, 2.0, "research", Some("sex"))
            .await
            .unwrap();
    }
    for version in ["heart.num@1", "heart.num@2"] {
        for to in [Standing::Validated, Standing::Production] {
            let models = analyst.models().await.unwrap();
            let version = models.find(version).unwrap();
            registry::move_to(&mut analyst, &models, version, to, "agreed")
                .await
                .unwrap();
        }
    }
    let stale = models;
    world.running.kill("coordinator").await.unwrap();
    world.running.restart("coordinator").await.unwrap();

    let mut analyst = world.analyst().await;
    let models = analyst.models().await.unwrap();
    let standing = |models: &registry::Models, wanted: &str| models.find(wanted).unwrap().standing;
    assert_eq!(models.find("heart.num").unwrap().model, second.run.model_hash);
    assert_eq!(standing(&models, "heart.num@1"), Standing::Validated);
    let lineage = models.lineage(models.find("heart.num").unwrap());
    assert_eq!(lineage.last().unwrap().model, first.run.model_hash);
    // Who looked before others moved has to look again.
    let in_production = models.find("heart.num").unwrap();
    let late = registry::move_to(&mut analyst, &stale, in_production, Standing::RolledBack, "").await;
    assert!(late.unwrap_err().message.contains("the registry changed"));
    let models = registry::move_to(&mut analyst, &models, in_production, Standing::RolledBack, "worse")
        .await
        .unwrap();
    assert_eq!(models.find("heart.num").unwrap().model, first.run.model_hash);
    assert_eq!(standing(&models, "heart.num@2"), Standing::RolledBack);
    let detailed = registry::detailed(&mut analyst, models.find("heart.num").unwrap())
        .await
        .unwrap();
    assert_eq!(detailed.evaluations[0].evaluation.groups.len(), 2);
    world.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_without_noise_take_every_owners_word_and_a_diverging_run_keeps_its_last_good_model() {
    let allowed_by = |sites: usize| {
        World::with(move |spec| {
            for site in spec.participants.iter_mut().take(sites) {
                let dataset = site.config["dataset"][0].as_table_mut().unwrap();
                let people = ["ada", "grace"].map(toml::Value::from).to_vec();
                dataset.insert("without_noise_approved_by".to_owned(), toml::Value::Array(people));
            }
        })
    };
    let plain = |rate: f64| TrainTask {
        non_private: true,
        learning_rate: Real::new(rate).unwrap(),
        ..heart_task(6)
    };
    let world = allowed_by(2).await;
    let mut analyst = world.analyst().await;
    let dataset = analyst.dataset("heart").await.unwrap();
    let refused = train::run(&mut analyst, &dataset, &plain(1.0), 1.0, "research", 3).await;
    assert!(refused.unwrap_err().message.contains("not answered without noise"));
    world.running.stop().await;

    let world = allowed_by(4).await;
    let mut analyst = world.analyst().await;
    let trained = train::run(&mut analyst, &dataset, &plain(1.0), 1.0, "research", 3)
        .await
        .unwrap();
    assert_eq!(
        (trained.run.privacy.covers, trained.run.privacy.epsilon),
        (Covers::Nothing, None)
    );
    assert!(trained.statement().contains("NO differential privacy"));
    // Steps a thousand times too large for so many units, on top of an absurd rate.
    let absurd = TrainTask {
        expected_units: Some(1),
        ..plain(1e6)
    };
    let diverged = train::run(&mut analyst, &dataset, &absurd, 1.0, "research", 3)
        .await
        .unwrap();
    assert!(diverged.run.diverged && diverged.run.rounds < 6);
    assert!(diverged.run.model.weights().unwrap().iter().all(|x| x.is_finite()));
    assert!(diverged.statement().contains("last good model"));
    world.running.stop().await;
}
