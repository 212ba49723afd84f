//! A published layer: signed by whoever may, for whom it is, and never older than what is in force.

use super::common::{bundle, key};
use policy::{Bundle, BundleError, Layer, Layers, SignedBundle, Source};

const OPEN: &str = "@id(\"open\") permit (principal, action, resource);";
const SHUT: &str = "@id(\"shut\") forbid (principal, action, resource);";

#[test]
fn a_signed_bundle_survives_its_file_and_verifies_for_its_layer_and_owner_only() {
    let steward = key(7);
    let signed = bundle(Layer::Owner, 3, OPEN).sign(&steward).unwrap();
    let file = serde_json::to_vec(&signed).unwrap();
    let read = SignedBundle::parse(&file).unwrap();
    let colleagues = [key(8).public(), steward.public()];
    let policies = read.verify(Layer::Owner, "Cleveland Clinic", &colleagues).unwrap();
    assert_eq!((policies.layer(), policies.version()), (Layer::Owner, 3));
    for (layer, of) in [(Layer::Owner, "Basel"), (Layer::Consortium, "Cleveland Clinic")] {
        let error = read.verify(layer, of, &colleagues).unwrap_err();
        assert!(matches!(error, BundleError::OtherLayer { .. }), "{error}");
    }
}

#[test]
fn an_unsigned_or_altered_bundle_and_one_by_another_key_are_refused() {
    let steward = key(7);
    let verify = |signed: &SignedBundle, by: &[_]| signed.verify(Layer::Owner, "Cleveland Clinic", by).unwrap_err();
    let good = bundle(Layer::Owner, 3, OPEN).sign(&steward).unwrap();
    let unsigned = SignedBundle::parse(format!("{{\"body\": {:?}}}", good.body).as_bytes()).unwrap();
    assert_eq!(verify(&unsigned, &[steward.public()]), BundleError::Unsigned);
    let altered = SignedBundle {
        body: good.body.replace("\"version\":3", "\"version\":4"),
        ..good.clone()
    };
    assert_ne!(altered.body, good.body);
    for (signed, signers) in [
        (&altered, vec![steward.public()]),
        (&good, vec![key(8).public()]),
        (&good, Vec::new()),
    ] {
        let error = verify(signed, &signers);
        assert!(matches!(error, BundleError::Signature { .. }), "{error}");
    }
    // The domain is a part of what is signed: what a steward signs elsewhere is no bundle.
    let elsewhere = SignedBundle {
        signature: steward.sign("request", good.body.as_bytes()),
        ..good.clone()
    };
    assert!(matches!(
        verify(&elsewhere, &[steward.public()]),
        BundleError::Signature { .. }
    ));
    assert!(matches!(
        SignedBundle::parse(b"permit (principal, action, resource);"),
        Err(BundleError::Malformed(_))
    ));
}

#[test]
fn nothing_faulty_is_signed_and_nothing_faulty_that_was_signed_all_the_same_is_taken() {
    let steward = key(7);
    let error = bundle(Layer::Owner, 1, "").sign(&steward).unwrap_err();
    assert!(matches!(&error, BundleError::Faults(_)), "{error}");
    assert!(error.to_string().starts_with("owner.cedar: no policy"), "{error}");
    assert!(matches!(
        bundle(Layer::Owner, 0, OPEN).sign(&steward),
        Err(BundleError::NoVersion(Layer::Owner))
    ));
    assert!(matches!(
        bundle(Layer::Local, 1, OPEN).sign(&steward),
        Err(BundleError::LocalIsNotSigned)
    ));

    let body = bundle(Layer::Owner, 1, OPEN)
        .sign(&steward)
        .unwrap()
        .body
        .replace("principal", "nobody");
    let signature = steward.sign("policy", body.as_bytes());
    let error = SignedBundle { body, signature }
        .verify(Layer::Owner, "Cleveland Clinic", &[steward.public()])
        .unwrap_err();
    assert!(matches!(&error, BundleError::Faults(_)), "{error}");
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
