//! A FHIR R5 `Consent` resource as a unit's decision. Source: HL7 FHIR 5.0.0, <https://hl7.org/fhir/R5/consent.html> (content),
//! <https://hl7.org/fhir/R5/consent-definitions.html> (meaning of each element), <https://hl7.org/fhir/R5/valueset-consent-state-codes.html>
//! (status) and <https://hl7.org/fhir/R5/extensibility.html#modifierExtension>.
//!
//! What is understood: `status`; `subject` (a reference to a Patient; its id is the unit); `period`; `decision`, the rule that holds by
//! default; `provision`, exceptions to it, each naming purposes by code. So `deny` with provisions permits the purposes that they
//! name, and `permit` stands for the purposes of the form that was signed (`permit_means` of the configuration) without those that
//! provisions name. A permit may be one of anything: privacy, treatment, research or care in advance are what the resource is for. So it
//! counts only if its `category` is one of `permit_categories`. Nothing that permits may name a `grantee` or a `controller`: that is a consent to
//! somebody in particular. Elements that document the consent (who gave it, when, on what paper) change nothing.
//!
//! What narrows a consent in a way that is not kept here (actors, actions, kinds of data, nested exceptions, modifier extensions) is
//! refused, because leaving it out would widen what somebody permitted. So are R4's elements, which say the same things differently.

use super::super::instant::Instant;
use super::super::register::{Choice, Window};
use super::super::terms::{People, Terms, consent_to};
use super::Fault;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Elements of a Consent that change nothing about what is permitted.
const DOCUMENTING: &[&str] = &[
    "resourceType",
    "id",
    "meta",
    "language",
    "text",
    "contained",
    "extension",
    "identifier",
    "category",
    "date",
    "grantor",
    "grantee",
    "manager",
    "controller",
    "sourceAttachment",
    "sourceReference",
    "regulatoryBasis",
    "policyBasis",
    "policyText",
];

/// The unit and what it decided.
pub(super) fn decision(resource: &Value, terms: &Terms, people: &People) -> Result<(String, Choice), Fault> {
    let consent = resource
        .as_object()
        .ok_or_else(|| not_understood("it is no resource"))?;
    match text(consent, "resourceType")? {
        Some("Consent") => {}
        other => {
            return Err(not_understood(format!(
                "it is a `{}`: expected a Consent",
                short(other.unwrap_or("?"))
            )));
        }
    }
    let known = ["status", "subject", "period", "decision", "provision", "verification"];
    if let Some(name) = consent
        .keys()
        .find(|k| !DOCUMENTING.contains(&k.as_str()) && !known.contains(&k.as_str()))
    {
        return Err(not_understood(format!(
            "`{}` is not an element of an R5 Consent that is understood here",
            short(name)
        )));
    }
    let unit = subject(consent)?;
    match text(consent, "status")? {
        Some("active") => {}
        // Ended, never agreed to, or recorded by mistake: there is no consent.
        Some("inactive" | "not-done" | "entered-in-error") => return Ok((unit, Choice::Withdrawn)),
        found => {
            return Err(Fault::Status {
                found: short(found.unwrap_or("")),
                expected: "active, inactive, not-done or entered-in-error",
            });
        }
    }
    verified(consent)?;
    let provisions = provisions(consent, terms, people)?;
    let whole = window(consent, Window::ALWAYS)?;
    match text(consent, "decision")? {
        Some("deny") if provisions.is_empty() => Ok((unit, Choice::Withdrawn)),
        Some("deny") => {
            is_to_nobody_in_particular(consent)?;
            let window = common_window(&provisions, whole)?;
            let purposes = provisions
                .into_iter()
                .flat_map(|provision| provision.purposes)
                .collect();
            Ok((unit, consent_to(purposes, window)?))
        }
        Some("permit") => {
            is_to_nobody_in_particular(consent)?;
            is_of_our_kind(consent, terms)?;
            Ok((unit, permitted(&provisions, whole, terms)?))
        }
        Some(other) => Err(not_understood(format!(
            "unknown decision `{}`: expected permit or deny",
            short(other)
        ))),
        None => Err(not_understood("it has no decision: expected permit or deny")),
    }
}

/// The day on which somebody decided; a month or a year alone is none.
pub(super) fn decided(resource: &Value) -> Option<Instant> {
    resource.get("date").and_then(Value::as_str).and_then(Instant::parse)
}

/// What is permitted to one party is not permitted to all, and parties are not kept here.
fn is_to_nobody_in_particular(consent: &Map<String, Value>) -> Result<(), Fault> {
    match (["grantee", "controller"].into_iter()).find(|name| consent.contains_key(*name)) {
        None => Ok(()),
        Some(whose) => Err(not_understood(format!(
            "it permits, and names a `{whose}`: to whom is not kept here; where that is you, import it as a table"
        ))),
    }
}

/// A plain permit does not say what for, so what kind of consent it is must.
fn is_of_our_kind(consent: &Map<String, Value>, terms: &Terms) -> Result<(), Fault> {
    let listed = |coding: &Value| {
        let text = |name: &str| coding.get(name).and_then(Value::as_str).unwrap_or_default();
        let (system, code) = (text("system"), text("code"));
        let full = format!("{system}|{code}");
        !code.is_empty() && (terms.permit_categories.contains(code) || terms.permit_categories.contains(&full))
    };
    // The codings of one category say the same thing; several categories each say a thing of their own.
    let is_ours = |category: &Value| {
        let codings = category.get("coding").and_then(Value::as_array);
        codings.is_some_and(|codings| codings.iter().any(listed))
    };
    match consent.get("category").and_then(Value::as_array) {
        Some(categories) if !categories.is_empty() && categories.iter().all(is_ours) => Ok(()),
        _ => Err(not_understood(
            "it permits, and its category is not one that consent.permit_categories lists: list the kinds of consent that permit_means is for",
        )),
    }
}

/// All that a plain permit stands for, without the purposes that exceptions take away.
fn permitted(provisions: &[Provision], whole: Window, terms: &Terms) -> Result<Choice, Fault> {
    if terms.permit_means.is_empty() {
        return Err(not_understood(
            "it permits without saying what for: list in consent.permit_means what the signed form was for",
        ));
    }
    let mut left = terms.permit_means.clone();
    for exception in provisions {
        if exception.period.is_some() {
            return Err(not_understood(
                "an exception for a time only is not kept here: deny by default, permit by provision",
            ));
        }
        for purpose in &exception.purposes {
            // All of a purpose but a part of it is nothing that a list of purposes says.
            let touches = |other: &String| terms.subsumed.covers(purpose, other) && other != purpose;
            if left.iter().any(touches) {
                return Err(not_understood(format!(
                    "the exception `{}` lies within a purpose that is permitted",
                    short(purpose)
                )));
            }
            left.retain(|other| !terms.subsumed.covers(other, purpose));
        }
    }
    if left.is_empty() {
        return Ok(Choice::Withdrawn);
    }
    Ok(consent_to(left, whole)?)
}

/// An exception: the purposes it is about, and its own time if it has one.
struct Provision {
    purposes: BTreeSet<String>,
    period: Option<Window>,
}

fn provisions(consent: &Map<String, Value>, terms: &Terms, people: &People) -> Result<Vec<Provision>, Fault> {
    let Some(list) = consent.get("provision") else {
        return Ok(Vec::new());
    };
    let list = list
        .as_array()
        .ok_or_else(|| not_understood("`provision` is no list: R5 has a list where R4 had one element"))?;
    list.iter().map(|provision| one(provision, terms, people)).collect()
}

fn one(provision: &Value, terms: &Terms, people: &People) -> Result<Provision, Fault> {
    let provision = provision
        .as_object()
        .ok_or_else(|| not_understood("a provision is no element"))?;
    if let Some(name) = provision
        .keys()
        .find(|name| !["id", "extension", "period", "purpose"].contains(&name.as_str()))
    {
        return Err(not_understood(format!(
            "a provision says something about `{}`, which no row filter keeps",
            short(name)
        )));
    }
    let codings = provision.get("purpose").and_then(Value::as_array);
    let codings = codings.filter(|list| !list.is_empty());
    let codings =
        codings.ok_or_else(|| not_understood("a provision names no purpose: it would be about everything"))?;
    let mut purposes = BTreeSet::new();
    for coding in codings {
        purposes.insert(purpose(coding, terms, people)?);
    }
    let period = provision
        .contains_key("period")
        .then(|| window(provision, Window::ALWAYS))
        .transpose()?;
    Ok(Provision { purposes, period })
}

/// A coding by `system|code` if the mapping has that, else by its code.
fn purpose(coding: &Value, terms: &Terms, people: &People) -> Result<String, Fault> {
    let code = coding.get("code").and_then(Value::as_str);
    let code = code.ok_or_else(|| not_understood("a purpose has no code"))?;
    let system = coding.get("system").and_then(Value::as_str).unwrap_or_default();
    let full = format!("{system}|{code}");
    let spelled = if terms.mapping.contains_key(&full) { &full } else { code };
    Ok(terms.purpose(people, spelled)?)
}

/// One window for all that is permitted: here a unit has one.
fn common_window(provisions: &[Provision], whole: Window) -> Result<Window, Fault> {
    let narrowed = |provision: &Provision| match provision.period {
        None => whole,
        Some(period) => Window {
            from_ms: whole.from_ms.max(period.from_ms),
            until_ms: whole.until_ms.min(period.until_ms),
        },
    };
    let mut windows = provisions.iter().map(narrowed);
    let first = windows.next().unwrap_or(whole);
    match windows.all(|window| window == first) {
        true => Ok(first),
        false => Err(not_understood(
            "its provisions hold at different times: one time for all is kept here",
        )),
    }
}

fn window(of: &Map<String, Value>, default: Window) -> Result<Window, Fault> {
    let Some(period) = of.get("period") else {
        return Ok(default);
    };
    let period = period.as_object().ok_or(Fault::Date { column: "period" })?;
    if period
        .keys()
        .any(|name| !["start", "end", "id", "extension"].contains(&name.as_str()))
    {
        return Err(not_understood("`period` holds more than a start and an end"));
    }
    let instant = |name: &'static str| match period.get(name) {
        None => Ok(None),
        Some(value) => match value.as_str().and_then(Instant::parse) {
            Some(instant) => Ok(Some(instant)),
            None => Err(Fault::Date { column: name }),
        },
    };
    Ok(Window {
        from_ms: instant("start")?.map_or(default.from_ms, Instant::from_ms),
        until_ms: instant("end")?.map_or(default.until_ms, Instant::until_ms),
    })
}

/// The id of the Patient: `Patient/17`, with or without a server before it and a version after it.
fn subject(consent: &Map<String, Value>) -> Result<String, Fault> {
    let reference = consent.get("subject").and_then(|subject| subject.get("reference"));
    let reference = reference.and_then(Value::as_str).ok_or(Fault::NoUnit)?;
    let unversioned = reference.split("/_history/").next().unwrap_or_default();
    let mut parts = unversioned.rsplit('/');
    match (parts.next(), parts.next()) {
        (Some(id), Some("Patient")) if !id.is_empty() => Ok(id.to_owned()),
        _ => Err(not_understood(
            "its subject is no `Patient/ID`: a unit is known by the id of its Patient",
        )),
    }
}

/// A consent that its subject was asked about and did not confirm is none.
fn verified(consent: &Map<String, Value>) -> Result<(), Fault> {
    let Some(list) = consent.get("verification") else {
        return Ok(());
    };
    let denied = |v: &Value| v.get("verified").and_then(Value::as_bool) != Some(true);
    match list.as_array() {
        Some(list) if !list.iter().any(denied) => Ok(()),
        _ => Err(not_understood("it was not verified with its subject")),
    }
}

fn text<'a>(of: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Fault> {
    match of.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(not_understood(format!("`{name}` is no code"))),
    }
}

fn not_understood(what: impl Into<String>) -> Fault {
    Fault::NotUnderstood(what.into())
}

/// Names of elements and codes, cut: they come from a stranger's file.
fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests;
