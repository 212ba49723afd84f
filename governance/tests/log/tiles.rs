//! The tree as tiles: named and cut as C2SP says, and proving what the tree in memory proves.

use std::collections::{BTreeMap, BTreeSet};

use governance::log::tiles::{self, Content};
use governance::log::{Nodes, ProofError, TileError, TilePath, TileReader, Tree, TreeHash, verify_inclusion};
use proptest::prelude::*;

use crate::{entry, tree};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn tiles_prove_what_the_tree_proves(size in 1u64..1400, a in any::<u64>(), b in any::<u64>()) {
        let tree = tree(size);
        let written = written(&tree, 0, size);
        let reader = TileReader { size, fetch: |path: &TilePath| written.get(path).cloned() };
        prop_assert_eq!(reader.root_at(size), Ok(tree.root()));
        prop_assert_eq!(reader.inclusion(a % size, size).unwrap(), tree.inclusion(a % size, size).unwrap());
        let from = b % (size + 1);
        prop_assert_eq!(reader.consistency(from, size).unwrap(), tree.consistency(from, size).unwrap());
        prop_assert_eq!(reader.root_at(from).unwrap(), tree.root_at(from).unwrap());
    }

    #[test]
    fn a_log_that_grows_in_steps_leaves_every_tile_it_needs(steps in prop::collection::vec(0u64..500, 1..6)) {
        let (mut size, mut kept) = (0, BTreeSet::new());
        for step in steps {
            kept.extend(TilePath::grown(size, size + step));
            size += step;
        }
        for path in TilePath::grown(0, size) {
            prop_assert!(kept.contains(&path), "{path} was never written");
        }
    }
}

fn written(tree: &Tree, old: u64, new: u64) -> BTreeMap<TilePath, Vec<u8>> {
    let hashes = |path: &TilePath| path.content != Content::Entries;
    let paths = TilePath::grown(old, new).into_iter().filter(hashes);
    paths
        .map(|path| (path, tiles::hash_tile(tree, path).unwrap()))
        .collect()
}

#[test]
fn tiles_are_named_as_c2sp_names_them() {
    let hashes = |level, index, width| TilePath {
        content: Content::Hashes { level },
        index,
        width,
    };
    let names = [
        (hashes(0, 0, 256), "tile/0/000"),
        (hashes(2, 1_234_067, 256), "tile/2/x001/x234/067"),
        (hashes(1, 1000, 1), "tile/1/x001/000.p/1"),
        (
            TilePath {
                content: Content::Entries,
                index: 273,
                width: 112,
            },
            "tile/entries/273.p/112",
        ),
    ];
    for (path, name) in names {
        assert_eq!(path.to_string(), name);
        assert_eq!(name.parse(), Ok(path));
    }
    let wrong = "tile/0/0 tile/0/0000 tile/00/000 tile/64/000 tile/0/x000/001 tile/0/000.p/0 tile/0/000.p/256 tile/0/000.p/01 \
        tile/0/001/000 tile/entry/000 tile/0/x001/x000 tile/-1/000 0/000 tile/0/+01 tile/0/99x tile/1/x999/x999/x999/x999/x999/x999/x999/999";
    for name in wrong.split(' ') {
        assert_eq!(name.parse::<TilePath>(), Err(TileError::Path(name.into())));
    }
}

#[test]
fn a_log_of_70_000_leaves_has_the_tiles_of_the_specification() {
    let paths = TilePath::grown(0, 70_000);
    let count = |content, width: std::ops::RangeInclusive<u16>| {
        let of_kind = |path: &&TilePath| path.content == content && width.contains(&path.width);
        paths.iter().filter(of_kind).count()
    };
    let hashes = |level| Content::Hashes { level };
    assert_eq!((count(hashes(0), 256..=256), count(hashes(0), 112..=112)), (273, 1));
    assert_eq!((count(hashes(1), 256..=256), count(hashes(1), 17..=17)), (1, 1));
    assert_eq!((count(hashes(2), 1..=1), count(Content::Entries, 1..=256)), (1, 274));
    assert_eq!(paths.len(), 273 + 1 + 1 + 1 + 1 + 274);
    assert_eq!(
        TilePath::grown(255, 256)
            .iter()
            .map(TilePath::to_string)
            .collect::<Vec<_>>(),
        ["tile/0/000", "tile/1/000.p/1", "tile/entries/000"]
    );
    assert_eq!(TilePath::grown(256, 256), []);
}

#[test]
fn a_reader_takes_the_full_tile_for_a_partial_one_and_names_what_is_wrong() {
    let tree = tree(600);
    let mut kept = written(&tree, 0, 300);
    kept.extend(written(&tree, 300, 600));
    kept.remove(&"tile/0/001.p/44".parse().unwrap());
    let at_300 = |fetch: &dyn Fn(&TilePath) -> Option<Vec<u8>>| {
        TileReader {
            size: 300,
            fetch: |path: &TilePath| fetch(path),
        }
        .root_at(300)
    };
    // The partial tile of 44 leaves is gone, the full one is there.
    let full = |path: &TilePath| kept.get(path).cloned();
    assert_eq!(at_300(&full), tree.root_at(300).map_err(TileError::Tree));
    let partial = "tile/0/001.p/44".parse().unwrap();
    assert_eq!(
        at_300(&|path| full(path).filter(|_| path.index == 0)),
        Err(TileError::Missing(partial))
    );
    let short = at_300(&|path| full(path).map(|bytes| bytes[1..].to_vec()));
    assert!(
        matches!(
            short,
            Err(TileError::Length {
                expected: 8192,
                found: 8191,
                ..
            })
        ),
        "{short:?}"
    );
    // What is not there cannot be written either.
    let beyond = "tile/0/002.p/89".parse().unwrap();
    assert_eq!(tiles::hash_tile(&tree, beyond), Err(TileError::Missing(beyond)));
    let entries = "tile/entries/000".parse().unwrap();
    assert_eq!(tiles::hash_tile(&tree, entries), Err(TileError::NotHashes(entries)));
}

#[test]
fn a_tile_that_was_changed_gives_a_proof_that_fails() {
    let tree = tree(600);
    let mut kept = written(&tree, 0, 600);
    kept.get_mut(&"tile/0/001".parse().unwrap()).unwrap()[40] ^= 1;
    let reader = TileReader {
        size: 600,
        fetch: |path: &TilePath| kept.get(path).cloned(),
    };
    let path = reader.inclusion(300, 600).unwrap();
    let leaf = TreeHash::leaf(&entry(300));
    assert!(matches!(
        verify_inclusion(&leaf, 300, 600, &path, &tree.root()),
        Err(ProofError::Root { .. })
    ));
}

#[test]
fn an_entry_bundle_is_read_back_and_a_broken_one_names_its_entry() {
    let entries = [b"first".to_vec(), vec![], vec![7; 65_535]];
    let bytes = tiles::entry_bundle(&entries).unwrap();
    assert_eq!(&bytes[..9], b"\x00\x05first\x00\x00");
    assert_eq!(tiles::bundled_entries(&bytes).unwrap(), entries);
    assert_eq!(
        tiles::bundled_entries(&bytes[..bytes.len() - 1]),
        Err(TileError::Truncated { index: 2 })
    );
    assert_eq!(
        tiles::bundled_entries(&bytes[..8]),
        Err(TileError::Truncated { index: 1 })
    );
    assert_eq!(
        tiles::entry_bundle(&[vec![], vec![0; 65_536]]),
        Err(TileError::Entry {
            index: 1,
            found: 65_536
        })
    );
}
