//! `sotto grant`: who may ask what of whose data, asked for, approved on both sides, stopped and ended by id.

mod request;

use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal, stdin};

use clap::{Args, Subcommand};
use governance::ContentHash;
use governance::canonical::Real;
use governance::grant::{Action, Extent, Line, Status, Terms};
use governance::register::GrantView;
use serde_json::{Value, json};

use super::remote::{Remote, Shown};
use crate::client::now_ms;
use crate::grants::{Decided, Stop, short, status};
use crate::output::{Kind, Sheet};
use crate::released::minute;
use crate::{Client, Problem};

const DAY_MS: u64 = 86_400_000;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  sotto grant request --dataset heart --purpose DUO:0000006 --action query --epsilon 2
  sotto grant list                                  yours, or those that concern your organisation
  sotto grant approve 3f9c2b6e8d0a                  as a steward of the owner; then the requester's side
  sotto grant approve 3f9c2b6e8d0a --epsilon 1      offers less, which the requester's side must agree to
  sotto grant revoke 3f9c2b6e8d0a --note \"the study ended\"

A grant is asked for by an analyst, offered by a steward of each owner, and agreed by a steward of the analyst's
organisation, or by the analyst where it has none. Either side may suspend or revoke it at any time.")]
pub struct Grant {
    #[command(subcommand)]
    act: Option<Act>,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Ask for a grant, as an analyst
    Request(Box<request::Request>),
    /// Grants that you may see
    List(List),
    /// Terms, versions and history of one grant
    Show(Show),
    /// Approve for your side
    Approve(Box<Approve>),
    /// Hold it up until you resume it
    Suspend(Stopped),
    /// Let it go on after you suspended it
    Resume(Stopped),
    /// End it, now and for good
    Revoke(Stopped),
    /// Say that it has served its end, for good
    Complete(Stopped),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto grant list --json")]
struct List {
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto grant show 3f9c2b6e8d0a")]
struct Show {
    grant: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto grant approve 3f9c2b6e8d0a                                        shows the terms and asks
  sotto grant approve 3f9c2b6e8d0a --epsilon 1 --days 30 --columns age    a steward of the owner offers less
  sotto grant approve 3f9c2b6e8d0a..           all 64 digits, as `grant show` prints them: does not ask

The id is a hash of the terms, so the whole id approves these terms and no others.")]
struct Approve {
    grant: String,
    /// Offer no more than this
    #[arg(long)]
    epsilon: Option<f64>,
    /// Offer it for no more days from now on
    #[arg(long)]
    days: Option<u64>,
    /// Offer these columns alone
    #[arg(long, value_parser = extent)]
    columns: Option<Extent>,
    /// Offer these aggregates alone
    #[arg(long, value_parser = aggregates)]
    aggregates: Option<Extent>,
    /// Offer these purposes alone
    #[arg(long)]
    purpose: Vec<String>,
    /// Offer these actions alone
    #[arg(long, value_parser = action)]
    action: Vec<Action>,
    #[arg(long, default_value = "")]
    note: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto grant revoke 3f9c2b6e8d0a --note \"the study ended\"")]
struct Stopped {
    grant: String,
    /// Why; the other side reads it
    #[arg(long, default_value = "")]
    note: String,
    #[command(flatten)]
    remote: Remote,
}

impl Grant {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        match self.act {
            None => listed(&self.remote, &self.shown, json).await,
            Some(Act::List(list)) => listed(&list.remote, &list.shown, json).await,
            Some(Act::Request(request)) => request.run(json).await,
            Some(Act::Show(show)) => {
                let (mut client, _) = show.remote.connect().await?;
                shown(&mut client, &show.grant, json).await
            }
            Some(Act::Approve(approve)) => approve.run(json).await,
            Some(Act::Suspend(stopped)) => stopped.run(Stop::Suspend, json).await,
            Some(Act::Resume(stopped)) => stopped.run(Stop::Resume, json).await,
            Some(Act::Revoke(stopped)) => stopped.run(Stop::Revoke, json).await,
            Some(Act::Complete(stopped)) => stopped.run(Stop::Complete, json).await,
        }
    }
}

impl Approve {
    async fn run(self, json: bool) -> Result<(), Problem> {
        let (mut client, _) = self.remote.connect().await?;
        let epsilon = self.epsilon.map(|epsilon| real("epsilon", epsilon)).transpose()?;
        let until_ms = self
            .days
            .map(|days| now_ms().saturating_add(days.saturating_mul(DAY_MS)));
        let narrow = |terms: &mut Terms| {
            terms.epsilon = epsilon.unwrap_or(terms.epsilon);
            terms.until_ms = until_ms.unwrap_or(terms.until_ms);
            terms.columns = self.columns.clone().unwrap_or_else(|| terms.columns.clone());
            terms.aggregates = self.aggregates.clone().unwrap_or_else(|| terms.aggregates.clone());
            if !self.purpose.is_empty() {
                terms.purposes = self.purpose.iter().cloned().collect();
            }
            if !self.action.is_empty() {
                terms.actions = self.action.iter().copied().collect();
            }
        };
        let whole = ContentHash::from_hex(&self.grant).is_some();
        let ask = !whole && !json && stdin().is_terminal();
        let grant = match ask {
            true => confirmed(&client.decided().await?, &self.grant)?,
            false => self.grant.clone(),
        };
        let done = client.approve_grant(&grant, &self.note, narrow).await?;
        match json {
            true => println!(
                "{}",
                Value::from_iter(
                    done.iter()
                        .map(|(owner, status)| json!({ "owner": owner, "status": status }))
                )
            ),
            false => done
                .iter()
                .for_each(|(owner, status)| println!("{owner}: {}", status.spelling())),
        }
        Ok(())
    }
}

/// Shows a grant that was named by its first digits, and asks; the whole id if the answer is yes.
fn confirmed(decided: &Decided, wanted: &str) -> Result<String, Problem> {
    let view = decided.find(wanted)?;
    eprint!(
        "{}\nApprove this, or what your options leave of it? [yes/no] ",
        words(&view)
    );
    let mut answer = String::new();
    match stdin().lock().read_line(&mut answer).is_ok() && answer.trim() == "yes" {
        true => Ok(view.grant.id.to_string()),
        false => Err(Problem::usage("not approved: nothing was signed")),
    }
}

impl Stopped {
    async fn run(self, stop: Stop, json: bool) -> Result<(), Problem> {
        let (mut client, _) = self.remote.connect().await?;
        let grant = client.stop_grant(&self.grant, stop, &self.note).await?;
        shown(&mut client, &grant.to_string(), json).await
    }
}

async fn listed(remote: &Remote, shown: &Shown, json: bool) -> Result<(), Problem> {
    let (mut client, _) = remote.connect().await?;
    let decided = client.decided().await?;
    let mut sheet = Sheet::new([
        ("grant", Kind::Text),
        ("owner", Kind::Text),
        ("status", Kind::Text),
        ("requester", Kind::Text),
        ("dataset", Kind::Text),
        ("purposes", Kind::Text),
        ("epsilon", Kind::Number),
        ("until", Kind::Text),
    ]);
    for view in decided.grants() {
        for (owner, line) in &view.lines {
            let terms = line.terms();
            sheet.push([
                short(&view.grant.id).into(),
                (*owner).into(),
                standing(line).into(),
                terms.requester.as_str().into(),
                terms.dataset.as_str().into(),
                list(&terms.purposes).into(),
                crate::output::Cell::Number(terms.epsilon.get()),
                minute(terms.until_ms).into(),
            ]);
        }
    }
    shown.target(json)?.write(&sheet)
}

async fn shown(client: &mut Client, wanted: &str, json: bool) -> Result<(), Problem> {
    let decided = client.decided().await?;
    let view = decided.find(wanted)?;
    match json {
        true => println!("{:#}", as_json(&view)),
        false => print!("{}", words(&view)),
    }
    Ok(())
}

fn as_json(view: &GrantView<'_>) -> Value {
    let line = |(owner, line): &(&str, &Line)| {
        let history = line
            .history
            .iter()
            .map(|entry| json!({ "what": entry.what, "by": entry.by, "at_ms": entry.at_ms, "note": entry.note }));
        json!({
            "owner": owner, "status": status(line), "version": line.versions().len(), "terms": line.terms(),
            "held_by": line.held_by().collect::<Vec<_>>(), "approved_by": line.approvals(), "history": history.collect::<Vec<_>>(),
        })
    };
    json!({ "grant": view.grant.id, "requested": view.grant.requested, "lines": view.lines.iter().map(line).collect::<Vec<_>>() })
}

fn words(view: &GrantView<'_>) -> String {
    let asked = &view.grant.requested;
    let mut text = format!(
        "grant {}\n{} of {} asks for {}\n",
        view.grant.id, asked.requester, asked.organisation, asked.dataset
    );
    for (owner, line) in &view.lines {
        let terms = line.terms();
        text += &format!(
            "\n{owner}: {} (version {})\n  {} for {}; columns {}; aggregates {}\n  epsilon {} and delta {:e} from {} until {}\n",
            standing(line),
            line.versions().len(),
            terms
                .actions
                .iter()
                .map(|action| action.spelling())
                .collect::<Vec<_>>()
                .join(", "),
            list(&terms.purposes),
            extent_words(&terms.columns),
            extent_words(&terms.aggregates),
            terms.epsilon,
            terms.delta.get(),
            minute(terms.from_ms),
            minute(terms.until_ms),
        );
        for entry in &line.history {
            let (when, what, who) = (minute(entry.at_ms), entry.what.spelling(), &entry.by.id);
            text += format!("  {when}  {what} by {who}  {}", entry.note).trim_end();
            text.push('\n');
        }
    }
    text
}

/// Where a line stands, and that it is held up although it is not agreed yet: it would be suspended then.
fn standing(line: &Line) -> String {
    let status = status(line);
    let holders: Vec<&str> = line.held_by().collect();
    if status.is_final() || holders.is_empty() {
        return status.spelling().to_owned();
    }
    let by = holders.join(" and ");
    match status {
        Status::Suspended => format!("suspended by {by}"),
        status => format!("{}, held up by {by}", status.spelling()),
    }
}

fn list(names: &BTreeSet<String>) -> String {
    names.iter().cloned().collect::<Vec<_>>().join(", ")
}

fn extent_words(extent: &Extent) -> String {
    match extent {
        Extent::All => "all".to_owned(),
        Extent::Only(names) => list(names),
    }
}

fn extent(text: &str) -> Result<Extent, String> {
    match text {
        "all" => Ok(Extent::All),
        names => Ok(Extent::Only(
            names.split(',').map(|name| name.trim().to_owned()).collect(),
        )),
    }
}

fn aggregates(text: &str) -> Result<Extent, String> {
    match text {
        "all" => extent(text),
        names => extent(&names.to_uppercase()),
    }
}

fn action(text: &str) -> Result<Action, String> {
    Action::of_kind(text).ok_or_else(|| "expected query, train or evaluate".to_owned())
}

fn real(what: &str, value: f64) -> Result<Real, Problem> {
    Real::new(value).ok_or_else(|| Problem::usage(format!("{what} {value}: expected a finite number")))
}
