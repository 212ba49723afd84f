//! A published layer: for whom it is, valid, and never older than what is in force.

use super::common::bundle;
use policy::{Bundle, BundleError, Layer, Layers, Source};

const OPEN: &str = "@id(\"open\") permit (principal, action, resource);";
const SHUT: &str = "@id(\"shut\") forbid (principal, action, resource);";

#[test]
fn what_is_published_is_read_for_its_layer_and_owner_only() {
    let text = bundle(Layer::Owner, 3, OPEN).published().unwrap();
    let policies = Bundle::open(&text, Layer::Owner, "Cleveland Clinic").unwrap();
    assert_eq!((policies.layer(), policies.version()), (Layer::Owner, 3));
    for (layer, of) in [(Layer::Owner, "Basel"), (Layer::Consortium, "Cleveland Clinic")] {
        let error = Bundle::open(&text, layer, of).unwrap_err();
        assert!(matches!(error, BundleError::OtherLayer { .. }), "{error}");
    }
}

#[test]
fn nothing_faulty_is_published_and_nothing_faulty_that_was_published_all_the_same_is_taken() {
    let error = bundle(Layer::Owner, 1, "").published().unwrap_err();
    assert!(matches!(&error, BundleError::Faults(_)), "{error}");
    assert!(error.to_string().starts_with("owner.cedar: no policy"), "{error}");
    assert!(matches!(
        bundle(Layer::Owner, 0, OPEN).published(),
        Err(BundleError::NoVersion(Layer::Owner))
    ));
    assert!(matches!(
        bundle(Layer::Local, 1, OPEN).published(),
        Err(BundleError::LocalIsNotPublished)
    ));
    let open = |text: &str| Bundle::open(text, Layer::Owner, "Cleveland Clinic").unwrap_err();
    let text = bundle(Layer::Owner, 1, OPEN).published().unwrap();
    let error = open(&text.replace("principal", "nobody"));
    assert!(matches!(&error, BundleError::Faults(_)), "{error}");
    assert!(matches!(open(OPEN), BundleError::Malformed(_)));
}

#[test]
fn versions_only_rise() {
    let mut layers = Layers::default();
    let mut install =
        |layer, version, text| layers.install(policy::Policies::check(bundle(layer, version, text)).unwrap());
    assert_eq!(install(Layer::Owner, 2, OPEN), Ok(true));
    assert_eq!(
        install(Layer::Owner, 2, OPEN),
        Ok(false),
        "the very same again is nothing new"
    );
    let stale = install(Layer::Owner, 2, SHUT).unwrap_err();
    assert_eq!(
        stale,
        BundleError::Stale {
            layer: Layer::Owner,
            version: 2
        }
    );
    assert!(stale.to_string().contains("version 3"), "says what to do: {stale}");
    let rolled_back = install(Layer::Owner, 1, OPEN).unwrap_err();
    assert_eq!(
        rolled_back,
        BundleError::RolledBack {
            layer: Layer::Owner,
            current: 2,
            found: 1
        }
    );
    assert_eq!(
        install(Layer::Consortium, 1, OPEN),
        Ok(true),
        "another layer counts for itself"
    );
    assert_eq!(install(Layer::Owner, 3, SHUT), Ok(true));
    let foreign = Bundle {
        of: "Basel".into(),
        ..bundle(Layer::Owner, 4, OPEN)
    };
    let error = layers.install(policy::Policies::check(foreign).unwrap()).unwrap_err();
    assert!(matches!(error, BundleError::OtherLayer { .. }), "{error}");
    assert_eq!(
        layers.get(Layer::Owner).unwrap().version(),
        3,
        "what was refused changed nothing"
    );
}

#[test]
fn the_hash_names_layer_version_and_text() {
    let one = bundle(Layer::Owner, 1, OPEN);
    let mut others = vec![
        bundle(Layer::Owner, 2, OPEN),
        bundle(Layer::Consortium, 1, OPEN),
        bundle(Layer::Owner, 1, SHUT),
    ];
    let mut renamed = one.clone();
    renamed.sources[0] = Source {
        name: "other.cedar".into(),
        ..renamed.sources[0].clone()
    };
    others.push(renamed);
    assert!(others.iter().all(|other| other.hash() != one.hash()));
    assert_eq!(one.clone().hash(), one.hash());
}
