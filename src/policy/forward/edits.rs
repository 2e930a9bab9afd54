//! Changes whose values are made for one request. Their texts stand one after another in one piece
//! of memory, and the values share it: a request's dozen headers are not a dozen allocations.

use std::ops::Range;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::HeaderEdit;

/// Changes in their order, some with values that are still being written.
#[derive(Debug)]
pub(super) struct Edits {
    /// What is finished; of what is not, the place is kept.
    pub list: Vec<HeaderEdit>,
    text: Vec<u8>,
    /// Which edits wait for which part of the text.
    waiting: SmallVec<[(usize, Range<usize>); 16]>,
}

impl Edits {
    /// Room for so many changes, and for so many bytes of text.
    pub fn with_capacity(edits: usize, bytes: usize) -> Self {
        Self {
            list: Vec::with_capacity(edits),
            text: Vec::with_capacity(bytes),
            waiting: SmallVec::new(),
        }
    }

    /// Sets a header to what is written to the end of the text; where nothing comes of that,
    /// neither does a change.
    pub fn set(
        &mut self,
        name: HeaderName,
        write: impl FnOnce(&mut Vec<u8>) -> Option<()>,
    ) -> Option<Range<usize>> {
        let start = self.text.len();
        if write(&mut self.text).is_none() {
            self.text.truncate(start);
            return None;
        }
        let written = start..self.text.len();
        self.set_again(name, written.clone());
        Some(written)
    }

    /// Sets a header to a text that another has too.
    pub fn set_again(&mut self, name: HeaderName, written: Range<usize>) {
        self.waiting.push((self.list.len(), written));
        self.list.push(HeaderEdit::Set(name, HeaderValue::from_static("")));
    }

    /// The changes; a header whose text no header may hold is absent.
    pub fn finish(self) -> Vec<HeaderEdit> {
        let Self { mut list, text, waiting } = self;
        let text = Bytes::from(text);
        for (place, range) in waiting {
            let Some(HeaderEdit::Set(name, value)) = list.get_mut(place) else { continue };
            match HeaderValue::from_maybe_shared(text.slice(range)) {
                Ok(written) => *value = written,
                Err(_) => {
                    let absent = HeaderEdit::Remove(name.clone());
                    if let Some(edit) = list.get_mut(place) {
                        *edit = absent;
                    }
                }
            }
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: HeaderName = HeaderName::from_static("x-a");
    const B: HeaderName = HeaderName::from_static("x-b");

    #[test]
    fn every_header_has_its_own_part_of_the_text() {
        let mut edits = Edits::with_capacity(2, 0);
        let write = |text: &'static str| {
            move |out: &mut Vec<u8>| {
                out.extend_from_slice(text.as_bytes());
                Some(())
            }
        };
        let one = edits.set(A, write("one")).unwrap();
        edits.list.push(HeaderEdit::Remove(B));
        edits.set(B, |out| {
            out.extend_from_slice(b"half of it");
            None
        });
        edits.set(B, write("two"));
        edits.set_again(A, one);
        let set = |name, text| HeaderEdit::Set(name, HeaderValue::from_static(text));
        assert_eq!(
            edits.finish(),
            [set(A, "one"), HeaderEdit::Remove(B), set(B, "two"), set(A, "one")]
        );
    }

    #[test]
    fn a_text_that_is_no_header_value_leaves_the_header_absent() {
        let mut edits = Edits::with_capacity(1, 0);
        edits.set(A, |out| {
            out.extend_from_slice(b"a\r\nx-b: c");
            Some(())
        });
        assert_eq!(edits.finish(), [HeaderEdit::Remove(A)]);
    }
}
