//! Pixels as a PNG [PNG, third edition]: one IDAT chunk of 8-bit indices into a palette, a third of the size of colours.
//! Written out because every PNG crate asks the deflate that polars brings for other features, and polars would be
//! built twice.

use std::collections::BTreeMap;
use std::io::Write;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

type Rgb = [u8; 3];

const SIGNATURE: [u8; 8] = [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];
const PALETTE: u8 = 3;

/// The mean of every `by` x `by` block, which is what smooths lines and letters.
pub(super) fn shrink(rgb: &[u8], width: usize, by: usize) -> Vec<Rgb> {
    let (row, block) = (width * 3, (by * by) as u32);
    let mut out = Vec::with_capacity(rgb.len() / (3 * by * by));
    for rows in rgb.chunks_exact(row * by) {
        for column in 0..width / by {
            out.push([0, 1, 2].map(|channel| {
                let cells = (0..by * by).map(|i| rows[i / by * row + (column * by + i % by) * 3 + channel]);
                let sum: u32 = cells.map(u32::from).sum();
                ((sum + block / 2) / block) as u8
            }));
        }
    }
    out
}

pub(super) fn png(pixels: &[Rgb], width: usize) -> std::io::Result<Vec<u8>> {
    let mut header = Vec::from((width as u32).to_be_bytes());
    header.extend(((pixels.len() / width) as u32).to_be_bytes());
    // Eight bits, a palette, deflate, filters a row, not interlaced.
    header.extend([8, PALETTE, 0, 0, 0]);
    let (palette, index) = indexed(pixels);
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
    for row in pixels.chunks_exact(width) {
        // Filter 0: indices repeat, and have no slopes to predict.
        packed.write_all(&[0])?;
        packed.write_all(&row.iter().map(|pixel| index[&coarse(pixel)]).collect::<Vec<u8>>())?;
    }
    let mut out = Vec::from(SIGNATURE);
    let chunks = [
        (b"IHDR", header),
        (b"PLTE", palette.concat()),
        (b"IDAT", packed.finish()?),
        (b"IEND", Vec::new()),
    ];
    for (kind, body) in chunks {
        let mut crc = Crc::new();
        crc.update(kind);
        crc.update(&body);
        out.extend((body.len() as u32).to_be_bytes());
        out.extend(kind);
        out.extend(body);
        out.extend(crc.sum().to_be_bytes());
    }
    Ok(out)
}

/// Colours that differ in their last four bits are one, the most frequent of them: flat areas keep theirs exactly and
/// only the smooth edges of letters lose shades. Beyond 256, the rarest take the nearest of the others.
fn indexed(pixels: &[Rgb]) -> (Vec<Rgb>, BTreeMap<Rgb, u8>) {
    let mut counts: BTreeMap<Rgb, usize> = BTreeMap::new();
    for pixel in pixels {
        *counts.entry(*pixel).or_default() += 1;
    }
    let mut kinds: BTreeMap<Rgb, (usize, usize, Rgb)> = BTreeMap::new();
    for (pixel, count) in counts {
        let kind = kinds.entry(coarse(&pixel)).or_insert((0, 0, pixel));
        kind.0 += count;
        if count > kind.1 {
            (kind.1, kind.2) = (count, pixel);
        }
    }
    let mut order: Vec<(Rgb, (usize, usize, Rgb))> = kinds.into_iter().collect();
    order.sort_by_key(|(_, (all, _, _))| std::cmp::Reverse(*all));
    let palette: Vec<Rgb> = order.iter().take(256).map(|(_, kind)| kind.2).collect();
    let far = |a: &Rgb, b: &Rgb| -> u32 { a.iter().zip(b).map(|(x, y)| u32::from(x.abs_diff(*y)).pow(2)).sum() };
    let nearest = |pixel: &Rgb| (0..palette.len()).min_by_key(|i| far(&palette[*i], pixel)).unwrap_or(0);
    let index = order
        .iter()
        .enumerate()
        .map(|(i, (coarse, kind))| match i < palette.len() {
            true => (*coarse, i as u8),
            false => (*coarse, nearest(&kind.2) as u8),
        });
    let index = index.collect();
    (palette, index)
}

fn coarse(pixel: &Rgb) -> Rgb {
    pixel.map(|channel| channel >> 4)
}
