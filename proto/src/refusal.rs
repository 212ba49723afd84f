//! A refusal on the wire: the sentence as a status's message, the stable code and the remedy as its metadata. The one place where a status
//! is made, so that none goes out without them (`tests/tests/tidy.rs` looks). Costs two short headers a refusal.

use engine::{Refusal, codes};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

pub const CODE: &str = "sotto-code";
pub const REMEDY: &str = "sotto-remedy";
/// After how many milliseconds the same call is worth trying again.
pub const RETRY_MS: &str = "sotto-retry-ms";

/// A refusal under this gRPC code.
pub fn status(code: Code, refusal: &Refusal) -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert(CODE, MetadataValue::from_static(refusal.code));
    // What a header cannot hold gives way to the remedy that the code always has.
    let own = refusal.remedy.as_deref().filter(|text| !text.is_empty());
    // Bytes beyond ASCII pass into a header, and nobody reads them as text.
    let remedy = own.filter(|text| text.is_ascii());
    let remedy = remedy.and_then(|text| MetadataValue::try_from(text).ok());
    let remedy = remedy.unwrap_or_else(|| MetadataValue::from_static(codes::remedy(refusal.code)));
    metadata.insert(REMEDY, remedy);
    Status::with_metadata(code, refusal.message.clone(), metadata)
}

/// What a status says, with its code and its remedy if it came with them.
pub fn words(status: &Status) -> String {
    let told = |name| status.metadata().get(name).and_then(|value| value.to_str().ok());
    let mut words = status.message().to_owned();
    if let Some(code) = told(CODE) {
        words = format!("{code}: {words}");
    }
    if let Some(remedy) = told(REMEDY) {
        words = format!("{words} ({remedy})");
    }
    crate::printable(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_carries_its_code_and_remedy() {
        let refusal = Refusal::new(codes::QUEUE_FULL, "the queue is full").remedy("ask again at noon");
        let status = status(Code::ResourceExhausted, &refusal);
        assert_eq!(
            (status.code(), status.message()),
            (Code::ResourceExhausted, "the queue is full")
        );
        assert_eq!(status.metadata().get(CODE).unwrap(), codes::QUEUE_FULL);
        assert_eq!(status.metadata().get(REMEDY).unwrap(), "ask again at noon");
        assert_eq!(words(&status), "SOTTO-2005: the queue is full (ask again at noon)");
    }

    #[test]
    fn a_remedy_that_no_header_holds_gives_way_to_the_codes_own() {
        for unfit in ["", "first this\nthen that", "fragt früher"] {
            let refusal = Refusal::new(codes::QUEUE_FULL, "the queue is full").remedy(unfit);
            let status = status(Code::ResourceExhausted, &refusal);
            let remedy = status.metadata().get(REMEDY).unwrap();
            assert_eq!(remedy.to_str().unwrap(), codes::remedy(codes::QUEUE_FULL), "{unfit:?}");
        }
    }
}
