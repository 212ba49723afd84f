//! The published vectors (`vectors/accounting.json`, with their source): never below the exact value, within 2 % of the Renyi reference.

use privacy::cost::{
    GaussianTerms, distributed_gaussian, epsilon, poisson_sampled, rho_for, rho_to_epsilon, single_count_epsilon,
};
use privacy::{Charge, audit};
use serde_json::Value;

/// Vectors are printed with six decimals.
const PRINTED: f64 = 1e-6;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/accounting.json")).unwrap()
}

/// A continuous or central discrete Gaussian of this sd and sensitivity 1, scaled so that the variance is an integer.
fn gaussian(sigma: f64) -> Charge {
    let variance = (sigma * sigma * 10_000.0).round() as u64;
    distributed_gaussian(&GaussianTerms {
        shares: 1,
        variance,
        l2_squared: 10_000,
        l1: 100,
        dim: 1,
    })
}

/// A distributed one of local sd `sd` at sensitivity 1 in one dimension.
fn count(shares: u32, sd: f64) -> Charge {
    distributed_gaussian(&GaussianTerms {
        shares,
        variance: (sd * sd) as u64,
        l2_squared: 1,
        l1: 1,
        dim: 1,
    })
}

/// A model of the vectors: clip norm `clip` on the lattice, noise multiplier 1, the norm bound of rounding with beta = exp(-1/2).
fn model(shares: u32, clip: u128, dim: u64) -> Charge {
    let wide = u128::from(dim);
    let root = u128::from(dim.isqrt());
    let l2_squared = clip * clip + wide / 4 + clip + root / 2;
    let variance = (clip * clip).div_ceil(u128::from(shares)) as u64;
    distributed_gaussian(&GaussianTerms {
        shares,
        variance,
        l2_squared,
        l1: clip * root,
        dim,
    })
}

#[test]
fn every_case_is_above_the_exact_value_and_near_the_renyi_reference() {
    let mut done = 0;
    for case in vectors()["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let number = |key: &str| case[key].as_f64();
        let need = |key: &str| number(key).unwrap_or_else(|| panic!("{name} has no {key}"));
        let delta = need("delta");
        let compositions = number("compositions").unwrap_or(1.0) as u64;
        let charges: Vec<Charge> = match case["mechanism"].as_str().unwrap() {
            "gaussian" | "discrete_gaussian" => vec![gaussian(need("sigma"))],
            "poisson_gaussian" => vec![poisson_sampled(&gaussian(need("sigma")), need("q"))],
            "distributed_discrete_gaussian" if number("clip_scale").is_some() => [5, 100]
                .map(|shares| model(shares, need("clip_scale") as u128, need("dimension") as u64))
                .to_vec(),
            "distributed_discrete_gaussian" => vec![count(need("n") as u32, need("local_sd"))],
            "zcdp" => {
                let ours = rho_to_epsilon(need("rho"), delta);
                assert!(
                    ours >= need("epsilon_cks20") && ours < need("epsilon_cks20") * (1.0 + 1e-9),
                    "{name}: {ours}"
                );
                assert!(rho_for(ours, delta) <= need("rho") * (1.0 + 1e-11), "{name}");
                done += 1;
                continue;
            }
            // Sottovoce releases no Laplace noise: there is nothing of ours to compare.
            "laplace" => continue,
            other => panic!("{name}: unknown mechanism {other}"),
        };
        for charge in charges {
            let run = charge.times(compositions);
            let ours = epsilon(&run, delta);
            for exact in ["epsilon_pld", "epsilon_exact_hockey_stick"] {
                if let Some(exact) = number(exact) {
                    assert!(ours + PRINTED >= exact, "{name}: {ours} is below the exact {exact}");
                }
            }
            if let (Some(exact), Some(delta)) = (number("epsilon_pld_delta2"), number("delta2")) {
                assert!(
                    epsilon(&run, delta) + PRINTED >= exact,
                    "{name}: below the exact value at {delta}"
                );
            }
            for reference in ["epsilon_rdp", "epsilon_rdp_with_tau"] {
                if let Some(reference) = number(reference) {
                    let ratio = ours / reference;
                    println!("{name}: {ours:.6}, {ratio:.5} of the renyi reference");
                    assert!((0.98..1.02).contains(&ratio), "{name}: {ours} against {reference}");
                }
            }
            done += 1;
        }
    }
    assert_eq!(done, 13);
}

#[test]
fn the_exact_figure_of_a_count_is_the_published_one() {
    let mut done = 0;
    for case in vectors()["cases"].as_array().unwrap() {
        let Some(exact) = case["epsilon_exact_hockey_stick"].as_f64() else {
            continue;
        };
        let sd = case["local_sd"].as_f64().unwrap();
        let shares = case["n"].as_u64().unwrap() as u32;
        let ours = single_count_epsilon(shares, (sd * sd) as u64, 1, case["delta"].as_f64().unwrap()).unwrap();
        assert!(
            ours + PRINTED >= exact && ours < exact + 1e-5,
            "{}: {ours} against {exact}",
            case["name"]
        );
        done += 1;
    }
    assert_eq!(done, 3);
}

#[test]
fn one_run_audits_give_the_published_lower_bounds() {
    let bounds = &vectors()["one_run_audit_lower_bounds"];
    let (p, delta) = (bounds["p"].as_f64().unwrap(), bounds["delta"].as_f64().unwrap());
    for case in bounds["cases"].as_array().unwrap() {
        let count = |key: &str| case[key].as_u64().unwrap();
        let ours = audit::one_run_lower_bound(count("m"), count("r"), count("v"), p, delta);
        let published = case["epsilon"].as_f64().unwrap();
        assert!((ours - published).abs() < 2e-6, "{case}: {ours}");
    }
}
