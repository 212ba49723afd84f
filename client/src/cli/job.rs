//! `sotto job`: questions that were asked from here. The list is kept beside the identity (the last hundred, mode 0600);
//! the coordinator knows whether they were answered.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use super::query::print;
use super::remote::{Remote, Shown};
use super::wait::{Noun, describe, wait};
use crate::answer::Answer;
use crate::client::{Event, now_ms};
use crate::output::{Kind, Sheet};
use crate::profile::Profile;
use crate::released::Released;
use crate::{Client, Problem};

const KEPT: usize = 100;
/// Hex digits of a whole id.
const FULL_ID: usize = 32;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  sotto job                             what was asked from here
  sotto job show 3f9c..                 where it is, and what it waits for
  sotto job watch 3f9c..                wait for its answer
  sotto job cancel 3f9c..               what was charged stays charged")]
pub struct Job {
    #[command(subcommand)]
    act: Option<Act>,
    /// How many to list, newest first
    #[arg(long, default_value_t = 20)]
    limit: usize,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Where a job is, and what it waits for
    Show(Show),
    /// Wait for a job's answer
    Watch(Watch),
    /// Give a job up
    Cancel(Cancel),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto job watch 3f9c2b6e8d0a4f1199aa55bb66cc77dd --timeout 60")]
struct Watch {
    id: String,
    /// Seconds to wait; the job goes on after that
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto job show 3f9c2b6e8d0a4f1199aa55bb66cc77dd")]
struct Show {
    id: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto job cancel 3f9c2b6e8d0a4f1199aa55bb66cc77dd")]
struct Cancel {
    id: String,
    #[command(flatten)]
    remote: Remote,
}

impl Job {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        match self.act {
            Some(Act::Watch(watch)) => {
                let (mut client, profile) = watch.remote.connect().await?;
                let id = named(&mut client, &profile, &watch.id).await?;
                let answer = wait(&mut client, Noun::Job, &id, watch.timeout.map(Duration::from_secs)).await?;
                print(&Answer::of(*answer)?, &watch.shown, json)
            }
            Some(Act::Show(show)) => {
                let (mut client, profile) = show.remote.connect().await?;
                let id = named(&mut client, &profile, &show.id).await?;
                let mut events = client.watch(&id).await?;
                let (phase, told) = match events.next().await? {
                    Some(Event::Progress(progress)) => (progress.phase.clone(), describe(&progress)),
                    Some(Event::Released(_)) => (
                        "released".to_owned(),
                        "released: `sotto release show` prints it".to_owned(),
                    ),
                    Some(Event::Failed(problem)) => return Err(problem),
                    None => (
                        "unknown".to_owned(),
                        "the coordinator is stopping: ask again".to_owned(),
                    ),
                };
                match json {
                    true => println!("{}", serde_json::json!({ "job": id, "phase": phase, "says": told })),
                    false => println!("{told}"),
                }
                Ok(())
            }
            Some(Act::Cancel(cancel)) => {
                let (mut client, profile) = cancel.remote.connect().await?;
                let id = named(&mut client, &profile, &cancel.id).await?;
                client.cancel(&id).await?;
                match json {
                    true => println!("{}", serde_json::json!({ "cancelled": id })),
                    false => println!("cancelled {id}"),
                }
                Ok(())
            }
            None => self.list(json).await,
        }
    }

    async fn list(self, json: bool) -> Result<(), Problem> {
        let (mut client, profile) = self.remote.connect().await?;
        let released = client.releases(KEPT as u32).await?;
        let answered: Vec<String> = released.iter().map(|answer| answer.id()).collect();
        let mut sheet = Sheet::new([
            ("job", Kind::Text),
            ("asked", Kind::Text),
            ("state", Kind::Text),
            ("dataset", Kind::Text),
            ("question", Kind::Text),
        ]);
        for note in notes(&profile).into_iter().rev().take(self.limit) {
            let state = match answered.contains(&note.job) {
                true => "answered".to_owned(),
                false => state(&mut client, &note.job).await.0,
            };
            let asked = crate::released::minute(note.asked_ms);
            sheet.push([
                note.job.into(),
                asked.into(),
                state.into(),
                note.dataset.into(),
                note.sql.into(),
            ]);
        }
        self.shown.target(json)?.write(&sheet)
    }
}

/// The job that these first digits name: of those asked from here, or of those that were answered.
pub async fn named(client: &mut Client, profile: &Profile, digits: &str) -> Result<String, Problem> {
    let digits = &digits.trim_end_matches('.').to_ascii_lowercase();
    if digits.is_empty() {
        return Err(Problem::usage("no job is named: expected its first digits").remedy("`sotto job` lists them"));
    }
    if digits.len() >= FULL_ID {
        return Ok(digits.to_owned());
    }
    let mut found: BTreeSet<String> = notes(profile).into_iter().map(|note| note.job).collect();
    found.retain(|job| job.starts_with(digits));
    if found.is_empty() {
        let answered = client.releases(KEPT as u32).await?;
        found.extend(answered.iter().map(Released::id).filter(|job| job.starts_with(digits)));
    }
    one_of(&found, digits)
}

fn one_of(found: &BTreeSet<String>, digits: &str) -> Result<String, Problem> {
    let all: Vec<&str> = found.iter().map(String::as_str).collect();
    match all.as_slice() {
        [job] => Ok((*job).to_owned()),
        [] => Err(Problem::usage(format!("no job of yours begins with {digits}")).remedy("`sotto job` lists them")),
        several => {
            let text = format!(
                "{} jobs of yours begin with {digits}: {}",
                several.len(),
                several.join(", ")
            );
            Err(Problem::usage(text).remedy("give more digits"))
        }
    }
}

/// How long the coordinator may take to say how a job stands.
const SAID: Duration = Duration::from_millis(500);

/// The first thing that the coordinator says of a job: its end, or where it is; and the rounds that it has behind it, if it is open.
pub(super) async fn state(client: &mut Client, job: &str) -> (String, u32) {
    let Ok(mut events) = client.watch(job).await else {
        return ("not known to the coordinator".to_owned(), 0);
    };
    match tokio::time::timeout(SAID, events.next()).await {
        Ok(Ok(Some(Event::Failed(problem)))) => (format!("failed: {}", problem.code), problem.charged),
        Ok(Ok(Some(Event::Progress(progress)))) => (progress.phase, progress.round),
        Ok(Ok(Some(Event::Released(_)))) => ("answered".to_owned(), 0),
        _ => ("open".to_owned(), 0),
    }
}

/// A job that was asked from here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    job: String,
    pub dataset: String,
    /// Of a question; of a run `train ..`.
    pub sql: String,
    pub asked_ms: u64,
}

/// What is noted of a job, if it was asked from here.
pub(super) fn note_of(profile: &Profile, job: &str) -> Option<Note> {
    notes(profile).into_iter().find(|note| note.job == job)
}

fn file(profile: &Profile) -> PathBuf {
    profile.identity.join("jobs.json")
}

fn notes(profile: &Profile) -> Vec<Note> {
    fs::read(file(profile))
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

/// Jobs (and their datasets) whose question starts like this, newest first.
pub fn noted(profile: &Profile, start: &str) -> Vec<(String, String)> {
    let notes = notes(profile).into_iter().rev();
    notes
        .filter(|note| note.sql.starts_with(start))
        .map(|note| (note.job, note.dataset))
        .collect()
}

/// Notes a job. A note that cannot be written is no reason to lose the answer.
pub fn remember(profile: &Profile, job: &str, dataset: &str, sql: &str) {
    let mut notes = notes(profile);
    notes.retain(|note| note.job != job);
    notes.push(Note {
        job: job.to_owned(),
        dataset: dataset.to_owned(),
        sql: sql.to_owned(),
        asked_ms: now_ms(),
    });
    let kept = &notes[notes.len().saturating_sub(KEPT)..];
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file(profile))
        .and_then(|mut file| file.write_all(&serde_json::to_vec(kept).unwrap_or_default()));
    if let Err(error) = written {
        eprintln!("note: {}: {error}", file(profile).display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_digits_name_a_job_or_the_jobs_that_they_could_mean() {
        let found: BTreeSet<String> = ["abc1", "abc2"].map(str::to_owned).into();
        let several = one_of(&found, "abc").unwrap_err();
        assert!(several.message.contains("abc1, abc2"), "{several}");
        assert_eq!(one_of(&["abc1".to_owned()].into(), "ab").unwrap(), "abc1");
        assert!(one_of(&BTreeSet::new(), "ab").unwrap_err().remedy.is_some());
    }

    #[test]
    fn the_last_hundred_jobs_are_remembered_once_each() {
        let folder = tempfile::tempdir().unwrap();
        let profile = Profile {
            coordinator: String::new(),
            identity: folder.path().to_owned(),
            purpose: None,
        };
        for i in 0..105 {
            remember(&profile, &format!("{i:032x}"), "heart", "SELECT 1");
        }
        remember(&profile, &format!("{:032x}", 104), "heart", "SELECT 1");
        let notes = notes(&profile);
        assert_eq!(notes.len(), KEPT);
        assert_eq!(notes.last().unwrap().job, format!("{:032x}", 104));
    }
}
