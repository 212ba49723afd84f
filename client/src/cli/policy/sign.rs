//! `sotto policy sign`: a layer as it is published, checked before it is signed. Names of folders stay here: the bundle carries
//! the files' own names.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use governance::VerifyingKey;
use policy::{Bundle, BundleError, Layer, Policies, SignedBundle, Source};
use serde_json::json;

use super::{invalid, sources};
use crate::Problem;
use crate::enroll::{files, signing_key};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto policy sign --layer consortium --of four-hospitals --version 1 --key consortium/governance.key -o consortium-1.json consortium.cedar
  sotto policy sign --layer owner --of \"Cleveland Clinic\" --version 4 --after owner-3.json --key identity/signing.key -o owner-4.json policies/

Governance signs the consortium's layer, a steward of an organisation its owner's layer. The local layer is not signed: the
agent's configuration names its files. With --after, the version before must be signed by the same key and be older.")]
pub(super) struct Sign {
    /// Files, or folders of .cedar files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[arg(long)]
    layer: Signed,
    /// The consortium, or the organisation, whose layer it is
    #[arg(long)]
    of: String,
    /// Counted from 1; agents take only what is newer than what they have
    #[arg(long)]
    version: u64,
    /// The private key's file: 64 hexadecimal digits
    #[arg(long)]
    key: PathBuf,
    /// The bundle that this one follows
    #[arg(long)]
    after: Option<PathBuf>,
    /// Where the bundle goes; it must not exist
    #[arg(short, long)]
    output: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Signed {
    Consortium,
    Owner,
}

impl Sign {
    pub(super) fn run(self, json: bool) -> Result<(), Problem> {
        let layer = match self.layer {
            Signed::Consortium => Layer::Consortium,
            Signed::Owner => Layer::Owner,
        };
        let refused = |error: BundleError| invalid(error.to_string());
        let bundle = Bundle {
            layer,
            of: self.of.clone(),
            version: self.version,
            sources: sources(&self.files)?,
        };
        // First under the names that were given, so that a fault is found where it stands.
        Policies::check(bundle.clone()).map_err(|faults| invalid(faults.to_string()))?;
        let bundle = Bundle {
            sources: bundle.sources.into_iter().map(of_its_own_name).collect(),
            ..bundle
        };
        let key = signing_key(&self.key)?;
        if let Some(path) = &self.after {
            let before = read(path, layer, &self.of, key.public())?;
            bundle.supersedes(before.bundle()).map_err(refused)?;
        }
        let signed = bundle.sign(&key).map_err(refused)?;
        let bytes = serde_json::to_vec_pretty(&signed).map_err(|error| Problem::local(self.output.display(), error))?;
        files::create(&self.output, files::PUBLIC, &bytes)?;
        let (hash, by) = (bundle.hash(), key.public().to_string());
        match json {
            true => println!(
                "{}",
                json!({
                    "bundle": self.output, "layer": layer, "of": self.of, "version": self.version, "hash": hash, "signed_by": by,
                })
            ),
            false => println!(
                "Signed version {} of the {layer} layer of `{}` with key {by}: {}\nhash {hash}",
                self.version,
                self.of,
                self.output.display()
            ),
        }
        Ok(())
    }
}

/// A bundle that was signed before.
fn read(path: &Path, layer: Layer, of: &str, key: VerifyingKey) -> Result<Policies, Problem> {
    let bytes = std::fs::read(path).map_err(|error| Problem::local(path.display(), error))?;
    let signed = SignedBundle::parse(&bytes).and_then(|signed| signed.verify(layer, of, &[key]));
    signed.map_err(|error| invalid(format!("{}: {error}", path.display())))
}

fn of_its_own_name(source: Source) -> Source {
    let name = Path::new(&source.name)
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    Source {
        name: name.unwrap_or(source.name),
        text: source.text,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::saved;
    use super::*;

    #[test]
    fn what_is_signed_verifies_and_follows_only_what_is_older() {
        let folder = tempfile::tempdir().unwrap();
        let policies = saved(
            folder.path(),
            "owner.cedar",
            "@id(\"open\") permit (principal, action, resource);",
        );
        let key = saved(folder.path(), "signing.key", &hex::encode([7; 32]));
        let sign = |version: u64, after: Option<&str>, output: &str| {
            Sign {
                files: vec![policies.clone()],
                layer: Signed::Owner,
                of: "Cleveland Clinic".into(),
                version,
                key: key.clone(),
                after: after.map(|name| folder.path().join(name)),
                output: folder.path().join(output),
            }
            .run(true)
        };
        sign(3, None, "owner-3.json").unwrap();
        sign(4, Some("owner-3.json"), "owner-4.json").unwrap();
        let public = signing_key(&key).unwrap().public();
        let signed = read(
            &folder.path().join("owner-4.json"),
            Layer::Owner,
            "Cleveland Clinic",
            public,
        )
        .unwrap();
        assert_eq!(signed.version(), 4);
        assert_eq!(
            signed.bundle().sources[0].name,
            "owner.cedar",
            "no path of this machine travels"
        );

        let rolled_back = sign(3, Some("owner-4.json"), "other.json").unwrap_err();
        assert!(
            rolled_back.message.contains("rolled back owner layer: version 4"),
            "{rolled_back}"
        );
        assert_eq!(
            sign(5, None, "owner-4.json").unwrap_err().code,
            "SOTTO-7101",
            "nothing is overwritten"
        );
        assert_eq!(sign(0, None, "other.json").unwrap_err().code, "SOTTO-7601");
        std::fs::write(&policies, "permit (principal, action, resource);").unwrap();
        let faulty = sign(6, None, "other.json").unwrap_err();
        assert!(
            faulty.message.contains("owner.cedar:1: a policy without @id"),
            "{faulty}"
        );
        assert!(!folder.path().join("other.json").exists());
    }
}
