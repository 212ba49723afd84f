//! `sotto policy explain`: a request by hand, which policies decided it, and how to be allowed.

use std::path::PathBuf;

use clap::Args;
use governance::Contract;
use policy::{Decision, Draft, Instant, Layer, LayerDecision, Layers, Outcome};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::install;
use crate::Problem;
use crate::cli::contract;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto policy explain --policy local.cedar --as ann --dataset heart --purpose research
  sotto policy explain --policy consortium=consortium.cedar --policy owner=owner.cedar \\
      --policy local=policies/ --as ann --organisation \"Institute of Cardiology\" \\
      --contract heart.toml --columns age,chol --purpose research
  sotto policy explain --policy local.cedar --as ann --dataset heart --purpose research \\
      --time 2026-03-02T02:00:00Z
  sotto policy explain --policy owner.cedar --as ann --dataset heart --purpose research \\
      --without-noise --require-consortium

It exits 0 whatever the decision is; `sotto policy test` is for a pipeline.")]
pub(super) struct Explain {
    /// Policies to ask, a file or a folder, by layer; without a layer it is the local one
    #[arg(long = "policy", value_name = "[LAYER=]PATH", required = true)]
    policies: Vec<String>,
    /// The analyst who would ask
    #[arg(long = "as", value_name = "ANALYST")]
    analyst: String,
    /// The analyst's organisation
    #[arg(long, default_value = "")]
    organisation: String,
    /// query, train or evaluate
    #[arg(long, default_value = "query")]
    action: String,
    /// The dataset [default: the contract's]
    #[arg(long, required_unless_present = "contract")]
    dataset: Option<String>,
    /// Contract of the dataset, for its version and the classifications of columns
    #[arg(long)]
    contract: Option<PathBuf>,
    #[arg(long)]
    purpose: String,
    /// Purposes that subsume it
    #[arg(long, value_delimiter = ',')]
    broader_purposes: Vec<String>,
    /// Columns that are read, between commas
    #[arg(long, value_delimiter = ',')]
    columns: Vec<String>,
    /// Aggregates that are asked for, between commas; without, policies that read them refuse
    #[arg(long, value_delimiter = ',')]
    aggregates: Option<Vec<String>>,
    #[arg(long, default_value_t = 1.0)]
    epsilon: f64,
    /// Sums without noise, as of a run with `non_private`: policies see the largest epsilon there is
    #[arg(long)]
    without_noise: bool,
    /// [default: the contract's, or 1e-6]
    #[arg(long)]
    delta: Option<f64>,
    #[arg(long, default_value_t = 1)]
    max_attempts: u32,
    /// The fewest contributions that the answer may sum
    #[arg(long, default_value_t = 3)]
    cohort: u32,
    /// When, as 2026-03-02T10:00:00Z [default: now]
    #[arg(long)]
    time: Option<String>,
    /// As where the consortium's layer is required
    #[arg(long)]
    require_consortium: bool,
}

impl Explain {
    pub(super) fn run(self, json: bool) -> Result<(), Problem> {
        let mut layers = Layers::new(self.require_consortium);
        for layer in [Layer::Consortium, Layer::Owner, Layer::Local] {
            let paths = self.paths(layer)?;
            if !paths.is_empty() {
                install(&mut layers, layer, &paths)?;
            }
        }
        let sample = self.draft()?.over(&Draft::default());
        let sample = sample.map_err(|error| Problem::usage(error.to_string()).remedy("--help of the command"))?;
        let decision = layers.ask(&sample.asked());
        match json {
            true => println!("{:#}", as_json(&decision)),
            false => print!("{}", words(&decision)),
        }
        Ok(())
    }

    fn paths(&self, wanted: Layer) -> Result<Vec<PathBuf>, Problem> {
        let mut paths = Vec::new();
        for given in &self.policies {
            let (layer, path) = match given.split_once('=') {
                None => (Layer::Local, given.as_str()),
                Some(("consortium", path)) => (Layer::Consortium, path),
                Some(("owner", path)) => (Layer::Owner, path),
                Some(("local", path)) => (Layer::Local, path),
                Some((other, _)) => {
                    return Err(Problem::usage(format!("unknown layer `{other}`"))
                        .remedy("--policy consortium=PATH, owner=PATH or local=PATH"));
                }
            };
            if layer == wanted {
                paths.push(PathBuf::from(path));
            }
        }
        Ok(paths)
    }

    fn draft(&self) -> Result<Draft, Problem> {
        let contract = self.contract.as_deref().map(contract::load).transpose()?;
        let now = || u64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
        let time = match &self.time {
            None => Instant { unix_ms: now() },
            Some(text) => Instant::parse(text).ok_or_else(|| {
                Problem::usage(format!("malformed --time `{text}`")).remedy("one like 2026-03-02T10:00:00Z")
            })?,
        };
        let mut draft = Draft {
            analyst: Some(self.analyst.clone()),
            organisation: Some(self.organisation.clone()),
            action: Some(self.action.clone()),
            dataset: self.dataset.clone(),
            purpose: Some(self.purpose.clone()),
            broader_purposes: Some(self.broader_purposes.clone()),
            columns: Some(self.columns.clone()),
            aggregates: self.aggregates.clone(),
            noise: Some(!self.without_noise),
            epsilon: Some(self.epsilon),
            delta: self.delta,
            max_attempts: Some(self.max_attempts),
            cohort: Some(self.cohort),
            time: Some(time),
            ..Draft::default()
        };
        if let Some(contract) = contract {
            self.complete(&mut draft, &contract)?;
        }
        Ok(draft)
    }

    /// What the contract knows.
    fn complete(&self, draft: &mut Draft, contract: &Contract) -> Result<(), Problem> {
        let mut classifications = Vec::new();
        for name in &self.columns {
            let Some(column) = contract.column(name) else {
                return Err(
                    Problem::usage(format!("`{name}` is not a column of `{}`", contract.name))
                        .remedy("`sotto contract check` lists them"),
                );
            };
            classifications.extend(column.classification.clone());
        }
        draft.classifications = Some(classifications.into_iter().collect());
        draft.version = Some(contract.version.clone());
        draft.delta = draft.delta.or(Some(contract.delta.get()));
        draft.dataset.get_or_insert_with(|| contract.name.clone());
        Ok(())
    }
}

fn words(decision: &Decision) -> String {
    let mut text = String::new();
    for layer in &decision.layers {
        text += &format!("{:<11} {:<6} {layer}\n", layer.layer.as_str(), answer(layer));
    }
    match decision.refusal() {
        None => text + "allowed by policy; the agent's own rules and the budget decide besides\n",
        Some(_) => {
            let refusing = decision.layers.iter().filter(|layer| layer.outcome != Outcome::Allowed);
            let remedies: Vec<String> = refusing.map(|layer| format!("  try: {}\n", layer.remedy())).collect();
            text + "denied\n" + &remedies.concat()
        }
    }
}

fn answer(layer: &LayerDecision) -> &'static str {
    if layer.outcome == Outcome::Allowed {
        "allow"
    } else {
        "deny"
    }
}

fn as_json(decision: &Decision) -> Value {
    let allowed = if decision.is_allowed() { "allow" } else { "deny" };
    let remedy = decision.refusal().map(LayerDecision::remedy);
    json!({ "decision": allowed, "remedy": remedy, "layers": layers_json(decision) })
}

pub(super) fn layers_json(decision: &Decision) -> Value {
    let layer = |layer: &LayerDecision| {
        let policies: Vec<Value> = layer
            .policies
            .iter()
            .map(|policy| json!({ "id": policy.id, "remedy": policy.remedy }))
            .collect();
        let outcome = match &layer.outcome {
            Outcome::Allowed => "allowed",
            Outcome::Forbidden => "forbidden",
            Outcome::NothingPermits => "nothing permits",
            Outcome::Failed(_) => "failed",
            Outcome::Absent => "absent",
        };
        json!({
            "layer": layer.layer, "decision": answer(layer), "outcome": outcome, "reason": layer.to_string(),
            "policies": policies,
        })
    };
    decision.layers.iter().map(layer).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::tests::saved;
    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        explain: Explain,
    }

    fn decide(line: &str) -> Result<Decision, Problem> {
        let explain = Line::try_parse_from(["explain"].into_iter().chain(line.split(' ')))
            .unwrap()
            .explain;
        let mut layers = Layers::new(explain.require_consortium);
        for layer in [Layer::Consortium, Layer::Owner, Layer::Local] {
            let paths = explain.paths(layer)?;
            if !paths.is_empty() {
                install(&mut layers, layer, &paths)?;
            }
        }
        let sample = explain.draft()?.over(&Draft::default()).unwrap();
        Ok(layers.ask(&sample.asked()))
    }

    #[test]
    fn it_says_which_policy_decided_and_what_would_be_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let text = "@id(\"open\") permit (principal, action, resource);\n\
                    @id(\"no-identifiers\") @remedy(\"leave identifying columns out\")\n\
                    forbid (principal, action, resource) when { context.classifications.contains(\"identifier\") };";
        let file = saved(folder.path(), "local.cedar", text);
        let line = |columns: &str| {
            let file = file.display();
            format!(
                "--policy {file} --as ann --contract ../governance/contracts/heart.toml --columns {columns} --purpose research"
            )
        };
        let decision = decide(&line("age")).unwrap();
        assert_eq!(as_json(&decision)["decision"], "allow");
        assert!(words(&decision).contains("policy `open` of the local layer permits it"));
        let decision = decide(&line("age,id")).unwrap();
        let told = as_json(&decision);
        assert_eq!(
            (&told["decision"], &told["remedy"]),
            (&json!("deny"), &json!("leave identifying columns out"))
        );
        assert_eq!(told["layers"][0]["policies"][0]["id"], "no-identifiers");
        assert!(words(&decision).ends_with("denied\n  try: leave identifying columns out\n"));
        assert!(
            decide(&line("height"))
                .unwrap_err()
                .message
                .contains("`height` is not a column")
        );
        let unknown = decide(&line("age").replace("--policy ", "--policy owners=")).unwrap_err();
        assert!(unknown.message.contains("owners"), "{unknown}");
        let required = decide(&(line("age") + " --require-consortium")).unwrap();
        assert_eq!(as_json(&required)["layers"][0]["outcome"], "absent");
    }
}
