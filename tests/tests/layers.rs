//! Policies in a simulated consortium, in the three layers that ship: the consortium's and an owner's as acts through the coordinator's
//! door, the local one from an agent's own disk. Another layer admits nothing that was refused without it.

use std::collections::BTreeSet;

use engine::{JobId, coordinator};
use governance::What;
use governance::act::{By, Layer as Published};
use governance::log::event::Role;
use policy::{Bundle, Layer, Policies, Source};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tests::sim::Story;

/// What somebody may publish: narrow and wide, for others and for nobody.
const TEXTS: &[&str] = &[
    "@id(\"open\") permit (principal, action, resource);",
    "@id(\"open\") permit (principal, action, resource);\n@id(\"no-planning\") forbid (principal, action, resource) when { context.purpose == Purpose::\"planning\" };",
    "@id(\"research\") permit (principal, action, resource) when { context.purpose in Purpose::\"research\" };",
    "@id(\"small\") permit (principal, action, resource) when { context.epsilon.lessThan(decimal(\"0.5\")) };",
    "@id(\"ada\") permit (principal == Analyst::\"ada\", action == Action::\"query\", resource);",
    "@id(\"train\") permit (principal, action == Action::\"train\", resource);",
    "@id(\"open\") permit (principal, action, resource);\n@id(\"sums\") forbid (principal, action, resource) when { context.aggregates.contains(\"SUM\") };",
    "@id(\"late\") permit (principal, action, resource) when { context.time.hour < 24 && context.cohort >= 3 };",
];

/// One layer of one owner, or of all.
#[derive(Clone, Copy, Debug)]
struct Piece {
    layer: Layer,
    owner: usize,
    text: usize,
}

impl Piece {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        let layers = [Layer::Consortium, Layer::Owner, Layer::Local];
        Self {
            layer: layers[rng.random_range(0..layers.len())],
            owner: rng.random_range(0..4),
            text: rng.random_range(0..TEXTS.len()),
        }
    }

    /// What it stands in the place of.
    fn place(&self) -> (Layer, usize) {
        (self.layer, if self.layer == Layer::Consortium { 0 } else { self.owner })
    }
}

fn source(text: usize) -> Source {
    Source {
        name: "policies.cedar".to_owned(),
        text: TEXTS[text].to_owned(),
    }
}

/// Puts a layer in force as its people would.
fn publish(w: &mut Story, piece: Piece) {
    let Piece { layer, owner, text } = piece;
    let organisation = w.world.organisation(owner);
    if layer == Layer::Local {
        let local = Policies::local(&organisation, vec![source(text)]).unwrap();
        w.world.consortium.local[owner].install(local).unwrap();
        return w.participant(owner).restart();
    }
    let of = match layer {
        Layer::Consortium => w.world.consortium.roster.consortium.clone(),
        _ => organisation.clone(),
    };
    let bundle = Bundle {
        layer,
        of: of.clone(),
        version: 1,
        sources: vec![source(text)],
    };
    let bundle = bundle.published().unwrap();
    let signed = match layer {
        Layer::Consortium => {
            let by = By {
                role: Role::Governance,
                id: of.clone(),
                organisation: of,
            };
            let layer = Published::Consortium;
            let what = What::PolicyPublished {
                layer,
                version: 1,
                bundle,
            };
            w.world.signed_act(by, what, &w.world.consortium.governance)
        }
        _ => {
            let layer = Published::Owner(organisation);
            w.world.steward_says(
                owner,
                What::PolicyPublished {
                    layer,
                    version: 1,
                    bundle,
                },
            )
        }
    };
    let taken = w.world.tell_coordinator(coordinator::Input::Act(signed));
    assert!(matches!(taken, Some(Ok(_))), "{taken:?}");
}

/// Which agents take part in which of a few questions under these layers.
fn admitted(pieces: &[Piece]) -> BTreeSet<(usize, usize)> {
    let mut w = Story::of(4, 1);
    pieces.iter().for_each(|piece| publish(&mut w, *piece));
    w.wait(60_000);
    let asked = [("research", 1.0), ("planning", 1.0), ("research", 0.1)].map(|(purpose, epsilon)| {
        let mut request = w.question();
        (request.purpose, request.epsilon) = (purpose.to_owned(), epsilon);
        w.submit(request)
    });
    w.wait(90_000);
    let accepted = |agent: usize, job: &JobId| {
        let said = format!("site-{agent:02}: Accepted {{ job: job {job}");
        w.world.trace.iter().any(|line| line.contains(&said))
    };
    let all = (0..4).flat_map(|agent| {
        asked
            .iter()
            .enumerate()
            .map(move |(question, job)| (agent, question, *job))
    });
    let took = all.filter(|(agent, _, job)| accepted(*agent, job));
    took.map(|(agent, question, _)| (agent, question)).collect()
}

#[test]
fn another_layer_in_a_consortium_admits_nothing_that_was_refused_without_it() {
    let (mut took_part, mut narrowed) = (0, 0);
    for seed in 0..30 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut pieces: Vec<Piece> = Vec::new();
        let wanted = rng.random_range(1..=4);
        while pieces.len() <= wanted {
            let piece = Piece::draw(&mut rng);
            if pieces.iter().all(|other| other.place() != piece.place()) {
                pieces.push(piece);
            }
        }
        let (with, without) = (admitted(&pieces), admitted(&pieces[..wanted]));
        let more: Vec<_> = with.difference(&without).collect();
        assert!(
            more.is_empty(),
            "seed {seed}: {:?} admits {more:?} beside {:?}",
            pieces[wanted],
            &pieces[..wanted]
        );
        took_part += with.len();
        narrowed += without.len() - with.len();
    }
    assert!(
        took_part > 50 && narrowed > 20,
        "{took_part} took part, {narrowed} were refused by the added layer"
    );
}
