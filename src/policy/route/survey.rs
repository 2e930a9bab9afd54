//! What is legal and yet seldom meant: answers for `check` about how routes lie to one another.

use super::forest::Endpoint;
use super::host::HostPattern;
use super::readings::Difference;
use super::table::{Entry, RouteTable};

/// A pattern that answers 405 where a wider route takes every method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// A route of the more specific pattern.
    pub narrow: usize,
    /// The route that takes every method.
    pub wide: usize,
    /// The host of the more specific pattern; nothing if it is any host.
    pub host: Option<HostPattern>,
    /// The template of the more specific pattern.
    pub path: String,
}

/// A route all of whose requests, on one pattern, would fall under another if it were not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covered {
    /// The route of the more specific pattern.
    pub inner: usize,
    /// The route of the wider pattern.
    pub outer: usize,
}

impl RouteTable {
    /// The patterns that answer 405 to a method that a wider route would take.
    #[must_use]
    pub fn shadows(&self) -> Vec<Shadow> {
        let takes_all = |endpoint: &Endpoint| {
            let mut routes = endpoint.candidates.iter().map(|candidate| candidate.route as usize);
            routes
                .find(|route| self.entries.get(*route).is_some_and(|entry| entry.methods.is_any()))
        };
        let mut shadows = Vec::new();
        for (place, endpoint) in self.exact.endpoints() {
            let Some(first) = endpoint.candidates.first() else {
                continue;
            };
            if takes_all(endpoint).is_some() {
                continue;
            }
            if let Some(wide) = self.around(place, endpoint).into_iter().find_map(takes_all) {
                shadows.push(Shadow {
                    narrow: first.route as usize,
                    wide,
                    host: self.hosts.pattern(endpoint.host).cloned(),
                    path: first.pattern.to_string(),
                });
            }
        }
        shadows
    }

    /// For every route, on each of its patterns, the nearest wider route with a method in common
    /// that `relevant` (inner, outer) accepts; a pair once.
    #[must_use]
    pub fn covered(&self, relevant: impl Fn(usize, usize) -> bool) -> Vec<Covered> {
        let mut pairs = Vec::new();
        for (place, endpoint) in self.exact.endpoints() {
            let around = self.around(place, endpoint);
            for candidate in &endpoint.candidates {
                let inner = candidate.route as usize;
                let outer = around.iter().flat_map(|wider| &wider.candidates).find_map(|other| {
                    let outer = other.route as usize;
                    let common = self.share_a_method(inner, outer);
                    (outer != inner && common && relevant(inner, outer)).then_some(outer)
                });
                pairs.extend(outer.map(|outer| Covered { inner, outer }));
            }
        }
        pairs.sort_by_key(|pair| (pair.inner, pair.outer));
        pairs.dedup();
        pairs
    }

    /// The routes that no request can reach: every method of theirs is refused before routing,
    /// or every template holds a `;` that their upstream is not said to keep apart.
    #[must_use]
    pub fn unreachable(&self) -> Vec<usize> {
        let unreachable = |entry: &Entry| {
            let ambiguous = !entry.distinguishes.keeps(Difference::Parameters)
                && entry.paths.iter().all(super::PathPattern::has_semicolon);
            entry.methods.is_unreachable() || ambiguous
        };
        let routes = self.entries.iter().enumerate().filter(|(_, entry)| unreachable(entry));
        routes.map(|(route, _)| route).collect()
    }

    /// The endpoints whose pattern matches all that this one's does, nearest first.
    fn around(&self, place: u32, endpoint: &Endpoint) -> Vec<&Endpoint> {
        let Some(candidate) = endpoint.candidates.first() else {
            return Vec::new();
        };
        let hosts = std::iter::once(endpoint.host).chain(self.hosts.wider_than(endpoint.host));
        let places = hosts.flat_map(|host| self.exact.covering(host, &candidate.pattern));
        let others = places.filter(|other| *other != place);
        others.filter_map(|other| self.exact.endpoint(other)).collect()
    }

    fn share_a_method(&self, inner: usize, outer: usize) -> bool {
        match (self.entries.get(inner), self.entries.get(outer)) {
            (Some(inner), Some(outer)) => inner.methods.intersects(&outer.methods),
            _ => false,
        }
    }
}
