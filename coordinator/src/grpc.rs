//! The doors: gRPC over mutual TLS. Handlers authenticate, convert on their first line, and talk to the driver.

pub mod admission;
pub mod agents;
pub mod analysts;
mod answers;
mod catalogue;
pub mod enrolment;
mod outbox;
pub(crate) mod refusal;
pub mod register;
