//! The folder of a local consortium. Identities are made once and kept; configurations are written anew at each start.
//!
//! ```text
//! consortium/                     the governance holder's folder (`sotto init`)
//! coordinator/identity/           and coordinator.toml, coordinator.sqlite
//! participants/NAME/identity/     and participant.toml, participant.sqlite
//! analyst/                        the analyst's identity
//! profile.toml                    for `sotto --profile`
//! logs/NAME.log
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use proto::identity::Role;
use toml::{Table, Value};

use super::spec::{Site, Spec};
use crate::Problem;
use crate::enroll::{self, Founding};
use crate::profile::Profile;

/// Name of the coordinator of a local consortium.
pub const COORDINATOR: &str = "coordinator";
const GENERATED: &str = "# Written by `sotto` at each start of this local consortium; changes are lost.\n";

/// A prepared folder.
#[derive(Clone, Debug)]
pub struct State {
    folder: PathBuf,
}

impl State {
    /// Makes the folder and whatever identity is missing in it.
    pub fn prepare(folder: &Path, spec: &Spec) -> Result<Self, Problem> {
        let folder = std::path::absolute(folder).map_err(|error| Problem::local(folder.display(), error))?;
        let state = Self { folder };
        fs::create_dir_all(state.folder.join("logs")).map_err(|e| Problem::local(state.folder.display(), e))?;
        if !state.consortium().exists() {
            let founding = Founding {
                consortium: spec.name.clone(),
                colluders: spec.colluders,
                min_cohort: spec.min_cohort,
                authority: None,
            };
            enroll::init(&state.consortium(), &founding)?;
        }
        state.enrol(spec)?;
        Ok(state)
    }

    /// Enrols everybody who is not a member yet, all at once, and gives the newest roster to all.
    fn enrol(&self, spec: &Spec) -> Result<(), Problem> {
        let mut members = vec![(
            Role::Coordinator,
            COORDINATOR.to_owned(),
            format!("{} coordinator", spec.name),
        )];
        members.push((
            Role::Analyst,
            spec.analyst.name.clone(),
            spec.analyst.organisation.clone(),
        ));
        for steward in &spec.stewards {
            members.push((Role::Steward, steward.name.clone(), steward.organisation.clone()));
        }
        for site in &spec.participants {
            members.push((Role::Agent, site.name.clone(), site.organisation.clone()));
        }
        let mut requests = Vec::new();
        for (role, name, organisation) in &members {
            let folder = self.identity(*role, name);
            if !folder.join("member.json").exists() {
                requests.push(enroll::request(*role, name, organisation, &folder, None)?.file);
            }
        }
        if !requests.is_empty() {
            enroll::approve(&self.consortium(), &requests, None, false)?;
        }
        let roster = self.consortium().join("roster.json");
        for (role, name, _) in &members {
            let folder = self.identity(*role, name);
            if folder.join("certificate.pem").exists() {
                fs::copy(&roster, folder.join("roster.json")).map_err(|e| Problem::local(roster.display(), e))?;
            } else {
                enroll::install(&folder.join("approval.json"), &folder, None, Some(&roster))?;
            }
        }
        Ok(())
    }

    pub fn consortium(&self) -> PathBuf {
        self.folder.join("consortium")
    }

    pub fn identity(&self, role: Role, name: &str) -> PathBuf {
        match role {
            Role::Coordinator => self.folder.join("coordinator").join("identity"),
            Role::Agent => self.folder.join("participants").join(name).join("identity"),
            Role::Analyst => self.folder.join("analyst"),
            Role::Steward => self.folder.join("stewards").join(name),
        }
    }

    pub fn profile(&self) -> PathBuf {
        self.folder.join("profile.toml")
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{name}.log"))
    }

    /// Where a participant's operator speaks to it.
    pub fn socket(&self, name: &str) -> PathBuf {
        self.folder.join("participants").join(name).join("participant.sock")
    }

    pub fn write_coordinator(&self, spec: &Spec) -> Result<PathBuf, Problem> {
        let config = Table::from_iter([
            ("listen".to_owned(), Value::String(spec.listen.to_string())),
            ("identity".to_owned(), Value::String("identity".to_owned())),
            ("store".to_owned(), Value::String("coordinator.sqlite".to_owned())),
            ("roster".to_owned(), text(&self.consortium().join("roster.json"))),
        ]);
        write(&self.folder.join("coordinator").join("coordinator.toml"), &config)
    }

    /// Keys of the stewards of an organisation, as its agent lists them.
    fn stewards_of(&self, spec: &Spec, organisation: &str) -> Result<Value, Problem> {
        let own = spec
            .stewards
            .iter()
            .filter(|steward| steward.organisation == organisation);
        let key = |steward: &super::spec::Steward| {
            let folder = self.identity(Role::Steward, &steward.name);
            Ok(Value::String(
                enroll::signing_key(&folder.join("signing.key"))?.public().to_string(),
            ))
        };
        own.map(key).collect::<Result<Vec<_>, Problem>>().map(Value::Array)
    }

    pub fn write_participant(&self, spec: &Spec, site: &Site, coordinator: &str) -> Result<PathBuf, Problem> {
        let mut config = Table::from_iter([
            ("name".to_owned(), Value::String(site.name.clone())),
            ("coordinator".to_owned(), Value::String(coordinator.to_owned())),
            ("identity".to_owned(), Value::String("identity".to_owned())),
            ("store".to_owned(), Value::String("participant.sqlite".to_owned())),
            ("stewards".to_owned(), self.stewards_of(spec, &site.organisation)?),
        ]);
        config.extend(site.config.clone());
        write(
            &self
                .folder
                .join("participants")
                .join(&site.name)
                .join("participant.toml"),
            &config,
        )
    }

    pub fn write_profile(&self, spec: &Spec, coordinator: &str) -> Result<Profile, Problem> {
        let profile = Profile {
            coordinator: coordinator.to_owned(),
            identity: PathBuf::from("analyst"),
            purpose: spec.analyst.purpose.clone(),
        };
        profile.save(&self.profile(), true)?;
        Profile::load(&self.profile())
    }
}

fn text(path: &Path) -> Value {
    Value::String(path.to_string_lossy().into_owned())
}

fn write(path: &Path, config: &Table) -> Result<PathBuf, Problem> {
    let text = toml::to_string(config).map_err(|error| Problem::local(path.display(), error))?;
    fs::write(path, format!("{GENERATED}{text}")).map_err(|error| Problem::local(path.display(), error))?;
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        let text = include_str!("../../examples/clinics/consortium.toml");
        Spec::parse(text, "consortium.toml", Path::new("/data")).unwrap()
    }

    #[test]
    fn a_state_folder_is_made_once_and_a_new_participant_joins_it_later() {
        let folder = tempfile::tempdir().unwrap();
        let mut spec = spec();
        let state = State::prepare(folder.path(), &spec).unwrap();
        let key = state.identity(Role::Agent, &spec.participants[0].name).join("tls.key");
        let before = fs::read(&key).unwrap();

        let mut newcomer = spec.participants[0].clone();
        newcomer.name = "newcomer".into();
        newcomer.organisation = "Newcomer Hospital".into();
        spec.participants.push(newcomer);
        let state = State::prepare(folder.path(), &spec).unwrap();
        assert_eq!(fs::read(&key).unwrap(), before, "keys are kept");
        for site in &spec.participants {
            let identity = proto::identity::Identity::load(&state.identity(Role::Agent, &site.name)).unwrap();
            assert_eq!(identity.roster.version, 2);
            assert_eq!(identity.roster.agents.len(), spec.participants.len());
        }
    }
}
