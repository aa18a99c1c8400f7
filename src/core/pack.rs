//! Plain binary writing and reading: numbers in seven bits a byte, texts and bytes behind their length.
//!
//! For what is kept by the million. One value has one spelling: a number written longer than it need be is
//! refused, so that equal bytes and equal values are the same thing. Reading never allocates more than it was
//! given, and never panics whatever it was given.

use crate::digest::Digest;

/// Bytes that do not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the packed `{what}` does not read")]
pub struct Unpackable {
    /// What was expected.
    pub what: &'static str,
}

/// Where packed bytes are gathered.
#[derive(Debug, Default)]
pub(crate) struct Packer(Vec<u8>);

impl Packer {
    pub(crate) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn digest(&mut self, digest: &Digest) {
        self.raw(digest.as_bytes());
    }

    pub(crate) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.raw(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// A place in packed bytes.
#[derive(Debug, Clone)]
pub(crate) struct Unpacker<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Unpacker<'a> {
    /// Reads `bytes`, which are said to be `what`.
    pub(crate) const fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    pub(crate) const fn wrong(&self) -> Unpackable {
        Unpackable { what: self.what }
    }

    pub(crate) fn raw(&mut self, length: usize) -> Result<&'a [u8], Unpackable> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(self.wrong())?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Unpackable> {
        Ok(self.raw(1)?[0])
    }

    pub(crate) fn digest(&mut self) -> Result<Digest, Unpackable> {
        let wrong = self.wrong();
        let bytes = self.raw(32)?.try_into().map_err(|_| wrong)?;
        Ok(Digest::from_bytes(bytes))
    }

    pub(crate) fn number(&mut self) -> Result<u64, Unpackable> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits.leading_zeros() < shift || (byte == 0 && shift > 0) {
                return Err(self.wrong());
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.wrong())
    }

    /// A number of things, each at least a byte long.
    pub(crate) fn count(&mut self) -> Result<usize, Unpackable> {
        let count = usize::try_from(self.number()?).map_err(|_| self.wrong())?;
        if count > self.rest.len() {
            return Err(self.wrong());
        }
        Ok(count)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Unpackable> {
        let length = self.count()?;
        self.raw(length)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Unpackable> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| self.wrong())
    }

    /// Makes sure that nothing is left.
    pub(crate) const fn end(&self) -> Result<(), Unpackable> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.wrong())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_has_one_spelling() {
        for wrong in [&[0x80, 0x00][..], &[0x80], &[], &[0xff; 10], &[0xff; 11]] {
            assert!(
                Unpacker::new(wrong, "number").number().is_err(),
                "{wrong:x?}"
            );
        }
        let mut largest = [0xff; 10];
        largest[9] = 1;
        assert_eq!(Unpacker::new(&largest, "number").number(), Ok(u64::MAX));
        largest[9] = 2;
        assert!(Unpacker::new(&largest, "number").number().is_err());
    }

    proptest! {
        #[test]
        fn reading_is_the_inverse_of_writing(number: u64, text in ".{0,300}", byte: u8) {
            let mut packer = Packer::default();
            packer.number(number);
            packer.text(&text);
            packer.byte(byte);
            let bytes = packer.done();
            let mut unpacker = Unpacker::new(&bytes, "test");
            prop_assert_eq!(unpacker.number(), Ok(number));
            prop_assert_eq!(unpacker.text(), Ok(&*text));
            prop_assert_eq!(unpacker.byte(), Ok(byte));
            prop_assert!(unpacker.end().is_ok());
        }

        #[test]
        fn a_number_that_reads_is_written_by_the_same_bytes(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let mut unpacker = Unpacker::new(&bytes, "test");
            if let Ok(number) = unpacker.number() {
                let mut packer = Packer::default();
                packer.number(number);
                prop_assert!(bytes.starts_with(&packer.done()));
            }
        }
    }
}
