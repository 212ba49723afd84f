//! The query workload from outside: answers, refusals, and the properties its privacy claim stands on.

mod common;
mod properties;
mod refusals;
mod stories;
