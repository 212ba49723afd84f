//! What one round leaves to the next: the model, the optimiser's vectors and the curve of losses, in bytes that every
//! agent recomputes and compares. Doubles little-endian behind a fixed head; reading refuses whatever does not fit the plan.

use super::curve::Curve;
use super::plan::TrainPlan;
use governance::ContentHash;

const MAGIC: &[u8; 8] = b"svtrain\x02";

#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Rounds that were absorbed.
    pub round: u32,
    pub parameters: Vec<f64>,
    /// Of the optimiser, each as long as the parameters: momentum; first and second moment; or, for scaffold, the
    /// server's control variate and the parameters that it was measured at.
    pub memory: Vec<Vec<f64>>,
    /// Loss and count of the rounds so far; no step reads it.
    pub curve: Curve,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    #[error("malformed state: expected the bytes `svtrain` and version 2")]
    Magic,
    #[error("mismatched state: expected {expected} bytes, got {found}")]
    Length { expected: usize, found: usize },
    #[error("mismatched state: expected {expected} vectors of {parameters} numbers")]
    Shape { expected: usize, parameters: usize },
    #[error("malformed state: round {round} of {rounds}")]
    Round { round: u32, rounds: u32 },
    #[error("malformed state: a variance of the curve is below zero")]
    Curve,
    #[error("malformed state: a number is not finite")]
    NotFinite,
}

impl State {
    /// Where every agent starts.
    pub fn initial(plan: &TrainPlan) -> Self {
        let parameters = match &plan.task.start {
            None => plan.shape.initial(plan.task.seed),
            // Unwrap safety: no plan is made, or read from bytes, whose start was not read.
            Some(start) => start
                .weights(plan.shape.parameters())
                .expect("the start of a plan was checked"),
        };
        let memory = super::server::initial_memory(plan, &parameters);
        Self {
            round: 0,
            parameters,
            memory,
            curve: Curve::default(),
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let vectors = 1 + self.memory.len();
        let curve = self.curve.numbers();
        let mut bytes = Vec::with_capacity(HEAD + 8 * (vectors * self.parameters.len() + curve.len()));
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.round.to_le_bytes());
        bytes.extend_from_slice(&(vectors as u32).to_le_bytes());
        bytes.extend_from_slice(&(self.parameters.len() as u64).to_le_bytes());
        for vector in std::iter::once(&self.parameters).chain(&self.memory) {
            vector.iter().for_each(|x| bytes.extend_from_slice(&x.to_le_bytes()));
        }
        curve.iter().for_each(|x| bytes.extend_from_slice(&x.to_le_bytes()));
        bytes
    }

    /// The inverse of `to_bytes` for a state of this plan.
    pub fn from_bytes(bytes: &[u8], plan: &TrainPlan) -> Result<Self, StateError> {
        let (parameters, vectors) = (plan.shape.parameters(), 1 + super::server::memories(plan));
        let Some((head, body)) = bytes.split_at_checked(HEAD) else {
            return Err(StateError::Length {
                expected: HEAD,
                found: bytes.len(),
            });
        };
        if head[..8] != *MAGIC {
            return Err(StateError::Magic);
        }
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let length = u64::from(word(16)) | u64::from(word(20)) << 32;
        if word(12) as usize != vectors || length != parameters as u64 {
            return Err(StateError::Shape {
                expected: vectors,
                parameters,
            });
        }
        let (round, rounds) = (word(8), plan.task.rounds);
        if round > rounds {
            return Err(StateError::Round { round, rounds });
        }
        let expected = 8 * (vectors * parameters + Curve::numbers_after(round));
        if body.len() != expected {
            return Err(StateError::Length {
                expected: HEAD + expected,
                found: bytes.len(),
            });
        }
        let numbers: Vec<f64> = body.as_chunks::<8>().0.iter().map(|x| f64::from_le_bytes(*x)).collect();
        if numbers.iter().any(|x| !x.is_finite()) {
            return Err(StateError::NotFinite);
        }
        let (vectors, curve) = numbers.split_at(vectors * parameters);
        let mut vectors = vectors.chunks(parameters).map(<[f64]>::to_vec);
        Ok(Self {
            round,
            parameters: vectors.next().unwrap_or_default(),
            memory: vectors.collect(),
            curve: Curve::from_numbers(curve).ok_or(StateError::Curve)?,
        })
    }

    /// The name of this point of the run.
    pub fn hash(&self) -> ContentHash {
        ContentHash::of("training state", &[&self.to_bytes()])
    }
}

/// Magic, round, number of vectors, length of each.
const HEAD: usize = 24;
