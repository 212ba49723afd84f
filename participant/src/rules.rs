//! Who may ask this agent what: [`Rules`], with the local layer that lies on the owner's disk.

use std::path::PathBuf;

use policy::{Faults, Layers, Policies, Source};

pub use policy::Rules;

use crate::config::Config;

/// Why an agent does not start: with policies that cannot be read it would not know what to refuse.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("{}: the policies cannot be read: {error}; correct `local` of [policy] in the configuration", .path.display())]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error("no policy in {}: write one with the ending .cedar, or leave [policy] out of the configuration", .0.display())]
    Nothing(PathBuf),
    #[error("{0}\n(`sotto policy check` tells the same, `sotto policy schema` what a policy may speak of)")]
    Faults(#[from] Faults),
}

/// The layers that the configuration names, checked.
pub fn policies(config: &Config) -> Result<Layers, PolicyError> {
    let mut layers = Layers::new(config.consortium_required);
    let Some(path) = &config.local_policies else {
        return Ok(layers);
    };
    let texts = proto::texts::read(path, "cedar").map_err(|(path, error)| PolicyError::Unreadable { path, error })?;
    if texts.is_empty() {
        return Err(PolicyError::Nothing(path.clone()));
    }
    let source = |(path, text): (PathBuf, String)| Source {
        name: path.display().to_string(),
        text,
    };
    let local = Policies::local(&config.name, texts.into_iter().map(source).collect())?;
    tracing::info!(policies = local.ids().count(), hash = %local.hash(), "local policies");
    if !local.permits_something() {
        tracing::warn!("no local policy permits anything: every request will be refused");
    }
    // Unwrap safety: the first of its layer supersedes nothing.
    layers.install(local).expect("no local layer is there yet");
    Ok(layers)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn with(files: &[(&str, &str)]) -> Result<Layers, PolicyError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("policies")).unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join("policies").join(name), text).unwrap();
        }
        policies(&configuration(folder.path()))
    }

    fn configuration(folder: &Path) -> Config {
        let text = include_str!("../participant.example.toml").replace("# [policy]\n# local", "[policy]\nlocal");
        Config::parse(&text, "p.toml", folder, |_| None).unwrap()
    }

    #[test]
    fn a_good_folder_is_the_local_layer_and_a_bad_one_stops_the_agent_with_file_and_line() {
        let day = "@id(\"day\")\npermit (principal, action, resource) when { context.time.hour > 6 };\n";
        let layers = with(&[("day.cedar", day), ("notes.txt", "not a policy")]).unwrap();
        assert_eq!(
            layers
                .iter()
                .flat_map(Policies::ids)
                .map(|(id, _, _)| id)
                .collect::<Vec<_>>(),
            ["day"]
        );

        let error = with(&[("day.cedar", &day.replace("hour", "our"))])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("policies/day.cedar:2: policy `day` does not fit"),
            "{error}"
        );
        let error = with(&[("day.cedar", day), ("night.cedar", "")])
            .unwrap_err()
            .to_string();
        assert!(error.contains("night.cedar: no policy"), "{error}");
        assert!(matches!(with(&[("notes.txt", day)]), Err(PolicyError::Nothing(_))));
        let nowhere = policies(&configuration(Path::new("/nonexistent"))).unwrap_err();
        assert!(matches!(&nowhere, PolicyError::Unreadable { .. }), "{nowhere}");
    }
}
