//! Stories of the transparency log: what it proves, and how every way of tampering with it comes to light.

mod bundle;
mod event;
mod mirror;
mod note;
mod proven;
mod restore;
mod scan;
mod tiles;
mod tree;
mod trust;
mod usage;
mod witness;
mod world;

use governance::log::Tree;

fn entry(index: u64) -> Vec<u8> {
    format!("event {index}").into_bytes()
}

fn tree(size: u64) -> Tree {
    let mut tree = Tree::default();
    (0..size).for_each(|index| {
        tree.append(&entry(index));
    });
    tree
}
