//! The columns that a plan reads, looked up in the contract once a plan: a run over an image asks for hundreds of them, three
//! times a round. Costs O(columns · log) to make; a decision then reads it.

use std::collections::BTreeSet;

use crate::Contract;

/// Columns by name, and what the contract says of them all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnsRead {
    names: Vec<String>,
    /// The first that the contract lets nobody ask for, or does not have.
    unqueryable: Option<usize>,
    classifications: BTreeSet<String>,
}

impl ColumnsRead {
    pub fn of(contract: &Contract, names: Vec<String>) -> Self {
        let queryable = |name: &String| contract.column(name).is_some_and(|column| column.queryable);
        let classification = |name: &String| contract.column(name)?.classification.clone();
        Self {
            unqueryable: names.iter().position(|name| !queryable(name)),
            classifications: names.iter().filter_map(classification).collect(),
            names,
        }
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }

    pub fn unqueryable(&self) -> Option<&str> {
        self.unqueryable.map(|at| self.names[at].as_str())
    }

    /// Of all of them, in order.
    pub fn classifications(&self) -> impl Iterator<Item = &str> {
        self.classifications.iter().map(String::as_str)
    }
}
