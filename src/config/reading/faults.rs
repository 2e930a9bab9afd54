//! Faults as they are found, bounded, and the paths that they spoil.

use crate::config::{codes, diagnostic::Diagnostic};

/// How many faults are shown.
const MOST: usize = 200;

#[derive(Default)]
pub(super) struct Faults {
    shown: Vec<Diagnostic>,
    count: usize,
    faulty: Faulty,
}

impl Faults {
    /// How many there are, those that are not shown too. Warnings do not count.
    pub fn count(&self) -> usize {
        self.count
    }

    pub fn note(&mut self, fault: Diagnostic, path: String) {
        if fault.is_error() {
            self.count += 1;
            self.mark(&path);
        }
        if self.shown.len() < MOST {
            self.shown.push(fault);
        }
    }

    pub fn mark(&mut self, path: &str) {
        if self.faulty.0.len() < MOST * 100 {
            self.faulty.0.push(path.to_owned());
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

/// The paths in the document that have a fault. Whoever looks for further faults asks here first:
/// what is missing because it is faulty is not missing.
#[derive(Clone, Debug, Default)]
pub struct Faulty(Vec<String>);

impl Faulty {
    /// Whether anything at, beneath or around a path such as `defaults.auth` has a fault.
    pub fn touches(&self, path: &str) -> bool {
        self.0.iter().any(|faulty| is_within(faulty, path) || is_within(path, faulty))
    }

    /// Everything is.
    pub(in crate::config) fn whole() -> Self {
        Self(vec![String::new()])
    }

    pub(in crate::config) fn add(&mut self, path: &str) {
        self.0.push(path.to_owned());
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn is_within(path: &str, outer: &str) -> bool {
    let rest = path.strip_prefix(outer);
    outer.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_spoils_what_is_around_and_beneath_it() {
        let faulty = Faulty(vec!["defaults.auth[1]".to_owned()]);
        for path in ["defaults", "defaults.auth", "defaults.auth[1]", "defaults.auth[1].x"] {
            assert!(faulty.touches(path), "{path}");
        }
        for path in ["defaults.cors", "default", "defaults.auth[10]", "routes"] {
            assert!(!faulty.touches(path), "{path}");
        }
    }
}
