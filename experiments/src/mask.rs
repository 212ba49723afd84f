//! `mask`: how much slower than the bare cipher is it to expand masks and add them to a vector? One core, one thread. The
//! keystream is written to a cache-sized buffer again and again, the masks go onto a vector of 32-bit values.

use cipher::{InnerIvInit, KeyInit, StreamCipherCore};
use secagg::mask::{Seed, Sign, add_all};
use secagg::{Digest, Ring, RingVec};
use serde_json::json;

use crate::measure::median_seconds;

#[derive(clap::Args)]
pub struct Arguments {
    /// Values of the vector
    #[arg(long, default_value_t = 1_048_576)]
    dim: usize,
    /// Masks added to it
    #[arg(long, default_value_t = 63)]
    neighbours: usize,
    #[arg(long, default_value_t = 9)]
    runs: usize,
}

pub fn run(arguments: &Arguments) -> serde_json::Value {
    let bytes = arguments.dim * Ring::Z32.bytes_per_value() * arguments.neighbours;
    let context = Digest::of("experiment", &[b"mask"]);
    let masks: Vec<(Seed, Sign)> = (0..arguments.neighbours)
        .map(|i| (Seed([i as u8; 32]), if i % 2 == 0 { Sign::Plus } else { Sign::Minus }))
        .collect();
    let mut vector = RingVec::zero(Ring::Z32, arguments.dim);
    let masking = median_seconds(arguments.runs, || add_all(&masks, &context, &mut vector));

    let mut buffer = vec![0u8; 16 * 1024];
    let keystream = median_seconds(arguments.runs, || {
        let cipher = aes::Aes256::new(&[7u8; 32].into());
        let mut stream = ctr::CtrCore::<aes::Aes256, ctr::flavors::Ctr64LE>::inner_iv_init(cipher, &[0u8; 16].into());
        for _ in 0..bytes / buffer.len() {
            let (blocks, _) = cipher::Array::slice_as_chunks_mut(&mut buffer);
            stream.write_keystream_blocks(blocks);
        }
        std::hint::black_box(&mut buffer);
    });
    let rate = bytes as f64 / masking / 1e9;
    let bare = bytes as f64 / keystream / 1e9;
    json!({
        "dim": arguments.dim,
        "neighbours": arguments.neighbours,
        "seconds": masking,
        "gigabytes_per_second": rate,
        "keystream_gigabytes_per_second": bare,
        "ratio_to_keystream": rate / bare,
    })
}
