//! Routes that could both win for one request: faults of the file.

use std::fmt;

use super::forest::{Candidate, Folding, Forest};
use super::host::HostPattern;
use super::readings::Difference;
use super::table::Entry;
use super::{Tail, method};

/// Two routes that could both win for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The place of the route that comes first.
    pub first: usize,
    /// The place of the other; the same place if a route lists one path twice, with different
    /// parameter names.
    pub second: usize,
    /// The host pattern that both ask for; nothing if it is any host.
    pub host: Option<HostPattern>,
    /// The template of the first.
    pub first_path: String,
    /// The template of the second.
    pub second_path: String,
    /// How they meet.
    pub kind: OverlapKind,
}

/// How two routes meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OverlapKind {
    /// The templates differ in letter case only, and not both upstreams distinguish `case`.
    CaseOnly,
    /// The templates match the same paths, and both routes take these methods.
    SamePattern {
        /// The methods, as in `Allow`; `any` for every method.
        methods: String,
    },
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` and `{}`", self.first_path, self.second_path)?;
        match &self.kind {
            OverlapKind::CaseOnly => f.write_str(" differ in letter case only")?,
            OverlapKind::SamePattern { methods } if methods == "any" => {
                f.write_str(" match the same paths, for every method")?;
            }
            OverlapKind::SamePattern { methods } => {
                write!(f, " match the same paths, for {methods}")?;
            }
        }
        match &self.host {
            Some(host) => write!(f, " on `{host}`"),
            None => Ok(()),
        }
    }
}

/// Plants one template into the forest in which case counts, unless another route holds its
/// place. Gives the endpoint, or the overlap.
pub(super) fn plant(
    forest: &mut Forest,
    host: (u32, Option<&HostPattern>),
    candidate: Candidate,
) -> Result<Option<Candidate>, Overlap> {
    let endpoint = forest.plant(host.0, &candidate.pattern);
    let candidate = Candidate { shape: endpoint, ..candidate };
    let Some(present) = forest.candidates_mut(endpoint) else {
        return Ok(None);
    };
    for other in present.iter() {
        if other.route == candidate.route {
            let names = other.pattern.parameters().eq(candidate.pattern.parameters());
            if names && tail_kind(other) == tail_kind(&candidate) {
                return Ok(None);
            }
            let kind = OverlapKind::SamePattern { methods: "any".to_owned() };
            return Err(overlap(other, &candidate, host.1, kind));
        }
        if other.methods.intersects(&candidate.methods) {
            let methods = method::common(&other.methods, &candidate.methods);
            let kind = OverlapKind::SamePattern { methods };
            return Err(overlap(other, &candidate, host.1, kind));
        }
    }
    present.push(candidate.clone());
    Ok(Some(candidate))
}

/// Plants every template once more with letter case ignored, if that makes a difference at all.
pub(super) fn fold(
    forest: &Forest,
    entries: &[Entry],
    hosts: &[Option<HostPattern>],
    overlaps: &mut Vec<Overlap>,
) -> Forest {
    let mut folded = Forest::new(hosts.len(), Folding::IgnoreCase);
    for (_, endpoint) in forest.endpoints() {
        for candidate in &endpoint.candidates {
            let place = folded.plant(endpoint.host, &candidate.pattern);
            let Some(present) = folded.candidates_mut(place) else {
                continue;
            };
            let clash = present.iter().find(|other| {
                other.shape != candidate.shape
                    && other.route != candidate.route
                    && !(keeps_case(entries, other) && keeps_case(entries, candidate))
            });
            if let Some(other) = clash {
                let host = hosts.get(endpoint.host as usize).and_then(Option::as_ref);
                overlaps.push(overlap(other, candidate, host, OverlapKind::CaseOnly));
            }
            present.push(candidate.clone());
        }
    }
    folded
}

fn overlap(
    one: &Candidate,
    other: &Candidate,
    host: Option<&HostPattern>,
    kind: OverlapKind,
) -> Overlap {
    let (first, second) = if one.route <= other.route { (one, other) } else { (other, one) };
    Overlap {
        first: first.route as usize,
        second: second.route as usize,
        host: host.cloned(),
        first_path: first.pattern.to_string(),
        second_path: second.pattern.to_string(),
        kind,
    }
}

fn keeps_case(entries: &[Entry], candidate: &Candidate) -> bool {
    let entry = entries.get(candidate.route as usize);
    entry.is_some_and(|entry| entry.distinguishes.keeps(Difference::Case))
}

fn tail_kind(candidate: &Candidate) -> std::mem::Discriminant<Tail> {
    std::mem::discriminant(candidate.pattern.tail())
}
