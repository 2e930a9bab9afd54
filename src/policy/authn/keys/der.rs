//! Just enough of DER (X.690) to find a public key in its container: definite lengths, one element
//! after the other, no recursion.

/// `INTEGER`.
pub(super) const INTEGER: u8 = 0x02;
/// `BIT STRING`.
pub(super) const BIT_STRING: u8 = 0x03;
/// `OCTET STRING`.
pub(super) const OCTET_STRING: u8 = 0x04;
/// `OBJECT IDENTIFIER`.
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
/// `SEQUENCE`.
pub(super) const SEQUENCE: u8 = 0x30;
/// `[0]`, constructed.
pub(super) const CONTEXT_0: u8 = 0xa0;

/// Reads elements from left to right.
#[derive(Clone, Copy)]
pub(super) struct Reader<'d>(&'d [u8]);

impl<'d> Reader<'d> {
    /// Begins with the first element of these bytes.
    pub(super) fn new(bytes: &'d [u8]) -> Self {
        Self(bytes)
    }

    /// The next element: its tag and its content.
    pub(super) fn element(&mut self) -> Option<(u8, &'d [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x83 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length =
                    digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit));
                (length, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The content of the next element, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Option<&'d [u8]> {
        self.element().and_then(|(found, content)| (found == tag).then_some(content))
    }

    /// The next element if it has this tag; else nothing is read.
    pub(super) fn optional(&mut self, tag: u8) -> Option<&'d [u8]> {
        let mut ahead = *self;
        let content = ahead.expect(tag)?;
        *self = ahead;
        Some(content)
    }

    /// A reader of what stands in the next element, which must be a `SEQUENCE`.
    pub(super) fn sequence(&mut self) -> Option<Self> {
        self.expect(SEQUENCE).map(Self)
    }

    /// A positive `INTEGER` without its leading zeros.
    pub(super) fn positive(&mut self) -> Option<&'d [u8]> {
        let mut digits = self.expect(INTEGER)?;
        if digits.first()? & 0x80 != 0 {
            return None;
        }
        while let Some((0, rest)) = digits.split_first() {
            digits = rest;
        }
        (!digits.is_empty()).then_some(digits)
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether these bytes are one DER `SEQUENCE` and nothing more, as every key container is.
pub(super) fn looks_like_a_container(bytes: &[u8]) -> bool {
    let mut reader = Reader::new(bytes);
    let Some(mut inner) = reader.sequence() else { return false };
    let first = inner.element();
    reader.is_empty() && first.is_some_and(|(tag, _)| matches!(tag, SEQUENCE | INTEGER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        assert_eq!(Reader::new(&[SEQUENCE, 3, 1, 2]).element(), None);
        assert_eq!(Reader::new(&[SEQUENCE, 0x83, 1]).element(), None);
        assert_eq!(Reader::new(&[SEQUENCE, 0x80, 0, 0]).element(), None, "indefinite");
        assert_eq!(Reader::new(&[]).element(), None);
    }

    #[test]
    fn an_integer_is_positive_or_nothing() {
        assert_eq!(Reader::new(&[INTEGER, 2, 0, 0x80]).positive(), Some(&[0x80][..]));
        assert_eq!(Reader::new(&[INTEGER, 1, 0x80]).positive(), None);
        assert_eq!(Reader::new(&[INTEGER, 1, 0]).positive(), None);
    }
}
