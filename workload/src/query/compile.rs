//! Text to plan: parse, lower, share components out, choose the lattice, calibrate the noise. Measured well under 5 ms.

use super::components::{Drafts, Measure};
use super::error::{BUDGET, SATURATES, SQL, SqlError};
use super::fit::fit;
use super::scope::Scope;
use super::select::Compiler;
use super::syntax::Source;
use super::{ComponentKind, Contribution, GroupKey, Output, QueryPlan};
use engine::CohortTerms;
use governance::Contract;
use sqlparser::ast::Spanned;
use std::cell::{Cell, RefCell};

/// Cells of a plan, all groups together.
const MAX_DIM: usize = 1 << 20;
const VERSION: u32 = 1;

/// Compiles a question against a contract for a cohort. `epsilon` and `delta` are the price the asker agrees to.
pub fn compile(
    sql: &str,
    contract: &Contract,
    terms: &CohortTerms,
    epsilon: f64,
    delta: f64,
) -> Result<QueryPlan, SqlError> {
    let is_column = |word: &str| contract.columns.iter().any(|c| c.name.eq_ignore_ascii_case(word));
    let (source, select) = Source::parse(sql, &is_column)?;
    if !select.table.value.eq_ignore_ascii_case(&contract.name) {
        let message = format!("unknown dataset `{}`", select.table.value);
        return Err(source.error(
            select.table.span,
            message,
            format!("this contract is of `{}`", contract.name),
        ));
    }
    let scope = Scope {
        source: &source,
        contract,
        table_alias: select.table_alias.as_ref().map(|a| a.value.clone()),
        reads: RefCell::default(),
        present: RefCell::default(),
        work: Cell::default(),
    };
    let filter = select.selection.as_ref().map(|e| scope.condition(e, 1)).transpose()?;
    if let Some(filter) = &filter {
        scope.assume(&filter.expr);
    }
    let mut compiler = Compiler::new(scope, &select)?;
    let outputs = compiler.outputs(&select)?;
    let mut drafts = Drafts::default();
    let aggregates = drafts.grant(&compiler.wishes);
    let width = drafts.0.iter().map(|d| cells(&d.measure)).sum::<usize>();
    let dim = size(&compiler.keys)
        .and_then(|groups| groups.checked_mul(width))
        .filter(|dim| *dim <= MAX_DIM);
    let Some(dim) = dim else {
        let place = select.group_by.last().or(compiler.first_item());
        return Err(source.error(
            place.map_or(select.table.span, Spanned::span),
            "too many cells: groups times what is measured in each",
            format!("at most {MAX_DIM} numbers in one answer: fewer keys, wider bins, fewer quantiles"),
        ));
    };
    let contribution = Contribution {
        rows: contract.contribution.max_rows,
        groups: contract.contribution.max_groups,
        rows_per_group: contract.contribution.rows_per_group,
        participants: contract.contribution.participants,
    };
    let (components, noise) = fit(drafts.0, &contribution, contract.max_rows, dim, terms, epsilon, delta)?;
    let histogram = compiler.histogram.and_then(|at| match aggregates[at] {
        super::Aggregate::Count { component } => Some(component),
        _ => None,
    });
    let filter = filter.map(|t| t.expr);
    let plan = QueryPlan {
        version: VERSION,
        dataset: contract.name.clone(),
        contract: contract.hash(),
        columns: compiler.scope.scans(),
        unit: contract.privacy_unit.clone(),
        filter,
        groups: compiler.keys,
        contribution,
        max_rows: contract.max_rows,
        components,
        output: Output {
            aggregates,
            histogram,
            columns: outputs.columns,
            having: outputs.having,
            order_by: outputs.order_by,
            limit: outputs.limit,
        },
        noise,
    };
    // A plan travels as JSON, and readers of JSON stop at 128 levels.
    if QueryPlan::from_bytes(&plan.to_bytes()).is_err() {
        let message = "the question is nested too deeply";
        return Err(SqlError::whole(
            SQL,
            message,
            "fewer conditions inside one another; a list of values fits IN (...)",
        ));
    }
    Ok(plan)
}

/// The epsilon whose predicted 95 % half-width, in the widest column of estimates, is `target`; `None` if no epsilon
/// from 0.0001 to 20 reaches it. About twenty compilations.
pub fn epsilon_for_error(
    sql: &str,
    contract: &Contract,
    terms: &CohortTerms,
    delta: f64,
    target: f64,
) -> Result<Option<f64>, SqlError> {
    if !(target > 0.0 && target.is_finite()) {
        let message = format!("target error {target}");
        return Err(SqlError::whole(BUDGET, message, "a finite number above zero"));
    }
    let error = |epsilon: f64| {
        let plan = compile(sql, contract, terms, epsilon, delta)?;
        let widest = super::predict(&plan).columns.into_iter().filter_map(|c| c.half_width);
        Ok::<f64, SqlError>(widest.fold(0.0, f64::max))
    };
    let (mut low, mut high) = (1e-4_f64, 20.0_f64);
    if error(high)? > target {
        return Ok(None);
    }
    while high / low > 1.005 {
        let middle = (low * high).sqrt();
        if error(middle)? > target {
            low = middle
        } else {
            high = middle
        }
    }
    Ok(Some(high))
}

fn size(keys: &[GroupKey]) -> Option<usize> {
    keys.iter().try_fold(1usize, |n, key| n.checked_mul(key.groups()))
}

fn cells(measure: &Measure) -> usize {
    match measure {
        Measure::Rows | Measure::Units | Measure::Sum { .. } => 1,
        Measure::Histogram { bins, .. } => bins.count as usize,
        Measure::Tree { branching, levels, .. } => ComponentKind::tree_cells(*branching, *levels),
    }
}

impl SqlError {
    pub(super) fn saturates(rows: u64) -> Self {
        Self::whole(
            SATURATES,
            format!("{rows} declared rows of this range do not fit a 64-bit sum, and nothing saturates silently"),
            "a smaller range (LEAST, GREATEST, CASE), or a contract with fewer maxRows",
        )
    }
}
