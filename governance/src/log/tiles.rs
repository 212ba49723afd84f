//! c2sp.org/tlog-tiles: the tree and its entries as files that never change, and a reader that proves from them.
//!
//! A tile holds up to 256 hashes of one height (0, 8, 16, ..), 8 KiB when full; a bundle holds up to 256 entries, each behind its
//! length as two big-endian bytes. A proof fetches about two tiles per height of 8 and hashes at most 255 nodes in each.
//! A reader trusts nothing: what it proves is verified against a signed root, so a wrong tile is a proof that fails.

use std::{fmt, str::FromStr};

use super::tree::{Nodes, TreeError, TreeHash};

/// The tree's levels that one tile spans.
const HEIGHT: u32 = 8;
/// Hashes or entries in a full tile.
const WIDTH: u64 = 1 << HEIGHT;
/// The longest entry that a bundle can hold.
pub const MAX_ENTRY: usize = u16::MAX as usize;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error("malformed tile path `{0}`: expected tile/<level or entries>/<index>[.p/<width>]")]
    Path(String),
    #[error("tile {0} is missing")]
    Missing(TilePath),
    #[error("tile {path} has {found} bytes: expected {expected}")]
    Length {
        path: TilePath,
        expected: usize,
        found: usize,
    },
    #[error("entry {index} of a bundle has {found} bytes: expected at most {MAX_ENTRY}")]
    Entry { index: usize, found: usize },
    #[error("entry bundle breaks off inside entry {index}")]
    Truncated { index: usize },
    #[error("{0} holds entries, not hashes")]
    NotHashes(TilePath),
}

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// Hashes of subtrees of 256^level leaves.
    Hashes {
        level: u8,
    },
    Entries,
}

/// The name of a tile, relative to the log's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TilePath {
    pub content: Content,
    pub index: u64,
    /// 1 to 256; below 256 the tile is partial.
    pub width: u16,
}

impl TilePath {
    /// The tile of `index` in a log of `size` leaves, as wide as it is there; `None` if it is empty.
    pub fn within(content: Content, index: u64, size: u64) -> Option<Self> {
        let held = content.held(size);
        let width = held.checked_sub(index.checked_mul(WIDTH)?)?.min(WIDTH);
        (width > 0).then_some(Self {
            content,
            index,
            width: width as u16,
        })
    }

    /// Every tile and bundle to write when a log grows from `old` to `new` leaves.
    pub fn grown(old: u64, new: u64) -> Vec<Self> {
        let levels = (0..8).map(|level| Content::Hashes { level });
        let contents = levels.chain([Content::Entries]);
        contents
            .flat_map(|content| {
                let changed = content.held(old) / WIDTH..content.held(new).div_ceil(WIDTH);
                let changed = if content.held(old) == content.held(new) {
                    0..0
                } else {
                    changed
                };
                changed.filter_map(move |index| Self::within(content, index, new))
            })
            .collect()
    }

    fn full(self) -> Self {
        Self {
            width: WIDTH as u16,
            ..self
        }
    }
}

impl Content {
    /// Hashes or entries of this kind in a log of `size` leaves.
    fn held(self, size: u64) -> u64 {
        match self {
            Self::Hashes { level } => size.checked_shr(HEIGHT * u32::from(level)).unwrap_or(0),
            Self::Entries => size,
        }
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.content {
            Content::Hashes { level } => write!(f, "tile/{level}/")?,
            Content::Entries => write!(f, "tile/entries/")?,
        }
        let digits = self.index.to_string();
        let digits = format!("{digits:0>width$}", width = digits.len().next_multiple_of(3));
        let (last, groups) = (&digits[digits.len() - 3..], &digits[..digits.len() - 3]);
        for at in (0..groups.len()).step_by(3) {
            write!(f, "x{}/", &groups[at..at + 3])?;
        }
        write!(f, "{last}")?;
        if u64::from(self.width) < WIDTH {
            write!(f, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

impl FromStr for TilePath {
    type Err = TileError;

    fn from_str(text: &str) -> Result<Self, TileError> {
        let parse = || {
            let (content, rest) = text.strip_prefix("tile/")?.split_once('/')?;
            let content = match content {
                "entries" => Content::Entries,
                level => Content::Hashes {
                    level: level.parse().ok().filter(|level| *level < 64)?,
                },
            };
            let (index, width) = match rest.split_once(".p/") {
                Some((index, width)) => (index, width.parse().ok().filter(|w| (1..256).contains(w))?),
                None => (rest, WIDTH as u16),
            };
            let digits: String = index.split('/').map(|group| group.trim_start_matches('x')).collect();
            let path = Self {
                content,
                index: digits.parse().ok()?,
                width,
            };
            // One spelling.
            (path.to_string() == text).then_some(path)
        };
        parse().ok_or_else(|| TileError::Path(text.into()))
    }
}

/// The bytes of a tile of hashes.
pub fn hash_tile<N: Nodes<Error: Into<TileError>>>(nodes: &N, path: TilePath) -> Result<Vec<u8>, TileError> {
    let Content::Hashes { level } = path.content else {
        return Err(TileError::NotHashes(path));
    };
    let there = TilePath::within(path.content, path.index, nodes.size());
    if there.is_none_or(|there| there.width < path.width) {
        return Err(TileError::Missing(path));
    }
    let first = path.index * WIDTH;
    let hashes = (first..first + u64::from(path.width)).map(|index| nodes.node(HEIGHT * u32::from(level), index));
    let mut bytes = Vec::with_capacity(usize::from(path.width) * 32);
    for hash in hashes {
        bytes.extend(hash.map_err(Into::into)?.0);
    }
    Ok(bytes)
}

/// The bytes of an entry bundle.
pub fn entry_bundle<E: AsRef<[u8]>>(entries: &[E]) -> Result<Vec<u8>, TileError> {
    let mut bytes = Vec::new();
    for (index, entry) in entries.iter().map(AsRef::as_ref).enumerate() {
        let length = u16::try_from(entry.len()).map_err(|_| TileError::Entry {
            index,
            found: entry.len(),
        })?;
        bytes.extend(length.to_be_bytes());
        bytes.extend(entry);
    }
    Ok(bytes)
}

/// The entries of a bundle.
pub fn bundled_entries(mut bytes: &[u8]) -> Result<Vec<&[u8]>, TileError> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let entry = bytes.split_first_chunk().and_then(|(length, rest)| {
            let length = usize::from(u16::from_be_bytes(*length));
            rest.split_at_checked(length)
        });
        let (entry, rest) = entry.ok_or(TileError::Truncated { index: entries.len() })?;
        entries.push(entry);
        bytes = rest;
    }
    Ok(entries)
}

/// A log of `size` leaves whose tiles `fetch` finds.
pub struct TileReader<F> {
    pub size: u64,
    pub fetch: F,
}

impl<F: Fn(&TilePath) -> Option<Vec<u8>>> Nodes for TileReader<F> {
    type Error = TileError;

    fn size(&self) -> u64 {
        self.size
    }

    fn node(&self, level: u32, index: u64) -> Result<TreeHash, TileError> {
        // The node spans 2^inner hashes of the tile level below it.
        let (tile_level, inner) = (level / HEIGHT, level % HEIGHT);
        let first = index << inner;
        let content = Content::Hashes {
            level: tile_level as u8,
        };
        let path = TilePath::within(content, first / WIDTH, self.size);
        let path = path.filter(|path| first % WIDTH + (1 << inner) <= u64::from(path.width));
        let path = path.ok_or(TreeError::Incomplete {
            level,
            index,
            size: self.size,
        })?;
        let tile = self.tile(path)?;
        let mut hashes = tile[(first % WIDTH) as usize..][..1 << inner].to_vec();
        while hashes.len() > 1 {
            hashes = hashes
                .chunks_exact(2)
                .map(|pair| TreeHash::node(&pair[0], &pair[1]))
                .collect();
        }
        Ok(hashes[0])
    }
}

impl<F: Fn(&TilePath) -> Option<Vec<u8>>> TileReader<F> {
    /// The tile; a partial one may have made room for the full one meanwhile.
    fn tile(&self, path: TilePath) -> Result<Vec<TreeHash>, TileError> {
        let partial = (self.fetch)(&path).map(|bytes| (path, bytes));
        let found = partial.or_else(|| (self.fetch)(&path.full()).map(|bytes| (path.full(), bytes)));
        let (path, bytes) = found.ok_or(TileError::Missing(path))?;
        let expected = usize::from(path.width) * 32;
        if bytes.len() != expected {
            return Err(TileError::Length {
                path,
                expected,
                found: bytes.len(),
            });
        }
        let (hashes, _) = bytes.as_chunks();
        Ok(hashes.iter().map(|hash| TreeHash(*hash)).collect())
    }
}
