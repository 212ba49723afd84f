//! Training from outside: every algorithm learns, plans keep their price, states survive bytes, hearts are predicted.

mod common;
mod evaluation;
mod hearts;
mod learning;
mod losses;
mod parents;
mod plans;
