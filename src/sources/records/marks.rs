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
    revision: i64,
}

type Names = HashMap<Box<str>, Mark, RandomState>;

impl Marks {
    /// Whether what was issued then, under this name, is void: in an earlier second, or by a gateway
    /// that had not heard of the change, whatever the clocks say. What does not tell how much its
    /// gateway had heard is void also in the very second: it says no more of its birth.
    pub fn voids(
        &self,
        kind: RevocationKind,
        name: &str,
        issued: Timestamp,
        heard: Option<i64>,
    ) -> bool {
        let mark = self.of(kind).get(name);
        mark.is_some_and(|mark| match kind {
            // The one token, the one login: it ends whenever it began.
            RevocationKind::Family | RevocationKind::Token => true,
            RevocationKind::Key | RevocationKind::Subject => match heard {
                None => issued.seconds() <= mark.at.seconds(),
                Some(heard) => heard < mark.revision || issued.seconds() < mark.at.seconds(),
            },
        })
    }

    /// Keeps a revocation.
    pub fn put(&mut self, revocation: &Revocation) {
        let Revocation { kind, ref name, at, until, revision } = *revocation;
        let names = self.of_mut(kind);
        match names.get_mut(name.as_str()) {
            Some(mark) => {
                let (at, until) = (mark.at.max(at), mark.until.max(until));
                *mark = Mark { at, until, revision: mark.revision.max(revision) };
            }
            None => {
                names.insert(name.as_str().into(), Mark { at, until, revision });
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
            marks.put(&Revocation { kind, name: "x".into(), at, until, revision: 7 });
        }
        let void = |kind, seconds| marks.voids(kind, "x", Timestamp::from_seconds(seconds), None);
        assert!(void(RevocationKind::Subject, 5) && !void(RevocationKind::Subject, 6));
        assert!(void(RevocationKind::Token, 6) && !void(RevocationKind::Key, 5));
        let heard = |seconds, heard| {
            let issued = Timestamp::from_seconds(seconds);
            marks.voids(RevocationKind::Subject, "x", issued, Some(heard))
        };
        assert!(heard(6, 6), "whoever issued it had not heard of the change");
        assert!(!heard(5, 7), "in the same second and after the change");
        assert!(heard(4, 7), "a store that was set back counts its changes anew");
        marks.sweep(Timestamp::from_seconds(101));
        assert_eq!(marks.len(), 0);
    }
}
