//! `sotto demo`: the tour. Real keys, real TLS, real noise, six processes; the only thing that no consortium has are the true
//! answers beside the private ones, which exist because this data is public.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use proto::v1::DatasetSite;
use serde_json::{Value, json};

use super::wait::Spinner;
use crate::answer::Answer;
use crate::demo::{
    Asked, BUDGET, EVALUATION, Governed, Learnt, QUESTIONS, TRAINING_EPSILON, Truth, by_grant, consortium, governed,
    granted, learn, truth,
};
use crate::local::{Running, State, start};
use crate::output::{Cell, Kind, Paint, Sheet, plain, table};
use crate::{Client, Problem, ask};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto demo
  sotto demo --keep             leaves the consortium running, to ask questions of your own
  sotto demo --json             one JSON object, for machines")]
pub struct Demo {
    /// Leave the consortium running until Ctrl-C
    #[arg(long)]
    keep: bool,
    #[arg(skip)]
    json: bool,
}

/// What one question of the tour gave.
struct Told {
    asked: Asked,
    answer: Box<Answer>,
    rows: Vec<Row>,
}

struct Row {
    key: String,
    output: String,
    value: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    truth: Option<f64>,
}

impl Demo {
    pub async fn run(mut self, json: bool) -> Result<(), Problem> {
        self.json = json;
        let began = Instant::now();
        let folder = tempfile::Builder::new().prefix("sotto-demo-").tempdir();
        let mut folder = folder.map_err(|error| Problem::local("temporary folder", error))?;
        let mut spec = consortium(folder.path())?;
        by_grant(&mut spec)?;
        let state = State::prepare(&folder.path().join("state"), &spec)?;
        let executable = std::env::current_exe().map_err(|error| Problem::local("this executable", error))?;
        self.say(INTRODUCTION);
        let mut spinner = Spinner::new();
        let mut tell = |step: &str| spinner.say(step);
        let running = tokio::select! {
            started = start(&executable, &spec, &state, &[], &mut tell) => started,
            _ = tokio::signal::ctrl_c() => return Err(super::interrupted("stopped while starting")),
        };
        spinner.clear();
        // The logs that the error names must outlive it.
        let running = running.inspect_err(|_| folder.disable_cleanup(true))?;
        let seconds = began.elapsed().as_secs_f64();
        self.say(&format!(
            "A coordinator and {} hospitals are up after {seconds:.1} s.\n",
            spec.participants.len()
        ));
        let toured = tokio::select! {
            toured = self.tour(&running, &state, folder.path()) => toured,
            _ = tokio::signal::ctrl_c() => Err(super::interrupted("stopped in the middle of the tour")),
        };
        if let (Ok(told), true) = (&toured, self.json) {
            println!("{}", with_profile(told, self.keep.then(|| state.profile())));
        }
        if toured.is_ok() && self.keep {
            self.wait(&state).await;
        }
        running.stop().await;
        toured?;
        self.say(&format!("The whole tour took {:.1} s.", began.elapsed().as_secs_f64()));
        Ok(())
    }

    async fn tour(&self, running: &Running, state: &State, folder: &Path) -> Result<Value, Problem> {
        let mut client = running.connect().await?;
        let grant = granted(&mut client, running, state).await?;
        self.say(GRANTED);
        let mut told = Vec::new();
        for (i, (asked, truth)) in QUESTIONS.into_iter().zip(truth()?).enumerate() {
            let answer = ask::ask(&mut client, asked.sql, asked.epsilon, "research").await?;
            let rows = rows(&answer, &truth);
            self.say(&show(i, &asked, &answer, &rows));
            told.push(Told { asked, answer, rows });
        }
        let before = charged(&mut client).await?;
        let again = ask::ask(&mut client, QUESTIONS[0].sql, QUESTIONS[0].epsilon, "research").await?;
        // That nothing was charged has no event: as long as a charge would have taken to show.
        tokio::time::sleep(PUBLISHED).await;
        let after = left(&mut client).await?;
        let same = again.table() == told[0].answer.table();
        self.say(&repeated(again.repeated() && same, &before, &after));
        let dataset = client.dataset("heart").await?;
        let learnt = learn(&mut client, &dataset).await?;
        self.say(&model(&learnt));
        let after = charged(&mut client).await?;
        self.say(&budget(&after));
        let shown = governed(&mut client, state, folder, &grant, &told[0].answer.id()).await?;
        self.say(&acts(&shown));
        let mut json = as_json(running.participants, &told, &learnt, &after);
        shown.add_to(&mut json);
        Ok(json)
    }

    async fn wait(&self, state: &State) {
        self.say(&format!(
            "The consortium stays up. In another terminal:\n\n  export SOTTO_PROFILE={}\n  sotto dataset show heart\n  \
             sotto explain \"SELECT cp, AVG(oldpeak) FROM heart GROUP BY cp\"\n\nCtrl-C ends it and deletes everything.",
            state.profile().display()
        ));
        let _ = tokio::signal::ctrl_c().await;
    }

    fn say(&self, text: &str) {
        if !self.json {
            println!("{text}");
        }
    }
}

const INTRODUCTION: &str = "\
Four hospitals, 920 patients (the public UCI heart disease data). Each hospital's agent is a process of its own, with
its own file, keys and budget. They answer an analyst's question together: each adds noise to its part and hides the
result under masks that cancel in the sum. Nobody, the coordinator included, sees a row or one hospital's numbers.
";

const GRANTED: &str = "\
Three hospitals list you. The one at Long Beach lists nobody: you asked it for a grant, its steward approved, and the
agreement counts since it stands in a log that the hospitals witnessed.
";

/// The last three acts, in words.
fn acts(shown: &Governed) -> String {
    let paint = Paint::detect(&std::io::stdout());
    format!(
        "{}\n{}\n{}\n{}\n{}\n{}",
        paint.bold("5. A refusal: it says why, by which rule, and what would help"),
        shown.refusal.words(),
        paint.bold("6. A revocation: it never waits"),
        shown.revocation.words(),
        paint.bold("7. The log, verified by somebody who was never there"),
        shown.log.words(),
    )
}

fn show(i: usize, asked: &Asked, answer: &Answer, rows: &[Row]) -> String {
    let paint = Paint::detect(&std::io::stdout());
    let mut sheet = Sheet::new([
        ("group", Kind::Text),
        ("output", Kind::Text),
        ("answer", Kind::Estimate),
        ("truth", Kind::Number),
    ]);
    for row in rows {
        let estimate = Cell::Estimate {
            value: row.value,
            low: row.low,
            high: row.high,
        };
        sheet.push([
            row.key.as_str().into(),
            row.output.as_str().into(),
            estimate,
            row.truth.into(),
        ]);
    }
    let receipt = answer.receipt();
    format!(
        "{}\n{}\n{}epsilon {}, delta {:e}; {} of {} hospitals in the sum\n",
        paint.bold(&format!("{}. {}", i + 1, asked.about)),
        paint.dim(asked.sql),
        table(&sheet, paint, None),
        plain(asked.epsilon),
        receipt.delta,
        receipt.contributors,
        receipt.members,
    )
}

/// One row per group and output: keys of a group joined, the truth looked up.
fn rows(answer: &Answer, truth: &Truth) -> Vec<Row> {
    let sheet = answer.sheet();
    let mut rows = Vec::new();
    for cells in &sheet.rows {
        let keys = cells.iter().filter_map(|cell| match cell {
            Cell::Text(text) => Some(text.clone()),
            _ => None,
        });
        let key = keys.collect::<Vec<_>>().join(", ");
        for (column, cell) in sheet.columns.iter().zip(cells) {
            if let Cell::Estimate { value, low, high } = cell {
                let known = truth.get(&(lower_edge(&key), column.name.clone()));
                // A group that the public table does not have holds nobody.
                let truth = known.copied().or((column.name == "patients").then_some(0.0));
                let (value, low, high) = (*value, *low, *high);
                rows.push(Row {
                    key: key.clone(),
                    output: column.name.clone(),
                    value,
                    low,
                    high,
                    truth,
                });
            }
        }
    }
    rows
}

/// `[40, 50)` is known to the truth as `40`.
fn lower_edge(key: &str) -> String {
    key.strip_prefix('[')
        .and_then(|key| key.split(',').next())
        .unwrap_or(key)
        .to_owned()
}

/// How long a hospital may take to publish what a charge left.
const PUBLISHED: Duration = Duration::from_millis(300);

/// What each hospital says is left, once all have published their charges.
async fn charged(client: &mut Client) -> Result<Vec<(String, f64)>, Problem> {
    let deadline = Instant::now() + 10 * PUBLISHED;
    let mut before = left(client).await?;
    loop {
        tokio::time::sleep(PUBLISHED).await; // between two looks, for at most three seconds
        let now = left(client).await?;
        let told = now.iter().all(|(_, left)| *left < BUDGET) && now == before;
        if told || Instant::now() > deadline {
            return Ok(now);
        }
        before = now;
    }
}

/// What each hospital says is left.
async fn left(client: &mut Client) -> Result<Vec<(String, f64)>, Problem> {
    let sites = client.dataset("heart").await?.sites;
    let left = |site: DatasetSite| site.budget.map(|budget| (site.participant, budget.epsilon_left));
    Ok(sites.into_iter().filter_map(left).collect())
}

fn repeated(same: bool, before: &[(String, f64)], after: &[(String, f64)]) -> String {
    match same && before == after {
        true => {
            "The first question again: the same answer, at no cost. Fresh noise would let anybody average it away.\n"
        }
        false => "The first question again was NOT free: please report this.\n",
    }
    .to_owned()
}

fn model(learnt: &Learnt) -> String {
    let paint = Paint::detect(&std::io::stdout());
    format!(
        "{}\n{}\n{}\nAUC over all 920 patients, which nobody but a demo can know: {:.3}\n{}\n",
        paint.bold("4. A model of heart disease, trained in secure rounds at every hospital"),
        learnt.trained.title(),
        learnt.evaluated.words(),
        learnt.true_auc,
        paint.dim(&learnt.trained.statement()),
    )
}

fn budget(left: &[(String, f64)]) -> String {
    let mut sheet = Sheet::new([
        ("hospital", Kind::Text),
        ("budget", Kind::Number),
        ("left", Kind::Number),
    ]);
    for (hospital, epsilon) in left {
        sheet.push([hospital.as_str().into(), BUDGET.into(), (*epsilon).into()]);
    }
    let asked: Vec<String> = QUESTIONS.iter().map(|asked| plain(asked.epsilon)).collect();
    format!(
        "The most that one more question may cost at each hospital, in epsilon. Questions of {} and a run of {} with its\n\
         evaluation of {} cost less together than their sum: the account composes them instead of adding them up.\n{}",
        asked.join(", "),
        plain(TRAINING_EPSILON),
        plain(EVALUATION),
        table(&sheet, Paint::detect(&std::io::stdout()), None),
    )
}

/// What `--keep --json` adds: where the questions of one's own go.
fn with_profile(told: &Value, profile: Option<PathBuf>) -> Value {
    let mut told = told.clone();
    if let Some(profile) = profile {
        told["profile"] = json!(profile);
    }
    told
}

fn as_json(participants: usize, told: &[Told], learnt: &Learnt, left: &[(String, f64)]) -> Value {
    let row = |row: &Row| {
        json!({
            "key": row.key,
            "output": row.output,
            "estimate": row.value,
            "interval": [row.low, row.high],
            "true_value": row.truth,
        })
    };
    let query = |told: &Told| {
        json!({
            "sql": told.asked.sql,
            "epsilon": told.asked.epsilon,
            "delta": told.answer.receipt().delta,
            "contributors": told.answer.receipt().contributors,
            "rows": told.rows.iter().map(row).collect::<Vec<_>>(),
        })
    };
    json!({
        "participants": participants,
        "queries": told.iter().map(query).collect::<Vec<_>>(),
        "training": {
            "model_hash": learnt.trained.run.model_hash,
            "rounds": learnt.trained.run.rounds,
            "epsilon": learnt.trained.run.privacy.epsilon.map(|e| e.get()),
            "evaluation": learnt.evaluated.evaluation.overall,
            "true_auc": learnt.true_auc,
        },
        "budget_left": left.iter().map(|(name, left)| (name.clone(), json!(left))).collect::<serde_json::Map<_, _>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_of_age_is_looked_up_by_its_lower_edge() {
        assert_eq!(lower_edge("[40, 50)"), "40");
        assert_eq!(lower_edge("Female"), "Female");
        assert_eq!(lower_edge(""), "");
    }
}
