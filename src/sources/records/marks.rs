//! What was taken back, in memory.

use std::collections::HashMap;

use ahash::RandomState;

use crate::{
    model::Timestamp,
    store::{Revocation, RevocationKind},
};

/// What was taken back and could still be alive.
#[derive(Debug, Default)]
pub(super) struct Marks {
    families: Names,
    keys: Names,
    subjects: Names,
    tokens: Names,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Timestamp,
    until: Timestamp,
}

type Names = HashMap<Box<str>, Mark, RandomState>;

impl Marks {
    /// Whether what was issued then, under this name, is void. Times are compared by the second, and
    /// what was issued in the very second is void: a token says no more of its birth.
    pub fn voids(&self, kind: RevocationKind, name: &str, issued: Timestamp) -> bool {
        let mark = self.of(kind).get(name);
        mark.is_some_and(|mark| match kind {
            // The one token, the one login: it ends whenever it began.
            RevocationKind::Family | RevocationKind::Token => true,
            RevocationKind::Key | RevocationKind::Subject => issued.seconds() <= mark.at.seconds(),
        })
    }

    /// Keeps a revocation.
    pub fn put(&mut self, revocation: &Revocation) {
        let Revocation { kind, ref name, at, until } = *revocation;
        let names = self.of_mut(kind);
        match names.get_mut(name.as_str()) {
            Some(mark) => {
                *mark = Mark { at: mark.at.max(at), until: mark.until.max(until) };
            }
            None => {
                names.insert(name.as_str().into(), Mark { at, until });
            }
        }
    }

    /// Forgets what voids nothing any more.
    pub fn sweep(&mut self, now: Timestamp) {
        for names in [&mut self.families, &mut self.keys, &mut self.subjects, &mut self.tokens] {
            names.retain(|_, mark| mark.until >= now);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.families.len() + self.keys.len() + self.subjects.len() + self.tokens.len()
    }

    fn of(&self, kind: RevocationKind) -> &Names {
        match kind {
            RevocationKind::Family => &self.families,
            RevocationKind::Key => &self.keys,
            RevocationKind::Subject => &self.subjects,
            RevocationKind::Token => &self.tokens,
        }
    }

    fn of_mut(&mut self, kind: RevocationKind) -> &mut Names {
        match kind {
            RevocationKind::Family => &mut self.families,
            RevocationKind::Key => &mut self.keys,
            RevocationKind::Subject => &mut self.subjects,
            RevocationKind::Token => &mut self.tokens,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_on_a_subject_spares_what_came_later() {
        let mut marks = Marks::default();
        let at = Timestamp::from_micros(5_700_000);
        let until = Timestamp::from_seconds(100);
        for kind in [RevocationKind::Subject, RevocationKind::Token] {
            marks.put(&Revocation { kind, name: "x".into(), at, until });
        }
        let void = |kind, seconds| marks.voids(kind, "x", Timestamp::from_seconds(seconds));
        assert!(void(RevocationKind::Subject, 5) && !void(RevocationKind::Subject, 6));
        assert!(void(RevocationKind::Token, 6) && !void(RevocationKind::Key, 5));
        marks.sweep(Timestamp::from_seconds(101));
        assert_eq!(marks.len(), 0);
    }
}
