//! Ids of requests.

use std::{
    fmt,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use ahash::RandomState;
use smallvec::SmallVec;

/// A request's id: what the client sent if that is one, else a fresh one.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(SmallVec<[u8; 40]>);

/// The digits of every byte.
#[expect(clippy::indexing_slicing, reason = "worked out when it is compiled")]
const HEX: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

impl RequestId {
    /// 32 hexadecimal digits that nobody outside can foresee.
    #[expect(clippy::indexing_slicing, reason = "a byte is an index of a table of 256")]
    pub fn fresh() -> Self {
        // Two keyed hashes of a counter: as unforeseeable as the keys, without a system call.
        static KEYS: LazyLock<[RandomState; 2]> =
            LazyLock::new(|| [RandomState::new(), RandomState::new()]);
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut digits = [0; 32];
        for (key, half) in KEYS.iter().zip(digits.chunks_exact_mut(16)) {
            for (digits, byte) in half.chunks_exact_mut(2).zip(key.hash_one(number).to_le_bytes()) {
                digits.copy_from_slice(&HEX[usize::from(byte)]);
            }
        }
        Self(SmallVec::from_slice(&digits))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl From<&str> for RequestId {
    fn from(text: &str) -> Self {
        Self(SmallVec::from_slice(text.as_bytes()))
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_ids_differ_and_are_ids() {
        let ids: std::collections::HashSet<_> =
            (0..1000).map(|_| RequestId::fresh().as_str().to_owned()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(
            ids.iter().all(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
        );
    }
}
