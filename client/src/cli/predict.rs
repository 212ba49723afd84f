//! `sotto predict`: a trained model over a file of one's own. Nothing leaves this machine but the question for the model.

use std::path::PathBuf;

use clap::Args;
use workload::training::TrainedModel;

use super::remote::{Remote, Shown};
use crate::Problem;
use crate::output::{Kind, Sheet};
use crate::train::export::Format;
use crate::train::{predict, registry};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto predict heart.num patients.parquet -o scores.csv   the version in production
  sotto predict report/model.json patients.csv             a model in a file

One line a row: the predicted number, the probability of class 1, or the most probable class.")]
pub struct Predict {
    /// A model by name, NAME@VERSION, run or hash; or a model file
    model: String,
    /// Rows to predict: CSV or Parquet with the contract's column names
    data: PathBuf,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    shown: Shown,
}

impl Predict {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        let model = load(&self.model, &self.remote).await?;
        let predicted = predict::predict(&model, &predict::read(&self.data)?)?;
        let mut sheet = Sheet::new([("prediction", Kind::Number)]);
        for value in predicted {
            sheet.push([value.into()]);
        }
        self.shown.target(json)?.write(&sheet)
    }
}

async fn load(model: &str, remote: &Remote) -> Result<TrainedModel, Problem> {
    let path = PathBuf::from(model);
    if path.is_file() {
        if let Ok(Format::Onnx | Format::Safetensors) = Format::of(&path) {
            let message = format!(
                "{} is for other programs: `sotto predict` reads .json models",
                path.display()
            );
            return Err(
                Problem::usage(message).remedy("`sotto model export NAME -o model.json`, or name the model itself")
            );
        }
        let text = std::fs::read_to_string(&path).map_err(|error| Problem::unread(&path, &error))?;
        return serde_json::from_str(&text).map_err(|error| {
            Problem::usage(format!("{} is not a model: {error}", path.display()))
                .remedy("`sotto run report ID` writes model.json")
        });
    }
    let (mut client, _) = remote.connect().await?;
    let (_, trained) = registry::trained(&mut client, model).await?;
    Ok(trained.run.model)
}
