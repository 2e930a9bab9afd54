//! Faults as they are found, bounded, and what they spoil.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{codes, diagnostic::Diagnostic, document::Site};

/// How many faults are shown.
const MOST: usize = 200;

#[derive(Default)]
pub(super) struct Faults {
    shown: Vec<Diagnostic>,
    count: usize,
    faulty: Faulty,
}

impl Faults {
    pub fn note(&mut self, fault: Diagnostic, path: String) {
        if fault.is_error() {
            self.count += 1;
            self.mark(path);
        }
        if self.shown.len() < MOST {
            self.shown.push(fault);
        }
    }

    pub fn mark(&mut self, path: String) {
        if self.faulty.paths.len() < MOST * 100 {
            self.faulty.paths.insert(path);
        }
    }

    /// A key of this mapping was left out.
    pub fn lose(&mut self, mapping: Site<'_>, key: &str) {
        if self.faulty.lost.len() < MOST * 100 {
            self.faulty.lost.entry(mapping.range().start).or_default().push(key.to_owned());
        }
    }

    pub fn finish(mut self) -> (Vec<Diagnostic>, Faulty) {
        if self.count > MOST {
            let message = format!("{} faults more are not shown", self.count - MOST);
            self.shown.push(Diagnostic::of_file(codes::TOO_MANY_FAULTS, message));
        }
        (self.shown, self.faulty)
    }
}

/// What in the document has a fault. Whoever looks for further faults asks here first: what is
/// missing because it was refused is not missing.
#[derive(Clone, Debug, Default)]
pub struct Faulty {
    /// Every path with a fault.
    paths: BTreeSet<String>,
    /// Keys that were left out: by where their mapping begins.
    lost: BTreeMap<usize, Vec<String>>,
    /// Whether nothing could be read.
    whole: bool,
}

impl Faulty {
    /// Whether anything at, beneath or around a path such as `defaults.auth` has a fault.
    pub fn touches(&self, path: &str) -> bool {
        let beneath = |mark: char| {
            let from = format!("{path}{mark}");
            let next = self.paths.range(from.clone()..).next();
            next.is_some_and(|found| found.starts_with(&from))
        };
        let around = path.match_indices(['.', '[']).filter_map(|(end, _)| path.get(..end));
        self.whole
            || around.chain([path]).any(|outer| self.paths.contains(outer))
            || beneath('.')
            || beneath('[')
    }

    /// Whether a key of this mapping was left out: because of what stands there, or because it is
    /// what a mistyped key is likely meant to be.
    pub fn lacks(&self, mapping: Site<'_>, key: &str) -> bool {
        let lost = self.lost.get(&mapping.range().start);
        self.whole || lost.is_some_and(|keys| keys.iter().any(|lost| lost == key))
    }

    /// Whether anything within this value was left out.
    pub fn lacks_within(&self, value: Site<'_>) -> bool {
        self.whole || self.lost.range(value.range()).next().is_some()
    }

    /// Everything is.
    pub(in crate::config) fn whole() -> Self {
        Self { whole: true, ..Self::default() }
    }

    pub(in crate::config) fn add(&mut self, path: &str) {
        self.paths.insert(path.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_spoils_what_is_around_and_beneath_it() {
        let mut faulty = Faulty::default();
        faulty.add("defaults.auth[1]");
        for path in ["defaults", "defaults.auth", "defaults.auth[1]", "defaults.auth[1].x"] {
            assert!(faulty.touches(path), "{path}");
        }
        for path in ["defaults.cors", "default", "defaults.auth[10]", "routes"] {
            assert!(!faulty.touches(path), "{path}");
        }
        assert!(Faulty::whole().touches("routes"));
    }
}
