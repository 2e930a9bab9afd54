//! What the templates and conditions of a route may read: one request, and whose it is.

use crate::{
    model::Principal,
    policy::{RequestFacts, route::Params},
};

/// A request and whose it is, as templates and conditions see it.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'r> {
    /// Who sent it; nobody on public routes, and where a credential may be absent and is.
    pub principal: Option<&'r Principal>,
    /// The request.
    pub facts: &'r RequestFacts<'r>,
    /// What the route's template caught.
    pub params: &'r dyn PathValues,
}

/// The path parameters of a request, by name, percent-decoded once.
pub trait PathValues: std::fmt::Debug + Sync {
    /// The value of a parameter. Nothing if the template has none of that name, or if the value
    /// is not text.
    fn value(&self, name: &str) -> Option<&str>;

    /// The names of the parameters, from left to right.
    fn names(&self) -> Vec<&str>;

    /// The remainder of this name as it came: still encoded. Nothing if it is no remainder.
    fn raw_remainder(&self, name: &str) -> Option<&str>;
}

impl PathValues for Params<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        self.get(name)
    }

    fn names(&self) -> Vec<&str> {
        self.iter().map(|(name, _)| name).collect()
    }

    fn raw_remainder(&self, name: &str) -> Option<&str> {
        Params::raw_remainder(self, name)
    }
}

impl PathValues for [(&str, &str)] {
    fn value(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn names(&self) -> Vec<&str> {
        self.iter().map(|(name, _)| *name).collect()
    }

    fn raw_remainder(&self, _name: &str) -> Option<&str> {
        None
    }
}

impl<const N: usize> PathValues for [(&str, &str); N] {
    fn value(&self, name: &str) -> Option<&str> {
        self.as_slice().value(name)
    }

    fn names(&self) -> Vec<&str> {
        self.as_slice().names()
    }

    fn raw_remainder(&self, _name: &str) -> Option<&str> {
        None
    }
}

#[cfg(test)]
pub(super) mod sample;
