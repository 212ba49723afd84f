//! How fast the mask kernel and setup are. Prints; asserts only what would be a bug on any machine.
//! `cargo test --release -p secagg --test speed -- --nocapture`

mod common;

use std::time::Instant;

use common::*;
use ctr::cipher::{KeyIvInit, StreamCipher};
use secagg::*;

/// Seconds this thread has spent on a processor, where the system tells; wall time otherwise. The tests share machines.
struct Stopwatch(f64);

impl Stopwatch {
    fn start() -> Self {
        Self(Self::read())
    }

    fn seconds(&self) -> f64 {
        Self::read() - self.0
    }

    fn read() -> f64 {
        static WALL: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        let nanoseconds = std::fs::read_to_string("/proc/thread-self/schedstat")
            .ok()
            .and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
        nanoseconds.map_or_else(|| WALL.elapsed().as_secs_f64(), |ns| ns / 1e9)
    }
}

fn best_of<T>(runs: usize, mut work: impl FnMut() -> T) -> f64 {
    (0..runs)
        .map(|_| {
            let start = Stopwatch::start();
            std::hint::black_box(work());
            start.seconds()
        })
        .fold(f64::INFINITY, f64::min)
}

#[test]
fn expanding_and_adding_sixty_three_masks_runs_near_the_raw_keystream() {
    const MASKS: usize = 63;
    const DIM: usize = 1 << 20;
    let masks: Vec<(Seed, Sign)> = (0..MASKS)
        .map(|i| (Seed([i as u8; 32]), if i % 2 == 0 { Sign::Plus } else { Sign::Minus }))
        .collect();
    let ctx2 = Digest::of("test", &[b"speed"]);
    let gigabytes = (MASKS * DIM * 4) as f64 / 1e9;

    // The fastest the crates give: one key, one L1-sized buffer, a 64-bit counter.
    let mut buffer = vec![0u8; 16 * 1024];
    let keystream = best_of(5, || {
        let mut cipher = ctr::Ctr64BE::<aes::Aes256>::new(&[7; 32].into(), &[0; 16].into());
        for _ in 0..MASKS * DIM * 4 / buffer.len() {
            cipher.write_keystream(&mut buffer);
        }
        buffer[0]
    });
    for ring in [Ring::Z32, Ring::Z64] {
        let mut vector = RingVec::zero(ring, DIM * 4 / ring.bytes_per_value());
        let ours = best_of(5, || mask::add_all(&masks, &ctx2, &mut vector));
        println!(
            "{ring:?}: {:.1} GB/s of mask in {:.2} ms; raw keystream {:.1} GB/s; ratio {:.2}",
            gigabytes / ours,
            ours * 1e3,
            gigabytes / keystream,
            keystream / ours
        );
    }
}

#[test]
fn two_hundred_members_set_an_epoch_up_in_seconds() {
    let start = Stopwatch::start();
    let w = World::new(200, 10, 2, 9);
    println!("setup of 200 members, 2 slots: {:.2} s on one core", start.seconds());
    assert_eq!(w.members.n(), 200);
}

#[test]
fn ten_and_sixty_five_members_run_rounds() {
    for (n, c, dim, lost) in [(10u16, 1, 7850, 0), (10, 3, 7850, 2), (65, 21, 100_000, 6)] {
        let mut w = World::new(n, c, 2, 10);
        let drops = Drops {
            send: (1..=lost).collect(),
            ..Drops::default()
        };
        let start = Stopwatch::start();
        for slot in 0..2 {
            assert!(matches!(w.round(slot, Ring::Z32, dim, &drops), Ended::Sum(..)));
        }
        println!(
            "n = {n}, dim = {dim}, {lost} lost: {:.2} ms a round, all parties on one core",
            start.seconds() * 500.0
        );
    }
}
