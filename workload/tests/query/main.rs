//! The query workload from outside: answers, refusals, and the properties its privacy claim stands on.

mod battery;
mod common;
mod compat;
mod noise;
mod oracle;
mod properties;
mod quantiles;
mod refusals;
mod sqlite;
mod stories;
mod values;
