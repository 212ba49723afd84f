//! The analyst's profile: where the coordinator is and which identity speaks, so that nobody types addresses and
//! folders.
//!
//! One small TOML file, `$XDG_CONFIG_HOME/sottovoce/profile.toml` unless `--profile` or `SOTTO_PROFILE` names another.
//! It holds no secret: the keys stay in the identity folder that it points to.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Exit, Problem};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// `host:port` of the coordinator.
    pub coordinator: String,
    /// Folder made by `sotto enroll`; relative to the profile's own folder.
    pub identity: PathBuf,
    /// Purpose of a question that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
}

impl Profile {
    pub fn load(path: &Path) -> Result<Self, Problem> {
        let text = fs::read_to_string(path).map_err(|error| {
            Problem::new(
                Exit::Local,
                "SOTTO-7003",
                format!("no profile at {}: {error}", path.display()),
            )
            .remedy("`sotto profile --coordinator HOST:PORT --identity DIR` writes one; `sotto demo` needs none")
        })?;
        let mut profile: Self = toml::from_str(&text).map_err(|error| {
            let line = error
                .span()
                .map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            Problem::new(
                Exit::Local,
                "SOTTO-7004",
                format!("{} line {line}: {}", path.display(), error.message()),
            )
            .remedy("coordinator = \"host:port\", identity = \"folder\" and optionally purpose = \"research\"")
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        profile.identity = folder.join(&profile.identity);
        Ok(profile)
    }

    /// Writes the profile; an existing one only if `replace` is set.
    pub fn save(&self, path: &Path, replace: bool) -> Result<(), Problem> {
        if path.exists() && !replace {
            return Err(
                Problem::new(Exit::Local, "SOTTO-7101", format!("{} exists already", path.display()))
                    .remedy("--force replaces it; --profile FILE writes another"),
            );
        }
        let text = toml::to_string(self).map_err(|error| Problem::local(path.display(), error))?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| Problem::local(folder.display(), error))?;
        }
        fs::write(path, text).map_err(|error| Problem::local(path.display(), error))
    }
}

/// Where the profile lies: the flag (which `SOTTO_PROFILE` sets too), or the user's configuration folder.
pub fn locate(flag: Option<&Path>) -> Result<PathBuf, Problem> {
    if let Some(path) = flag {
        return Ok(path.to_owned());
    }
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CONFIG_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".config")))
        .map(|folder| folder.join("sottovoce").join("profile.toml"))
        .ok_or_else(|| {
            Problem::new(
                Exit::Local,
                "SOTTO-7003",
                "no profile: neither XDG_CONFIG_HOME nor HOME is set",
            )
            .remedy("--profile FILE")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Profile {
        Profile {
            coordinator: "127.0.0.1:7443".into(),
            identity: "analyst".into(),
            purpose: Some("research".into()),
        }
    }

    #[test]
    fn a_saved_profile_is_read_back_with_its_identity_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep").join("profile.toml");
        profile().save(&path, false).unwrap();
        let read = Profile::load(&path).unwrap();
        assert_eq!(read.identity, folder.path().join("deep").join("analyst"));
        assert_eq!(read.coordinator, "127.0.0.1:7443");
        assert_eq!(profile().save(&path, false).unwrap_err().code, "SOTTO-7101");
        profile().save(&path, true).unwrap();
    }

    #[test]
    fn a_wrong_profile_names_its_line_and_a_missing_one_its_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.toml");
        let missing = Profile::load(&path).unwrap_err();
        assert_eq!(missing.code, "SOTTO-7003");
        assert!(missing.remedy.unwrap().contains("sotto profile"));
        fs::write(&path, "coordinator = \"x:1\"\nidentity = \"a\"\nepsilon = 1\n").unwrap();
        let wrong = Profile::load(&path).unwrap_err();
        assert_eq!(wrong.code, "SOTTO-7004");
        assert!(wrong.message.contains("line 3"), "{}", wrong.message);
    }

    #[test]
    fn the_flag_decides_where_the_profile_lies() {
        assert_eq!(locate(Some(Path::new("x.toml"))).unwrap(), Path::new("x.toml"));
    }
}
