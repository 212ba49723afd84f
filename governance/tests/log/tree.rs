//! The tree against other people's: the vectors of Certificate Transparency's reference implementation, and `ct-merkle` as a second
//! opinion over random trees.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use governance::log::{Nodes, ProofError, Tree, TreeError, TreeHash, verify_consistency, verify_inclusion};
use proptest::prelude::*;
use sha2::Sha256;

use crate::{entry, tree};

/// github.com/transparency-dev/merkle, testonly/constants.go: the eight leaves, and the root of each prefix.
const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];
/// The same project, testonly/reference_test.go: (leaves, index, path).
const PATHS: [(u64, u64, &[&str]); 3] = [
    (1, 0, &[]),
    (
        3,
        2,
        &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    ),
    (
        5,
        1,
        &[
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
];
/// (old leaves, new leaves, proof).
const CONSISTENCY: [(u64, u64, &[&str]); 4] = [
    (1, 1, &[]),
    (
        1,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        2,
        5,
        &[
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
    (
        6,
        8,
        &[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
];

fn hash(hex_digits: &str) -> TreeHash {
    TreeHash(hex::decode(hex_digits).unwrap().try_into().unwrap())
}

fn hashes(hex_digits: &[&str]) -> Vec<TreeHash> {
    hex_digits.iter().map(|digits| hash(digits)).collect()
}

fn reference() -> Tree {
    let mut tree = Tree::default();
    for (index, leaf) in LEAVES.iter().enumerate() {
        assert_eq!(tree.append(&hex::decode(leaf).unwrap()), index as u64);
    }
    tree
}

#[test]
fn the_reference_leaves_have_the_well_known_roots() {
    let mut growing = Tree::default();
    assert_eq!(growing.root(), hash(ROOTS[0]));
    let tree = reference();
    for (leaf, size) in LEAVES.iter().zip(1..) {
        growing.append(&hex::decode(leaf).unwrap());
        assert_eq!(growing.root(), hash(ROOTS[size]));
        assert_eq!(tree.root_at(size as u64), Ok(hash(ROOTS[size])));
    }
    assert_eq!(tree.root_at(0), Ok(hash(ROOTS[0])));
    assert_eq!(tree.root_at(9), Err(TreeError::Size { asked: 9, available: 8 }));
}

#[test]
fn the_reference_proofs_are_ours() {
    let tree = reference();
    for (size, index, path) in PATHS {
        assert_eq!(tree.inclusion(index, size), Ok(hashes(path)));
    }
    for (from, to, proof) in CONSISTENCY {
        assert_eq!(tree.consistency(from, to), Ok(hashes(proof)));
        let (old, new) = (hash(ROOTS[from as usize]), hash(ROOTS[to as usize]));
        assert_eq!(verify_consistency(from, &old, to, &new, &hashes(proof)), Ok(()));
    }
    assert_eq!(tree.inclusion(5, 5), Err(TreeError::Leaf { index: 5, size: 5 }));
    assert_eq!(tree.consistency(5, 4), Err(TreeError::Shrinks { from: 5, to: 4 }));
}

#[test]
fn from_nothing_and_from_itself_a_tree_needs_no_proof() {
    let tree = tree(6);
    let root = tree.root();
    let empty = TreeHash::empty();
    assert_eq!(tree.consistency(0, 6), Ok(vec![]));
    assert_eq!(tree.consistency(6, 6), Ok(vec![]));
    assert_eq!(verify_consistency(0, &empty, 6, &root, &[]), Ok(()));
    assert_eq!(verify_consistency(6, &root, 6, &root, &[]), Ok(()));
    // No hash can be smuggled in, and no other root stands for the same size.
    let surplus = Err(ProofError::TooLong { found: 1 });
    assert_eq!(verify_consistency(0, &empty, 6, &root, &[root]), surplus);
    assert_eq!(verify_consistency(6, &root, 6, &root, &[root]), surplus);
    let other = tree.root_at(5).unwrap();
    assert!(matches!(
        verify_consistency(6, &other, 6, &root, &[]),
        Err(ProofError::OldRoot { .. })
    ));
    assert!(matches!(
        verify_consistency(0, &other, 6, &root, &[]),
        Err(ProofError::OldRoot { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn ct_merkle_makes_the_same_roots_and_proofs(size in 1u64..700, a in any::<u64>(), b in any::<u64>()) {
        let ours = tree(size);
        let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        (0..size).for_each(|index| theirs.push(entry(index)));
        prop_assert_eq!(ours.root().0.to_vec(), theirs.root().as_bytes().to_vec());

        let index = a % size;
        let path = ours.inclusion(index, size).unwrap();
        let inclusion = theirs.prove_inclusion(index as usize);
        prop_assert_eq!(flat(&path), inclusion.as_bytes().to_vec());
        prop_assert_eq!(verify_inclusion(&TreeHash::leaf(&entry(index)), index, size, &path, &ours.root()), Ok(()));
        let read = InclusionProof::try_from_bytes(flat(&path)).unwrap();
        prop_assert!(theirs.root().verify_inclusion(&entry(index), index, &read).is_ok());

        let from = b % size + 1;
        let old = ours.root_at(from).unwrap();
        let proof = ours.consistency(from, size).unwrap();
        let consistency = theirs.prove_consistency((size - from) as usize);
        prop_assert_eq!(flat(&proof), consistency.as_bytes().to_vec());
        prop_assert_eq!(verify_consistency(from, &old, size, &ours.root(), &proof), Ok(()));
        let read = ConsistencyProof::try_from_bytes(flat(&proof)).unwrap();
        let old = RootHash::<Sha256>::new(old.0.into(), from);
        prop_assert!(theirs.root().verify_consistency(&old, &read).is_ok());
    }

    #[test]
    fn a_proof_holds_for_its_own_claim_only(
        size in 2u64..300, a in any::<u64>(), b in any::<u64>(), place in any::<prop::sample::Index>(), bit in 0usize..256,
    ) {
        let tree = tree(size);
        let root = tree.root();
        let index = a % size;
        let leaf = TreeHash::leaf(&entry(index));
        let path = tree.inclusion(index, size).unwrap();
        let holds = |leaf: &TreeHash, index, path: &[TreeHash], root: &TreeHash| {
            verify_inclusion(leaf, index, size, path, root).is_ok()
        };
        let elsewhere = b % size;
        prop_assert_eq!(holds(&leaf, elsewhere, &path, &root), elsewhere == index);
        prop_assert!(!holds(&leaf, size, &path, &root));
        prop_assert!(!holds(&TreeHash::leaf(&entry(size)), index, &path, &root));
        for wrong in mangled(&path, place, bit) {
            prop_assert!(!holds(&leaf, index, &wrong, &root));
        }

        let from = b % (size - 1) + 1;
        let old = tree.root_at(from).unwrap();
        let proof = tree.consistency(from, size).unwrap();
        let holds = |from, old: &TreeHash, proof: &[TreeHash], new: &TreeHash| {
            verify_consistency(from, old, size, new, proof).is_ok()
        };
        prop_assert!(holds(from, &old, &proof, &root));
        let rewritten = TreeHash::leaf(b"rewritten");
        prop_assert!(!holds(from, &rewritten, &proof, &root));
        prop_assert!(!holds(from, &old, &proof, &rewritten));
        prop_assert!(!holds(size + 1, &old, &proof, &root));
        for wrong in mangled(&proof, place, bit) {
            prop_assert!(!holds(from, &old, &wrong, &root));
        }
    }
}

fn flat(hashes: &[TreeHash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// The proof with a bit flipped, a hash dropped, a hash too many, and two neighbours swapped.
fn mangled(proof: &[TreeHash], place: prop::sample::Index, bit: usize) -> Vec<Vec<TreeHash>> {
    let longer = [proof, &[TreeHash::empty()]].concat();
    let mut wrong = vec![longer];
    if !proof.is_empty() {
        let at = place.index(proof.len());
        let mut flipped = proof.to_vec();
        flipped[at].0[bit / 8] ^= 1 << (bit % 8);
        let mut shorter = proof.to_vec();
        shorter.remove(at);
        wrong.extend([flipped, shorter]);
    }
    if proof.len() > 1 {
        let at = place.index(proof.len() - 1);
        let mut swapped = proof.to_vec();
        swapped.swap(at, at + 1);
        wrong.push(swapped);
    }
    wrong
}

#[test]
fn a_million_events_are_appended_and_proven() {
    let started = std::time::Instant::now();
    let tree = tree(1_000_000);
    let rate = 1e6 / started.elapsed().as_secs_f64();
    println!("{rate:.0} leaves a second");
    assert!(rate > 20_000.0, "{rate:.0} leaves a second: expected 20,000");
    let path = tree.inclusion(777_777, 1_000_000).unwrap();
    let leaf = TreeHash::leaf(&entry(777_777));
    assert_eq!(verify_inclusion(&leaf, 777_777, 1_000_000, &path, &tree.root()), Ok(()));
    assert_eq!(path.len(), 20);
}
