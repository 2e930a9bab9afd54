//! Which host patterns a host matches, narrowest first: exact, then wildcards, then any.

use std::collections::HashMap;

use ahash::RandomState;
use smallvec::SmallVec;

use super::fault::RouteFault;
use super::host::{Host, HostPattern};
use super::table::Entry;

/// The host patterns of all routes; a pattern is known by its place, which is also the place of
/// its tree's root.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    pub(super) patterns: Vec<Option<HostPattern>>,
    exact: HashMap<Box<str>, u32, RandomState>,
    wildcards: HashMap<Box<str>, u32, RandomState>,
    any: Option<u32>,
}

impl Hosts {
    pub(super) fn of(entries: &[Entry]) -> Self {
        let mut hosts = Self::default();
        for entry in entries {
            if entry.hosts.is_empty() && hosts.any.is_none() {
                hosts.any = Some(hosts.next());
                hosts.patterns.push(None);
            }
            for pattern in &entry.hosts {
                if hosts.place(pattern).is_none() {
                    let next = hosts.next();
                    match pattern {
                        HostPattern::Exact(name) => hosts.exact.insert(name.clone(), next),
                        HostPattern::Wildcard(name) => hosts.wildcards.insert(name.clone(), next),
                    };
                    hosts.patterns.push(Some(pattern.clone()));
                }
            }
        }
        hosts
    }

    fn next(&self) -> u32 {
        u32::try_from(self.patterns.len()).unwrap_or(u32::MAX)
    }

    fn place(&self, pattern: &HostPattern) -> Option<u32> {
        match pattern {
            HostPattern::Exact(name) => self.exact.get(name).copied(),
            HostPattern::Wildcard(name) => self.wildcards.get(name).copied(),
        }
    }

    /// The places of an entry's patterns, each once.
    pub(super) fn of_entry(&self, entry: &Entry) -> Vec<u32> {
        if entry.hosts.is_empty() {
            return self.any.into_iter().collect();
        }
        let mut places: Vec<u32> = entry.hosts.iter().filter_map(|host| self.place(host)).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    pub(super) fn pattern(&self, place: u32) -> Option<&HostPattern> {
        self.patterns.get(place as usize).and_then(Option::as_ref)
    }

    /// The places of the patterns that a host matches, narrowest first.
    pub(super) fn candidates(&self, host: &str) -> Result<SmallVec<[u32; 4]>, RouteFault> {
        let mut places = SmallVec::new();
        if !host.is_empty() {
            let host = Host::parse(host).ok_or(RouteFault::MalformedHost)?;
            if !self.exact.is_empty()
                && let Some(place) = self.exact.get(host.as_str())
            {
                places.push(*place);
            }
            if !self.wildcards.is_empty() {
                for domain in host.domains() {
                    if let Some(place) = self.wildcards.get(domain) {
                        places.push(*place);
                    }
                }
            }
        }
        if let Some(place) = self.any {
            places.push(place);
        }
        Ok(places)
    }

    /// The places of the patterns that take every host that this one takes, narrowest first,
    /// itself left out.
    pub(super) fn wider_than(&self, place: u32) -> Vec<u32> {
        let Some(pattern) = self.pattern(place) else {
            return Vec::new();
        };
        let domains =
            pattern.wider_domains().filter_map(|domain| self.wildcards.get(domain).copied());
        domains.chain(self.any).collect()
    }
}
