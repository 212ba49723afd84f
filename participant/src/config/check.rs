//! What makes a configuration valid. Each fault names its line and what to write instead.

use super::ConfigError;
use super::file::{DatasetFile, File, PolicyFile, PopulationFile, line_of};
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use toml::Spanned;

/// A fault's place in the text and what it is.
type Fault = (Range<usize>, String);

pub(super) fn check(file: &File, text: &str, place: &str) -> Result<(), ConfigError> {
    checked(file).map_err(|(span, message)| ConfigError {
        place: line_of(text, place, span.start),
        message,
    })
}

fn checked(file: &File) -> Result<(), Fault> {
    if file.name.get_ref().is_empty() {
        return Err((
            file.name.span(),
            "name is empty: write this agent's id in the roster".into(),
        ));
    }
    let port = file
        .coordinator
        .get_ref()
        .rsplit_once(':')
        .map(|(host, port)| (host.is_empty(), port.parse::<u16>()));
    if !matches!(port, Some((false, Ok(_)))) || file.coordinator.get_ref().contains("://") {
        let message = format!(
            "coordinator is `{}`: expected host:port without a scheme",
            file.coordinator.get_ref()
        );
        return Err((file.coordinator.span(), message));
    }
    for path in [&file.identity, &file.store].into_iter().chain(&file.socket) {
        local(&path.get_ref().to_string_lossy(), path.span())?;
    }
    if let Some(policy) = &file.policy {
        let PolicyFile {
            local: path,
            consortium,
        } = policy.get_ref();
        if path.is_none() && consortium.is_none() {
            let message =
                "[policy] says nothing: expected `local`, `consortium = \"required\"` or both, or leave it out";
            return Err((policy.span(), message.into()));
        }
        if let Some(path) = path {
            if path.get_ref().as_os_str().is_empty() {
                let message = "local is empty: name a file or a folder of policies, or leave it out";
                return Err((path.span(), message.into()));
            }
            local(&path.get_ref().to_string_lossy(), path.span())?;
        }
    }
    check_approvers(file)?;
    check_times(file)?;
    check_paths(file)?;
    let mut populations = BTreeSet::new();
    for population in &file.populations {
        if !populations.insert(population.get_ref().id.as_str()) {
            return Err((
                population.span(),
                format!("population `{}` is declared twice", population.get_ref().id),
            ));
        }
        check_population(population)?;
    }
    for dataset in &file.datasets {
        check_dataset(dataset, &populations)?;
    }
    Ok(())
}

/// One key twice would be one person twice.
fn check_approvers(file: &File) -> Result<(), Fault> {
    for path in &file.approvals {
        local(&path.get_ref().to_string_lossy(), path.span())?;
    }
    let Some(approvers) = &file.approvers else {
        return Ok(());
    };
    let people = approvers.get_ref();
    let keys: BTreeSet<_> = people.values().collect();
    if keys.len() < 2 || keys.len() < people.len() || people.contains_key("") {
        let message =
            "[approvers]: expected two people at least, each with a key of their own (`sotto-participant budget key`)";
        return Err((approvers.span(), message.into()));
    }
    Ok(())
}

/// A vector waits for up to two ticks, and no coordinator waits for ever.
const LONGEST_TICK_MS: u64 = 20_000;
const LONGEST_REOPEN_S: u64 = 86_400;
/// A month: cached answers rest on consents that are at most so old.
const LONGEST_PUBLISH_HOURS: u32 = 744;

fn check_times(file: &File) -> Result<(), Fault> {
    let tick_ms = *file.tick_ms.get_ref();
    if tick_ms > LONGEST_TICK_MS {
        let message = format!("tick_ms is {tick_ms}: expected 0 to {LONGEST_TICK_MS}");
        return Err((file.tick_ms.span(), message));
    }
    let reopen_s = *file.reopen_s.get_ref();
    if !(1..=LONGEST_REOPEN_S).contains(&reopen_s) {
        let message = format!("reopen_s is {reopen_s}: expected 1 to {LONGEST_REOPEN_S}");
        return Err((file.reopen_s.span(), message));
    }
    if let Some(consent) = &file.consent {
        let hours = consent.get_ref().publish_every_hours;
        if !(1..=LONGEST_PUBLISH_HOURS).contains(&hours) {
            let message = format!("publish_every_hours is {hours}: expected 1 to {LONGEST_PUBLISH_HOURS}");
            return Err((consent.span(), message));
        }
    }
    Ok(())
}

/// What the agent writes must not be what it reads, nor one file two things.
fn check_paths(file: &File) -> Result<(), Fault> {
    let (store, span) = (file.store.get_ref(), file.store.span());
    let socket = match &file.socket {
        Some(socket) => (socket.get_ref().clone(), socket.span()),
        None => (store.with_extension("sock"), span.clone()),
    };
    let mut used = vec![
        ("the store", plain(store), span.clone()),
        (
            "the key beside the store",
            plain(&store.with_extension("key")),
            span.clone(),
        ),
        (
            "the consents beside the store",
            plain(&crate::consent::path(store)),
            span,
        ),
        ("the socket", plain(&socket.0), socket.1),
        ("the identity", plain(file.identity.get_ref()), file.identity.span()),
    ];
    for (i, (what, path, _)) in used.iter().enumerate() {
        if let Some((other, _, span)) = used[i + 1..].iter().find(|(_, other, _)| other == path) {
            let message = format!(
                "`{}` is used for {what} and for {other}: give each its own",
                path.display()
            );
            return Err((span.clone(), message));
        }
    }
    used.truncate(4); // a contract may well lie in the identity's folder
    let mut read: Vec<(String, Range<usize>)> = Vec::new();
    for dataset in &file.datasets {
        let d = dataset.get_ref();
        read.extend(d.files.iter().map(|glob| (glob.get_ref().clone(), glob.span())));
        let contracts = [&d.contract].into_iter().chain(&d.other_versions);
        read.extend(contracts.map(|path| (path.get_ref().to_string_lossy().into_owned(), path.span())));
    }
    let policies = file.policy.iter().filter_map(|policy| policy.get_ref().local.as_ref());
    read.extend(policies.map(|path| (path.get_ref().to_string_lossy().into_owned(), path.span())));
    let approvals = file.approvals.iter();
    read.extend(approvals.map(|path| (path.get_ref().to_string_lossy().into_owned(), path.span())));
    for (path, span) in read {
        let pattern = glob::Pattern::new(&path).ok();
        let meets = |used: &Path| {
            plain(Path::new(&path)) == used || pattern.as_ref().is_some_and(|pattern| pattern.matches_path(used))
        };
        if let Some((what, _, _)) = used.iter().find(|(_, used, _)| meets(used)) {
            let message = format!("`{path}` is used for {what}, too: keep what is read apart from it");
            return Err((span, message));
        }
    }
    Ok(())
}

/// The path without its `.` components; links are not followed.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

fn check_population(population: &Spanned<PopulationFile>) -> Result<(), Fault> {
    let p = population.get_ref();
    let fault = |message: String| Err((population.span(), format!("population `{}`: {message}", p.id)));
    if p.id.is_empty() {
        return fault("id is empty: name the source and its unit column, such as \"cardiology-patients\"".into());
    }
    if !(p.epsilon.is_finite() && p.epsilon >= 0.0) {
        return fault(format!("epsilon is {}: expected a finite number, 0 or more", p.epsilon));
    }
    if !(0.0..=1e-3).contains(&p.delta) {
        return fault(format!("delta is {}: expected 0 to 0.001", p.delta));
    }
    match p.analysts.iter().find(|(_, cap)| !(cap.is_finite() && **cap > 0.0)) {
        Some((analyst, cap)) => fault(format!(
            "cap of analyst `{analyst}` is {cap}: expected a finite epsilon above 0; an analyst without a line has none"
        )),
        None => Ok(()),
    }
}

fn check_dataset(dataset: &Spanned<DatasetFile>, populations: &BTreeSet<&str>) -> Result<(), Fault> {
    let d = dataset.get_ref();
    let mut contracts = BTreeSet::new();
    for path in [&d.contract].into_iter().chain(&d.other_versions) {
        local(&path.get_ref().to_string_lossy(), path.span())?;
        if !contracts.insert(plain(path.get_ref())) {
            let message = format!("contract `{}` is named twice", path.get_ref().display());
            return Err((path.span(), message));
        }
    }
    if d.files.is_empty() {
        return Err((
            dataset.span(),
            "files is empty: list at least one CSV or Parquet glob".into(),
        ));
    }
    for glob in &d.files {
        local(glob.get_ref(), glob.span())?;
        let ending = Path::new(glob.get_ref())
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or_default();
        if !matches!(ending, "csv" | "parquet" | "pq") {
            let message = format!(
                "`{}`: expected a file or glob that ends in .csv, .parquet or .pq",
                glob.get_ref()
            );
            return Err((glob.span(), message));
        }
        if let Err(error) = glob::Pattern::new(glob.get_ref()) {
            return Err((
                glob.span(),
                format!("`{}` is not a glob: {}", glob.get_ref(), error.msg),
            ));
        }
    }
    if !populations.contains(d.population.get_ref().as_str()) {
        let message = format!(
            "population `{}` has no [[population]] table with that id",
            d.population.get_ref()
        );
        return Err((d.population.span(), message));
    }
    let people: BTreeSet<&str> = d.without_noise_approved_by.iter().map(|name| name.trim()).collect();
    if !d.without_noise_approved_by.is_empty() && (people.len() < 2 || people.contains("")) {
        let message = "without_noise_approved_by: expected the names of two people, or no line at all";
        return Err((dataset.span(), message.into()));
    }
    for (column, unit) in &d.units {
        if !(unit.factor.is_finite() && unit.factor != 0.0 && unit.offset.is_finite()) {
            let message = format!("units of `{column}`: expected a finite factor other than 0 and a finite offset");
            return Err((dataset.span(), message));
        }
    }
    Ok(())
}

/// Refuses anything that is not a path of this machine.
fn local(path: &str, span: Range<usize>) -> Result<(), Fault> {
    if path.contains("://") {
        return Err((
            span,
            format!("`{path}` has a scheme: only local paths are read; copy or mount the data"),
        ));
    }
    Ok(())
}
