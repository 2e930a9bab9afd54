//! The literal segments of all templates, in one table.

use ahash::RandomState;

use super::forest::NONE;

/// From a parent and a text to the node below: open addressing over one array, half empty.
///
/// The keys are the operator's. A client chooses what is looked for, not what is in the table,
/// so that a fixed seed is no weakness.
#[derive(Debug)]
pub(super) struct Literals {
    slots: Vec<Slot>,
    texts: Vec<u8>,
    len: usize,
    hasher: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    parent: u32,
    child: u32,
    start: u32,
    len: u32,
}

impl Slot {
    const EMPTY: Self = Self { hash: 0, parent: NONE, child: NONE, start: 0, len: 0 };
}

impl Default for Literals {
    fn default() -> Self {
        let hasher = RandomState::with_seeds(0x706f_7274, 0x6375_6c6c, 0x6973_2072, 0x6f75_7465);
        Self { slots: vec![Slot::EMPTY; 16], texts: Vec::new(), len: 0, hasher }
    }
}

impl Literals {
    /// The node below a parent that this text leads to.
    pub(super) fn find(&self, parent: u32, text: &[u8]) -> Option<u32> {
        let hash = self.hash(parent, text);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots.get(at)?;
            if slot.child == NONE {
                return None;
            }
            if slot.hash == hash && slot.parent == parent && self.text(slot) == text {
                return Some(slot.child);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds a node that [`Literals::find`] did not find.
    pub(super) fn insert(&mut self, parent: u32, text: &[u8], child: u32) {
        if (self.len + 1) * 2 > self.slots.len() {
            let doubled = vec![Slot::EMPTY; self.slots.len() * 2];
            for slot in std::mem::replace(&mut self.slots, doubled) {
                if slot.child != NONE {
                    self.place(slot);
                }
            }
        }
        let start = u32::try_from(self.texts.len()).unwrap_or(NONE);
        let len = u32::try_from(text.len()).unwrap_or(NONE);
        self.texts.extend_from_slice(text);
        self.place(Slot { hash: self.hash(parent, text), parent, child, start, len });
        self.len += 1;
    }

    fn place(&mut self, slot: Slot) {
        let mask = self.slots.len() - 1;
        let mut at = slot.hash as usize & mask;
        // INVARIANT: half of the slots are empty.
        while let Some(present) = self.slots.get_mut(at) {
            if present.child == NONE {
                *present = slot;
                return;
            }
            at = (at + 1) & mask;
        }
    }

    fn text(&self, slot: &Slot) -> &[u8] {
        let start = slot.start as usize;
        self.texts.get(start..start + slot.len as usize).unwrap_or_default()
    }

    #[expect(clippy::cast_possible_truncation, reason = "half of the hash is hash enough")]
    fn hash(&self, parent: u32, text: &[u8]) -> u32 {
        self.hasher.hash_one((parent, text)) as u32
    }
}
