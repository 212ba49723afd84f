//! The sampler against its own claim: bounds are bounds, the three steps agree, and what comes out has the law of the page, tail included.

use super::digits::Between;
use super::envelope::{Envelope, UNIFORM_SHIFT};
use super::words::Words;
use proptest::prelude::*;

fn value(digits: &[u64]) -> f64 {
    digits
        .iter()
        .rev()
        .fold(0.0, |sum, digit| sum / 2f64.powi(64) + *digit as f64)
}

#[test]
fn one_over_e_comes_out_to_192_bits() {
    // e^-1 = 0.3678794411714423215955237701614608674458111310317678345078368...
    let bounds = Between::exp_neg(1, 1, 3);
    for digits in [&bounds.low, &bounds.high] {
        assert_eq!(digits[..3], [0, 0x5e2d_58d8_b3bc_df1a, 0xbade_c782_9054_f90d]);
    }
}

proptest! {
    #[test]
    fn bounds_on_the_exponential_are_close_and_hold_the_truth(n in 0u64..1 << 40, d in 1u64..1 << 62, fraction in 2usize..5) {
        let n = (u128::from(n) * u128::from(d)) >> 37;
        let bounds = Between::exp_neg(n, d, fraction);
        prop_assert!(bounds.low < bounds.high);
        let truth = (-(n as f64 / d as f64)).exp();
        prop_assert!((value(&bounds.low) - truth).abs() < 1e-12);
        // They part only in the last digit, and more digits only bring them closer.
        prop_assert_eq!(&bounds.low[..fraction - 1], &bounds.high[..fraction - 1]);
        let closer = Between::exp_neg(n, d, fraction + 1);
        prop_assert!(bounds.low[..] <= closer.low[..=fraction] && closer.high[..=fraction] <= bounds.high[..]);
    }

    #[test]
    fn fixed_point_never_contradicts_the_exact_comparison(
        variance in prop_oneof![1u64..2000, 1u64 << 20..1 << 21, 1u64 << 50..1 << 51, (1u64 << 62) - 5..=1 << 62],
        block in any::<prop::sample::Index>(), place in any::<prop::sample::Index>(), near in -40i64..40, key in any::<u8>(),
    ) {
        let envelope = Envelope::new(variance);
        let k = block.index(envelope.blocks.len());
        let (start, offset) = (k as u64 * envelope.step, place.index(envelope.step as usize) as u64);
        let block = &envelope.blocks[k];
        // U just about p(x), where mistakes would be.
        let x = u128::from(start + offset);
        let mut p = Between::exp_neg(x * x, 2 * variance, 3);
        p.multiply_small(envelope.scale);
        p.divide_small(block.weight);
        prop_assert!(p.high[0] == 0, "accepted with probability at most 1");
        let threshold = (p.low[1] >> UNIFORM_SHIFT) as i64;
        let uniform = (threshold + near).clamp(0, (1 << 50) - 1) as u64;
        prop_assert!(block.quick as i64 <= threshold, "the quick way is never too generous");
        let mut words = Words::new(&[key; 32]);
        let exact = envelope.decide_exactly(&mut words, start + offset, envelope.scale, 0, block.weight, uniform);
        let fixed = envelope.decide_fixed(block, start, offset, uniform);
        prop_assert!(fixed.is_none_or(|fixed| fixed == exact));
        prop_assert!(near.abs() < 10 || fixed.is_some(), "undecided only within a few units of 2^-50");
        if uniform as i64 != threshold {
            prop_assert_eq!(exact, (uniform as i64) < threshold);
        }
    }
}

/// Pearson's statistic of a sample against the exact law, in standard deviations above what chance gives. Rare values share a bin.
fn surprise(variance: u64, sample: &[i64]) -> f64 {
    let v = variance as f64;
    let reach = (12.0 * v.sqrt()) as i64 + 2;
    let weight = |x: i64| (-(x as f64).powi(2) / (2.0 * v)).exp();
    let total: f64 = (-reach..=reach).map(weight).sum();
    let mut counts = vec![0f64; 2 * reach as usize + 1];
    for x in sample {
        counts[(x + reach) as usize] += 1.0;
    }
    let (mut chi, mut bins, mut expected, mut seen) = (0.0, 0.0, 0.0, 0.0);
    for (x, count) in (-reach..=reach).zip(&counts) {
        expected += weight(x) / total * sample.len() as f64;
        seen += count;
        if expected >= 10.0 {
            chi += (seen - expected).powi(2) / expected;
            bins += 1.0;
            (expected, seen) = (0.0, 0.0);
        }
    }
    (chi - (bins - 1.0)) / (2.0f64 * (bins - 1.0)).sqrt()
}

#[test]
fn a_table_cut_early_still_gives_the_law_so_its_tail_is_right() {
    for variance in [1, 3, 25, 1_000, 4_099] {
        let envelope = Envelope::cut_at(variance, 2);
        let mut words = Words::new(&[variance as u8; 32]);
        let mut sample = vec![0; 200_000];
        envelope.fill(&mut words, &mut sample);
        let beyond = sample
            .iter()
            .filter(|x| x.unsigned_abs() >= envelope.tail.start)
            .count();
        assert!(beyond > 2_000, "variance {variance}: {beyond} in the tail");
        let surprise = surprise(variance, &sample);
        assert!(surprise.abs() < 4.5, "variance {variance}: {surprise}");
    }
}

#[test]
fn the_whole_table_gives_the_law() {
    for variance in [1, 2, 7, 100, 255, 256, 1_023, 1_024, 10_007, 1_000_000] {
        let mut sample = vec![0; 1_000_000];
        Envelope::new(variance).fill(&mut Words::new(&[5; 32]), &mut sample);
        let surprise = surprise(variance, &sample);
        assert!(surprise.abs() < 4.5, "variance {variance}: {surprise}");
    }
}

#[test]
fn a_wrong_variance_would_be_noticed() {
    let mut sample = vec![0; 1_000_000];
    Envelope::new(100).fill(&mut Words::new(&[5; 32]), &mut sample);
    assert!(surprise(103, &sample) > 10.0);
}

#[test]
fn no_table_wastes_much_and_all_slots_are_spoken_for() {
    for bits in 0..=62 {
        for variance in [1u64 << bits, (1u64 << bits) / 3 * 2 + 1] {
            let envelope = Envelope::new(variance);
            assert_eq!(envelope.slots.len(), 1 << 13);
            assert!(envelope.blocks.len() <= 192);
            let empty = envelope.slots.iter().filter(|slot| **slot == 255).count();
            assert!(empty < 250, "variance {variance}: {empty} empty slots");
        }
    }
}
