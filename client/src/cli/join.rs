//! The part of `sotto enroll` that needs no files by hand: tokens, the mailbox, rotation, and the end of a membership.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::enroll::RoleName;
use super::interrupted;
use crate::{Problem, enroll};

const LOOK: Duration = Duration::from_secs(2);
/// Between two attempts at a coordinator that does not answer.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto enroll token --consortium ./consortium --role agent --name north \\
      --organisation \"North Hospital\"
  sotto enroll token --consortium ./consortium --role analyst --name ann \\
      --organisation \"Institute of Cardiology\" --valid 2h

Send it to that one person by a confidential channel: whoever has it may join under this name, once. It carries the governance key and
the authority that the newcomer pins, so nobody reads fingerprints out.")]
pub struct Token {
    /// Folder that `sotto init` made
    #[arg(long)]
    consortium: PathBuf,
    #[arg(long)]
    role: RoleName,
    /// Short name: lower-case letters, digits, hyphens
    #[arg(long)]
    name: String,
    /// The organisation's full name
    #[arg(long)]
    organisation: String,
    /// For how long it may be used: 30m, 24h, 7d; 30 days at most
    #[arg(long, default_value = "24h", value_parser = duration)]
    valid: Duration,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto enroll serve --consortium ./consortium --coordinator hub.example.org:7444
  sotto enroll serve --consortium ./consortium --coordinator hub.example.org:7444 --once    answers what waits now, for scripts

Answers newcomers with tokens and members that rotate their keys, and hands the coordinator every roster that is signed in the folder
meanwhile. Ctrl-C ends it; what was answered stays answered. No private key leaves the folder.")]
pub struct Serve {
    /// Folder that `sotto init` made
    #[arg(long)]
    consortium: PathBuf,
    /// host:port of the coordinator's mailbox (`enroll_listen`)
    #[arg(long)]
    coordinator: String,
    /// Answer what waits now, and stop
    #[arg(long)]
    once: bool,
    /// Of a rotation: how many days the old transport key still counts
    #[arg(long, default_value_t = 7, value_name = "DAYS")]
    overlap: u32,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto enroll rotate --dir ./identity --coordinator hub.example.org:7444     asks, waits for `sotto enroll serve`, installs
  sotto enroll rotate --dir ./identity                                        writes rotation.request.json, to be approved as a file

The signing key stays. A running agent or coordinator notices the new certificate within seconds; no call and no round is lost, and for some
days the old key still counts.")]
pub struct Rotate {
    /// The member's identity folder
    #[arg(long)]
    dir: PathBuf,
    /// host:port of the coordinator's mailbox
    #[arg(long, conflicts_with = "output")]
    coordinator: Option<String>,
    /// Where the request goes [default: DIR/rotation.request.json]
    #[arg(short, long)]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto enroll remove --role analyst --name ann --consortium ./consortium
  sotto enroll remove --role agent --name north --consortium ./consortium \\
      --coordinator hub.example.org:7444

Signs the next roster without the member. As soon as the coordinator has it (by a running `sotto enroll serve`, with --coordinator, or as a
file), the member's open streams end and its calls are refused.")]
pub struct Remove {
    #[arg(long)]
    role: RoleName,
    #[arg(long)]
    name: String,
    /// Folder that `sotto init` made
    #[arg(long)]
    consortium: PathBuf,
    /// host:port of the coordinator's mailbox: hand the roster in at once
    #[arg(long)]
    coordinator: Option<String>,
}

impl Token {
    pub fn run(self, json: bool) -> Result<(), Problem> {
        let valid_ms = u64::try_from(self.valid.as_millis()).unwrap_or(u64::MAX);
        let role = self.role.into();
        let token = enroll::token(&self.consortium, role, &self.name, &self.organisation, valid_ms)?;
        let (text, expires_at_ms) = (token.text(), token.terms.expires_at_ms);
        if json {
            println!("{}", json!({ "token": text, "expiresAtMs": expires_at_ms }));
            return Ok(());
        }
        println!("{text}");
        eprintln!(
            "For {role} `{}` alone, once. Send it by a confidential channel; the newcomer runs",
            self.name
        );
        eprintln!("  sotto enroll request --token TOKEN --coordinator HOST:PORT --dir ./identity");
        eprintln!(
            "while `sotto enroll serve --consortium {}` runs here.",
            self.consortium.display()
        );
        Ok(())
    }
}

impl Serve {
    pub fn run(self, json: bool) -> Result<(), Problem> {
        wait_for(async {
            let serving = self.keep_answering(json);
            if self.once {
                return serving.await;
            }
            tokio::select! {
                ended = serving => ended,
                _ = tokio::signal::ctrl_c() => Ok(()),
            }
        })
    }

    async fn keep_answering(&self, json: bool) -> Result<(), Problem> {
        let mut wait = LOOK;
        loop {
            let ended = self.session(json, &mut wait).await;
            match ended {
                Ok(()) => return Ok(()),
                Err(problem) if self.once || problem.exit != crate::Exit::Unreachable => return Err(problem),
                Err(problem) => eprintln!("{problem}\n  again in {} s", wait.as_secs()),
            }
            tokio::time::sleep(wait).await; // until the coordinator is back
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Answers over one connection until it breaks.
    async fn session(&self, json: bool, wait: &mut Duration) -> Result<(), Problem> {
        let mut serving = enroll::Serving::connect(&self.consortium, &self.coordinator, days(self.overlap)).await?;
        if !json {
            println!("Answering what comes to {}.", self.coordinator);
        }
        loop {
            for answered in serving.look().await? {
                match (json, &answered.refused) {
                    (true, code) => println!("{}", json!({ "member": answered.who, "refused": code })),
                    (false, None) => println!("{}: approved", answered.who),
                    (false, Some(code)) => println!("{}: refused, {code}", answered.who),
                }
            }
            if self.once {
                return Ok(());
            }
            *wait = LOOK;
            tokio::time::sleep(LOOK).await; // newcomers wait for people; two seconds are nothing
        }
    }
}

impl Rotate {
    pub fn run(self, json: bool) -> Result<(), Problem> {
        if let Some(address) = &self.coordinator {
            let installed = wait_for(interruptible(enroll::rotate_with(
                &self.dir,
                address,
                &mut telling(json),
            )))?;
            return say_installed(&installed, &self.dir, json);
        }
        let made = enroll::rotate(&self.dir, self.output.as_deref())?;
        if json {
            println!("{}", json!({ "request": made.file, "fingerprint": made.fingerprint }));
            return Ok(());
        }
        println!(
            "Send {} to the governance holder; nobody needs to compare",
            made.file.display()
        );
        println!(
            "fingerprints, the enrolled signing key signed it. Then `sotto enroll install APPROVAL --dir {}`.",
            self.dir.display()
        );
        Ok(())
    }
}

impl Remove {
    pub fn run(self, json: bool) -> Result<(), Problem> {
        let version = enroll::remove(&self.consortium, self.role.into(), &self.name)?;
        if let Some(address) = &self.coordinator {
            wait_for(async {
                let mut serving = enroll::Serving::connect(&self.consortium, address, enroll::OVERLAP_MS).await?;
                serving.look().await
            })?;
        }
        match json {
            true => println!(
                "{}",
                json!({ "removed": self.name, "rosterVersion": version, "handedIn": self.coordinator.is_some() })
            ),
            false => println!("Removed {}; roster version {version}.", self.name),
        }
        if !json && self.coordinator.is_none() {
            println!(
                "It is in force when the coordinator has it: `sotto enroll serve` hands it in, or give roster.json to its operator."
            );
        }
        Ok(())
    }
}

/// `sotto enroll request` with a token.
pub fn with_token(token: &str, asked: &enroll::Asked, folder: &Path, address: &str, json: bool) -> Result<(), Problem> {
    let token = governance::join::Token::parse(token).map_err(enroll::EnrollError::from)?;
    let mut tell = telling(json);
    let installed = wait_for(interruptible(enroll::join(&token, asked, folder, address, &mut tell)))?;
    say_installed(&installed, folder, json)
}

fn say_installed(installed: &enroll::Installed, folder: &Path, json: bool) -> Result<(), Problem> {
    let (member, version) = (&installed.member, installed.roster_version);
    match json {
        true => println!(
            "{}",
            json!({ "member": member, "folder": folder, "rosterVersion": version })
        ),
        false => println!("Installed {member} in {}, roster version {version}.", folder.display()),
    }
    Ok(())
}

/// Progress for people, on standard error.
fn telling(json: bool) -> impl FnMut(&str) {
    move |step| {
        if !json {
            eprintln!("  {step}");
        }
    }
}

async fn interruptible<T>(doing: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    tokio::select! {
        done = doing => done,
        _ = tokio::signal::ctrl_c() => Err(interrupted("interrupted; the same command goes on")),
    }
}

fn wait_for<T>(doing: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Problem::local("cannot start", error))?;
    runtime.block_on(doing)
}

/// Days in milliseconds.
pub fn days(days: u32) -> u64 {
    u64::from(days) * 24 * 3_600_000
}

/// `30m`, `24h`, `7d`.
fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}`: expected a number with m, h or d, such as 24h");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(bad)?;
    let number: u64 = number.parse().map_err(|_| bad())?;
    let seconds = match unit {
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(bad()),
    };
    let seconds = number
        .checked_mul(seconds)
        .filter(|seconds| *seconds > 0)
        .ok_or_else(bad)?;
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validity_is_a_number_and_a_unit() {
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(duration("7d"), duration("168h"));
        for bad in ["", "h", "24", "0h", "-1h", "2w", "1.5h", "é"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
