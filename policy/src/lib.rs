//! Policy in Cedar behind `governance::decision::Decide`: three layers, each of which can only narrow what the others allow.
#![forbid(unsafe_code)]
