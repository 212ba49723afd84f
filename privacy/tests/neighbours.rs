//! Random plans and neighbours try to exceed the claimed sensitivity: vectors are built row by row as a participant builds them, with and
//! without one unit, under every mix of bounds.

use privacy::sensitivity::{Contribution, sensitivity};
use privacy::tree::TreeLayout;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// One row of the unit: its group, and a position between -1 and 1 for each value column.
#[derive(Clone, Debug)]
struct Row {
    group: usize,
    values: Vec<f64>,
    site: u32,
}

/// A small plan: a count, centred sums and squares of columns with these half ranges, a tree, and a count of distinct units.
#[derive(Clone, Debug)]
struct Plan {
    halves: Vec<u64>,
    tree: Option<TreeLayout>,
    distinct: bool,
    groups: usize,
}

impl Plan {
    fn row_maxima(&self) -> Vec<u64> {
        let mut maxima = vec![1];
        for half in &self.halves {
            maxima.extend([*half, half * half]);
        }
        maxima.extend(std::iter::repeat_n(
            1,
            self.tree.map_or(0, |tree| tree.levels() as usize),
        ));
        maxima
    }

    fn unit_maxima(&self) -> Vec<u64> {
        if self.distinct { vec![1] } else { vec![] }
    }

    fn width(&self) -> usize {
        1 + 2 * self.halves.len() + self.tree.map_or(0, |tree| tree.cells()) + usize::from(self.distinct)
    }

    /// What one unit adds to the vector.
    fn vector(&self, rows: &[Row]) -> Vec<i128> {
        let mut vector = vec![0i128; self.groups * self.width()];
        let mut seen = BTreeMap::new();
        for row in rows {
            let cells = &mut vector[row.group * self.width()..][..self.width()];
            cells[0] += 1;
            let mut at = 1;
            for (half, value) in self.halves.iter().zip(&row.values) {
                let lattice = (value * *half as f64).round() as i128;
                cells[at] += lattice;
                cells[at + 1] += lattice * lattice;
                at += 2;
            }
            if let Some(tree) = &self.tree {
                for cell in tree.path((row.values[0] * 1000.0) as i64) {
                    cells[at + cell] += 1;
                }
            }
            if self.distinct && seen.insert((row.site, row.group), ()).is_none() {
                let last = self.width() - 1;
                cells[last] += 1;
            }
        }
        vector
    }
}

/// What a participant does first: at most G groups, r rows in each, R rows in all, at each site on its own.
fn bounded(rows: Vec<Row>, limits: &Contribution) -> Vec<Row> {
    let mut kept: BTreeMap<u32, BTreeMap<usize, u32>> = BTreeMap::new();
    let keep = |row: &Row| {
        if row.site >= limits.sites {
            return false;
        }
        let groups = kept.entry(row.site).or_default();
        let total: u32 = groups.values().sum();
        let in_group = groups.get(&row.group).copied().unwrap_or(0);
        let new_group = in_group == 0 && limits.groups.is_some_and(|most| groups.len() as u32 >= most);
        if total >= limits.max_rows || new_group || limits.rows_per_group.is_some_and(|most| in_group >= most) {
            return false;
        }
        *groups.entry(row.group).or_default() += 1;
        true
    };
    rows.into_iter()
        .filter({
            let mut keep = keep;
            move |row| keep(row)
        })
        .collect()
}

fn plans() -> impl Strategy<Value = Plan> {
    (
        prop::collection::vec(1u64..1000, 1..4),
        prop::option::of((2usize..5, 1u32..4)),
        any::<bool>(),
        1usize..6,
    )
        .prop_map(|(halves, tree, distinct, groups)| Plan {
            halves,
            tree: tree.map(|(branching, levels)| TreeLayout::new(branching, levels, -1000, 1000).unwrap()),
            distinct,
            groups,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn no_unit_moves_the_vector_further_than_claimed(
        plan in plans(),
        limits in (1u32..12, prop::option::of(1u32..5), prop::option::of(1u32..5), 1u32..4)
            .prop_map(|(max_rows, groups, rows_per_group, sites)| Contribution { max_rows, groups, rows_per_group, sites }),
        // Rows near the corners of the bounds, many in the same groups: what an adversary would choose.
        rows in prop::collection::vec((0usize..6, prop::collection::vec(prop_oneof![Just(1.0), Just(-1.0), -1.0f64..1.0], 3), 0u32..4), 0..60),
    ) {
        let rows = rows.into_iter().map(|(group, values, site)| Row { group: group % plan.groups, values, site }).collect();
        let moved = plan.vector(&bounded(rows, &limits));
        let claimed = sensitivity(&plan.row_maxima(), &plan.unit_maxima(), &limits).unwrap();
        let l2_squared: i128 = moved.iter().map(|x| x * x).sum();
        let l1: i128 = moved.iter().map(|x| x.abs()).sum();
        prop_assert!(l2_squared as u128 <= claimed.l2_squared, "{l2_squared} > {}", claimed.l2_squared);
        prop_assert!(l1 as u128 <= claimed.l1, "{l1} > {}", claimed.l1);
    }
}

#[test]
fn the_bound_is_reached_so_it_is_not_loose() {
    let limits = Contribution {
        max_rows: 7,
        groups: Some(3),
        rows_per_group: Some(3),
        sites: 2,
    };
    let plan = Plan {
        halves: vec![50],
        tree: None,
        distinct: false,
        groups: 3,
    };
    let row = |group, site| Row {
        group,
        values: vec![1.0],
        site,
    };
    let rows = [0, 0, 0, 1, 1, 1, 2]
        .iter()
        .flat_map(|group| [row(*group, 0), row(*group, 1)])
        .collect();
    let moved = plan.vector(&bounded(rows, &limits));
    let l2_squared: i128 = moved.iter().map(|x| x * x).sum();
    assert_eq!(
        l2_squared as u128,
        sensitivity(&plan.row_maxima(), &[], &limits).unwrap().l2_squared
    );
}
