//! Canonical bytes: one encoding per value, strict and bounded in reading. Fixed-width integers are little-endian, lists and
//! strings carry a length, every message opens with a version and a type byte, and nothing may follow it.

use crate::digest::Digest;
use crate::sign::Signature;

/// Version of every encoding and signature domain in this crate.
pub const VERSION: u8 = 1;

/// Bytes that are no message of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("truncated {message}: expected {expected} more bytes, got {found}")]
    Truncated {
        message: &'static str,
        expected: usize,
        found: usize,
    },
    #[error("trailing bytes after {message}: expected 0, got {found}")]
    Trailing { message: &'static str, found: usize },
    #[error("unknown version or type of {message}: expected {expected:?}, got {found:?}")]
    Header {
        message: &'static str,
        expected: [u8; 2],
        found: [u8; 2],
    },
    #[error("oversized field of {message}: expected at most {expected}, got {found}")]
    Oversized {
        message: &'static str,
        expected: usize,
        found: usize,
    },
}

/// A message with one canonical encoding. `decode(encode(m)) == m` and `encode(decode(b)) == b`.
pub trait Message: Sized {
    /// What the message is called, in errors.
    const NAME: &'static str;
    /// Second byte of the encoding.
    const TYPE: u8;

    /// Writes the body.
    #[doc(hidden)]
    fn write(&self, out: &mut Writer);
    /// Reads the body.
    #[doc(hidden)]
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed>;

    /// The canonical bytes.
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u8(VERSION);
        out.u8(Self::TYPE);
        self.write(&mut out);
        out.into_bytes()
    }

    /// Reads canonical bytes; anything else is refused.
    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Reader {
            message: Self::NAME,
            rest: bytes,
        };
        let found = input.array::<2>()?;
        let expected = [VERSION, Self::TYPE];
        if found != expected {
            return Err(Malformed::Header {
                message: Self::NAME,
                expected,
                found,
            });
        }
        let value = Self::read(&mut input)?;
        match input.rest.len() {
            0 => Ok(value),
            found => Err(Malformed::Trailing {
                message: Self::NAME,
                found,
            }),
        }
    }
}

/// Builds an encoding.
#[derive(Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn digest(&mut self, digest: &Digest) {
        self.raw(&digest.0);
    }

    pub(crate) fn digests(&mut self, digests: &[Digest]) {
        self.count(digests.len());
        digests.iter().for_each(|d| self.digest(d));
    }

    pub(crate) fn signature(&mut self, signature: &Signature) {
        self.raw(&signature.0);
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.0.extend_from_slice(&(count as u32).to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.raw(bytes);
    }

    pub(crate) fn list<M: Message>(&mut self, list: &[M]) {
        self.count(list.len());
        list.iter().for_each(|item| item.write(self));
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Reads an encoding.
pub struct Reader<'a> {
    message: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Malformed::Truncated {
            message: self.message,
            expected: len,
            found: self.rest.len(),
        })?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut out = [0u8; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn digest(&mut self) -> Result<Digest, Malformed> {
        Ok(Digest(self.array()?))
    }

    pub(crate) fn signature(&mut self) -> Result<Signature, Malformed> {
        Ok(Signature(self.array()?))
    }

    /// A count of things that take at least `each` bytes: a lying count fails before anything is allocated for it.
    pub(crate) fn count(&mut self, most: usize, each: usize) -> Result<usize, Malformed> {
        let found = u32::from_le_bytes(self.array()?) as usize;
        if found > most {
            return Err(Malformed::Oversized {
                message: self.message,
                expected: most,
                found,
            });
        }
        if found.saturating_mul(each) > self.rest.len() {
            return Err(Malformed::Truncated {
                message: self.message,
                expected: found.saturating_mul(each),
                found: self.rest.len(),
            });
        }
        Ok(found)
    }

    pub(crate) fn bytes(&mut self, most: usize) -> Result<Vec<u8>, Malformed> {
        let len = self.count(most, 1)?;
        Ok(self.take(len)?.to_vec())
    }

    pub(crate) fn digests(&mut self, most: usize) -> Result<Vec<Digest>, Malformed> {
        let len = self.count(most, 32)?;
        (0..len).map(|_| self.digest()).collect()
    }

    pub(crate) fn list<M: Message>(&mut self, most: usize) -> Result<Vec<M>, Malformed> {
        let len = self.count(most, 1)?;
        (0..len).map(|_| M::read(self)).collect()
    }
}
