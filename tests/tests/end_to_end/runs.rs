//! Runs as people start, watch and stop them with `sotto`, over real processes: what is wrong is said before a run costs anything, and what a run
//! cost is said whatever becomes of it.

use serde_json::Value;

use crate::explain::run;
use crate::world::World;

const FILE: &str = "dataset = \"heart\"\nfeatures = [\"age\", \"sex\", \"cp\", \"thalch\"]\ntarget = \"num\"\npositive_above = 0\n\
    epsilon = 1.0\nrounds = 5\nexpected_units = 920\npurpose = \"research\"\n";

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_run_is_said_before_it_and_what_it_cost_after_it() {
    let world = World::of_hospitals().await;
    let profile = world.state().join("profile.toml");
    let environment = [("SOTTO_PROFILE", profile.as_path())];
    let sotto = async |words: &[&str]| run(words, &environment).await;
    let file = world.folder.path().join("run.toml");
    std::fs::write(&file, FILE).unwrap();
    let file = file.to_str().unwrap();
    let model = world.folder.path().join("model.json");
    let output = model.to_str().unwrap();
    let before = world.left("cleveland").await;

    // The evaluation's faults are the run's: nothing was submitted, and a dry run finds them too.
    for (words, says) in [
        (&["--evaluate-group", "sexx"][..], "did you mean `sex`?"),
        (&["--evaluate-group", "thalch"], "the evaluation after the run: "),
        (&["--evaluate-epsilon", "-1"], "mismatched evaluate_epsilon"),
        (&["--evaluate-group", "sexx", "--dry-run"], "did you mean `sex`?"),
        (&["--mu", "0.1"], "mu means nothing in this run: it is for fedprox"),
    ] {
        let (good, _, error) = sotto(&[&["train", file, "-o", output], words].concat()).await;
        assert!(!good && error.contains(says), "{words:?}: {error}");
    }
    assert_eq!(world.left("cleveland").await, before, "nothing was spent");
    assert!(!model.exists());

    // Before a run stands what its release will say that it covers.
    let dry = ["train", file, "--algorithm", "fedavg", "--dry-run"];
    let (good, told, error) = sotto(&dry).await;
    assert!(good && told.contains("\"replace one site's data\""), "{told}{error}");
    assert!(
        told.contains("algorithm") && told.contains("fedavg") && told.contains(" kB up per participant"),
        "{told}"
    );
    let (_, told, _) = sotto(&[&dry[..], &["--json"]].concat()).await;
    assert_eq!(parsed(&told)["covers"], "replace one site's data");

    // A run with its evaluation; both are there.
    let words = [
        "train",
        file,
        "-o",
        output,
        "--evaluate-epsilon",
        "2",
        "--evaluate-group",
        "sex",
        "--json",
    ];
    let (good, told, error) = sotto(&words).await;
    assert!(good && model.exists(), "{error}");
    let told = parsed(&told);
    assert_eq!(told["evaluation"]["groups"].as_array().unwrap().len(), 2, "{told:#}");
    let shown = sotto(&["model", "show", "heart.num@1"]).await.1;
    for said in ["plan: ", "contract: version ", "algorithm: dp-sgd", "clip norm: 1"] {
        assert!(shown.contains(said), "{said}: {shown}");
    }

    // A long one, which is found in its middle and stopped.
    let words = ["train", file, "--rounds", "5000", "--detach", "--json"];
    let (good, told, error) = sotto(&words).await;
    assert!(good && error.contains("`sotto model evaluate "), "{error}");
    let id = parsed(&told)["job"].as_str().unwrap().to_owned();
    let mut rounds = 0.0;
    for _ in 0..300 {
        let listed = parsed(&sotto(&["run", "--json"]).await.1);
        let open = listed
            .as_array()
            .unwrap()
            .iter()
            .find(|run| run["run"] == id.as_str())
            .cloned();
        rounds = open.and_then(|open| open["rounds"].as_f64()).unwrap_or_default();
        if rounds > 3.0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await; // polls a condition, for at most a minute
    }
    assert!(rounds > 3.0, "the list shows the round of an open run");
    let (good, told, error) = sotto(&["run", "watch", &id, "--timeout", "1"]).await;
    assert!(!good && told.is_empty() && error.contains("it goes on"), "{error}");
    let (good, told, error) = sotto(&["run", "stop", &id, "--json"]).await;
    assert!(good, "{error}");
    let told = parsed(&told);
    let figure = |name: &str| told[name].as_f64().unwrap_or_default();
    assert!(figure("attempts_charged") > 3.0 && figure("epsilon") > 0.0, "{told:#}");
    assert!(figure("epsilon") < figure("epsilon_charged_at_most"), "{told:#}");
    let (good, _, error) = sotto(&["run", "watch", &id]).await;
    assert!(
        !good && error.contains("were charged to the participants' budgets: epsilon 0."),
        "{error}"
    );
    world.running.stop().await;
}
