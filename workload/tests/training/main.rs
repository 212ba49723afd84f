//! Training from outside: every algorithm learns, plans keep their price, states survive bytes.

mod common;
mod evaluation;
mod learning;
mod losses;
mod parents;
mod plans;
