//! The ratio of `experiments step` without building `experiments`:
//! `cargo run --release -p tests --no-default-features --example step`; some ten seconds.

use tests::learn::step::{CASES, measure};

fn main() {
    for case in &CASES {
        match measure(case, 400) {
            Ok(cost) => println!(
                "{} {:?}, batch {}: {} parameters, plain {:.1} us, private {:.1} us, ratio {:.2}",
                case.name,
                case.hidden,
                case.batch,
                cost.parameters,
                cost.plain_seconds * 1e6,
                cost.private_seconds * 1e6,
                cost.ratio()
            ),
            Err(error) => eprintln!("{}: {error}", case.name),
        }
    }
}
