//! Vectors over Z_2^32 or Z_2^64, packed little-endian: the one representation from noise to wire to sum, so nothing is
//! converted or copied on the way. Addition runs at memory speed.

use zeroize::Zeroize;

use crate::abort::{Abort, Usage};

/// The ring that a plan's sum fits into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ring {
    /// Integers modulo 2^32.
    Z32,
    /// Integers modulo 2^64.
    Z64,
}

impl Ring {
    /// Bytes one value takes, in memory and on the wire.
    pub const fn bytes_per_value(self) -> usize {
        match self {
            Self::Z32 => 4,
            Self::Z64 => 8,
        }
    }
}

/// A vector of ring values. No `Debug`: before masking it is data.
#[derive(Clone, PartialEq, Eq)]
pub struct RingVec {
    ring: Ring,
    bytes: Vec<u8>,
}

impl RingVec {
    /// Reduces each value modulo the ring.
    pub fn from_i64s(ring: Ring, values: &[i64]) -> Self {
        let mut bytes = Vec::with_capacity(values.len() * ring.bytes_per_value());
        match ring {
            Ring::Z32 => values
                .iter()
                .for_each(|v| bytes.extend_from_slice(&(*v as u32).to_le_bytes())),
            Ring::Z64 => values.iter().for_each(|v| bytes.extend_from_slice(&v.to_le_bytes())),
        }
        Self { ring, bytes }
    }

    /// The zero vector of `dim` values.
    pub fn zero(ring: Ring, dim: usize) -> Self {
        Self {
            ring,
            bytes: vec![0; dim * ring.bytes_per_value()],
        }
    }

    /// Takes packed little-endian values as they came off the wire.
    pub fn from_bytes(ring: Ring, bytes: Vec<u8>) -> Result<Self, Abort> {
        if !bytes.len().is_multiple_of(ring.bytes_per_value()) {
            return Err(Abort::Usage(Usage::VectorLength {
                expected: bytes.len().next_multiple_of(ring.bytes_per_value()),
                found: bytes.len(),
            }));
        }
        Ok(Self { ring, bytes })
    }

    /// The ring.
    pub fn ring(&self) -> Ring {
        self.ring
    }

    /// Number of values.
    pub fn dim(&self) -> usize {
        self.bytes.len() / self.ring.bytes_per_value()
    }

    /// The values lifted to the integers nearest zero: -2^31..2^31 or -2^63..2^63.
    pub fn to_i64s(&self) -> Vec<i64> {
        match self.ring {
            Ring::Z32 => {
                let (values, _) = self.bytes.as_chunks::<4>();
                values.iter().map(|v| i64::from(i32::from_le_bytes(*v))).collect()
            }
            Ring::Z64 => {
                let (values, _) = self.bytes.as_chunks::<8>();
                values.iter().map(|v| i64::from_le_bytes(*v)).collect()
            }
        }
    }

    /// Adds `other`, value by value, modulo the ring.
    pub fn add_assign(&mut self, other: &RingVec) -> Result<(), Abort> {
        if self.ring != other.ring {
            return Err(Abort::Usage(Usage::RingMismatch {
                expected: self.ring,
                found: other.ring,
            }));
        }
        if self.bytes.len() != other.bytes.len() {
            return Err(Abort::Usage(Usage::VectorLength {
                expected: self.bytes.len(),
                found: other.bytes.len(),
            }));
        }
        match self.ring {
            Ring::Z32 => {
                let (ours, _) = self.bytes.as_chunks_mut::<4>();
                let (theirs, _) = other.bytes.as_chunks::<4>();
                for (a, b) in ours.iter_mut().zip(theirs) {
                    *a = u32::from_le_bytes(*a)
                        .wrapping_add(u32::from_le_bytes(*b))
                        .to_le_bytes();
                }
            }
            Ring::Z64 => {
                let (ours, _) = self.bytes.as_chunks_mut::<8>();
                let (theirs, _) = other.bytes.as_chunks::<8>();
                for (a, b) in ours.iter_mut().zip(theirs) {
                    *a = u64::from_le_bytes(*a)
                        .wrapping_add(u64::from_le_bytes(*b))
                        .to_le_bytes();
                }
            }
        }
        Ok(())
    }

    /// The packed values.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The packed values, moved out.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Zeroize for RingVec {
    fn zeroize(&mut self) {
        self.bytes.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lift_to_the_integers_nearest_zero() {
        let values = [0, 1, -1, i64::from(i32::MAX), i64::from(i32::MIN)];
        for ring in [Ring::Z32, Ring::Z64] {
            assert_eq!(RingVec::from_i64s(ring, &values).to_i64s(), values);
        }
        assert_eq!(RingVec::from_i64s(Ring::Z32, &[1 << 32]).to_i64s(), [0]);
    }

    #[test]
    fn sums_wrap_and_unequal_shapes_are_refused() {
        let mut sum = RingVec::from_i64s(Ring::Z64, &[i64::MAX, -5]);
        sum.add_assign(&RingVec::from_i64s(Ring::Z64, &[1, 7])).unwrap();
        assert_eq!(sum.to_i64s(), [i64::MIN, 2]);
        assert!(sum.add_assign(&RingVec::zero(Ring::Z64, 3)).is_err());
        assert!(sum.add_assign(&RingVec::zero(Ring::Z32, 2)).is_err());
        assert!(RingVec::from_bytes(Ring::Z32, vec![0; 5]).is_err());
    }
}
