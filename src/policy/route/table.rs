//! The route table: which route governs a request, however the request is read.

use http::Method;
use smallvec::SmallVec;

use super::fault::{Ambiguity, RouteFault};
use super::forest::{Beneath, Candidate, Endpoint, Folding, Forest, Hit, Segments};
use super::host::HostPattern;
use super::hosts::Hosts;
use super::matched::{Match, Params, Values, value_of, values};
use super::method::{self, MethodSet};
use super::overlap::{self, Overlap};
use super::pattern::{PathPattern, Segment};
use super::readings::{self, Difference, Distinguishes};
use super::spelling::{self, Judged, Marks, SEPARATOR, fold_case};

/// What a route asks of a request, and what its readings are held against.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The hosts; none for any host.
    pub hosts: Vec<HostPattern>,
    /// The templates, one of which must match.
    pub paths: Vec<PathPattern>,
    /// The methods.
    pub methods: MethodSet,
    /// What the route's upstream keeps apart.
    pub distinguishes: Distinguishes,
    /// The path parameters that the route's policy uses, so that they must not change with the
    /// reading.
    pub guarded: Vec<String>,
}

/// All routes, compiled for [`RouteTable::find`].
#[derive(Debug, Default)]
pub struct RouteTable {
    pub(super) hosts: Hosts,
    pub(super) exact: Forest,
    /// The same with letter case ignored; nothing where no literal has case.
    folded: Option<Forest>,
    pub(super) entries: Vec<Entry>,
    /// What the upstreams keep apart, each combination once.
    distinctions: Vec<Distinguishes>,
}

impl RouteTable {
    /// Compiles the routes; a route is known by its place among them.
    ///
    /// # Errors
    /// Every pair of routes that could both win for one request, a pair once.
    pub fn build(entries: &[Entry]) -> Result<Self, Vec<Overlap>> {
        let hosts = Hosts::of(entries);
        let mut exact = Forest::new(hosts.patterns.len(), Folding::Exact);
        let mut overlaps = Vec::new();
        for (route, entry) in (0..).zip(entries) {
            for host in hosts.of_entry(entry) {
                let pattern = hosts.pattern(host);
                for path in &entry.paths {
                    let candidate = Candidate {
                        route,
                        methods: entry.methods.clone(),
                        pattern: path.clone(),
                        shape: 0,
                    };
                    let planted = overlap::plant(&mut exact, (host, pattern), candidate);
                    overlaps.extend(planted.err());
                }
            }
        }
        let folded = entries
            .iter()
            .flat_map(|entry| &entry.paths)
            .any(has_case)
            .then(|| overlap::fold(&exact, entries, &hosts.patterns, &mut overlaps));
        if !overlaps.is_empty() {
            overlaps.sort_by_key(|overlap| (overlap.second, overlap.first));
            overlaps.dedup_by_key(|overlap| (overlap.second, overlap.first));
            return Err(overlaps);
        }
        let mut distinctions: Vec<Distinguishes> = Vec::new();
        for entry in entries {
            if !distinctions.contains(&entry.distinguishes) {
                distinctions.push(entry.distinguishes);
            }
        }
        Ok(Self { hosts, exact, folded, entries: entries.to_vec(), distinctions })
    }

    /// The route that governs a request, if every reading of the path that its upstream could
    /// take falls under that route too.
    ///
    /// `host` is the value of the Host header, empty if there is none; `path` the path of the
    /// request target as received. A path of lower-case letters, digits and other characters
    /// that have one reading is matched without allocation.
    ///
    /// # Errors
    /// No route, another method, or a request that can be read in more than one way.
    pub fn find<'r>(
        &'r self,
        host: &str,
        method: &Method,
        path: &'r [u8],
    ) -> Result<Match<'r>, RouteFault> {
        let path = std::str::from_utf8(path).map_err(|_| Ambiguity::NonAscii)?;
        if path == "*" {
            return Err(RouteFault::NoRoute);
        }
        if !path.starts_with('/') {
            return Err(RouteFault::MalformedTarget);
        }
        let judged = spelling::judge(path)?;
        let sought = Sought { hosts: self.hosts.candidates(host)?, method, path, judged };
        let raw = raw_segments(path);
        let decoded = sought.judged.decoded.as_deref().map(split);
        let received: &[&[u8]] = decoded.as_ref().map_or(&raw, |segments| segments);
        let outcome = self.look_up(&self.exact, &sought, received);
        if sought.judged.marks.percent {
            outcome.refuse_encoded_literals(&raw)?;
        }
        let Outcome::Route(found) = outcome else {
            return Err(self.refusal(&sought, &outcome));
        };
        let pattern = &found.candidate.pattern;
        let named = found.hit.remainder.filter(|_| pattern.remainder().is_some());
        let remainder = named.map(|depth| remainder_of(path, &raw, depth));
        let values: Values<'r> = match &decoded {
            Some(segments) => {
                let decoded = values(&found.hit, pattern, segments, None);
                let names = pattern.parameters();
                names.zip(decoded.iter().map(|(_, value)| value.to_vec().into())).collect()
            }
            None => values(&found.hit, pattern, &raw, remainder.map(without_trailing_slash)),
        };
        self.confirm(&sought, &found, &values)?;
        let route = found.candidate.route as usize;
        Ok(Match { route, pattern, params: Params::new(values, remainder) })
    }

    /// Whether every method that the request asks an app to act on instead falls under the route
    /// that was found: the values of its override headers and `_method` parameters.
    ///
    /// # Errors
    /// [`RouteFault::AmbiguousMethod`] for a value that names another route's method, or none.
    pub fn judge_overrides<'v>(
        &self,
        host: &str,
        path: &[u8],
        route: usize,
        values: impl IntoIterator<Item = &'v str>,
    ) -> Result<(), RouteFault> {
        for value in values {
            let method = method::overriding_method(value).ok_or(RouteFault::AmbiguousMethod)?;
            match self.find(host, &method, path) {
                Ok(found) if found.route == route => {}
                Ok(_) | Err(_) => return Err(RouteFault::AmbiguousMethod),
            }
        }
        Ok(())
    }

    /// What the segments find on the narrowest host that has a pattern for them.
    fn look_up<'t>(
        &'t self,
        forest: &'t Forest,
        sought: &Sought<'_>,
        segments: &[&[u8]],
    ) -> Outcome<'t> {
        let hit = sought.hosts.iter().find_map(|host| forest.find(*host, segments));
        let Some(hit) = hit else {
            return Outcome::Nothing;
        };
        let Some(endpoint) = forest.endpoint(hit.endpoint) else {
            return Outcome::Nothing;
        };
        match Self::choose(endpoint, hit.beneath, sought.method) {
            Some(candidate) => Outcome::Route(Found { candidate, hit }),
            None => Outcome::OtherMethods(endpoint, hit),
        }
    }

    /// The route of a pattern for a method; `HEAD` falls under `GET` unless it is named.
    fn choose<'t>(
        endpoint: &'t Endpoint,
        beneath: Beneath,
        method: &Method,
    ) -> Option<&'t Candidate> {
        if matches!(*method, Method::CONNECT | Method::TRACE) {
            return None;
        }
        let taking = |method: &Method| {
            let mut takers = endpoint.candidates.iter().filter(|one| one.takes(beneath));
            takers.find(|candidate| candidate.methods.contains(method))
        };
        taking(method).or_else(|| (*method == Method::HEAD).then(|| taking(&Method::GET)).flatten())
    }

    fn entry(&self, route: u32) -> Option<&Entry> {
        self.entries.get(route as usize)
    }

    /// Refuses the request unless every other reading finds the same route, with the same values
    /// for the parameters that its policy uses. What counts is how the upstream that will receive
    /// the bytes reads them.
    fn confirm(
        &self,
        sought: &Sought<'_>,
        found: &Found<'_>,
        values: &Values<'_>,
    ) -> Result<(), RouteFault> {
        let marks = sought.judged.marks;
        if marks.is_plain() && !marks.upper_case && self.folded.is_none() {
            return Ok(());
        }
        let Some(entry) = self.entry(found.candidate.route) else {
            return Err(RouteFault::NoRoute);
        };
        for name in &entry.guarded {
            let value = value_of(values, name);
            if value.is_some_and(|value| std::str::from_utf8(value).is_err()) {
                return Err(Ambiguity::ParameterNotText { name: name.clone() }.into());
            }
        }
        self.each_reading(sought, entry.distinguishes, |reading, forest, segments| {
            let Outcome::Route(other) = self.look_up(forest, sought, segments) else {
                return Err(Ambiguity::OtherRoute { reading: shown(reading) });
            };
            if other.candidate.route != found.candidate.route {
                return Err(Ambiguity::OtherRoute { reading: shown(reading) });
            }
            let read = self::values(&other.hit, &other.candidate.pattern, segments, None);
            for name in &entry.guarded {
                let value = value_of(values, name);
                if !same(value, value_of(&read, name)) {
                    let name = name.clone();
                    return Err(Ambiguity::ParameterDiffers { name, reading: shown(reading) });
                }
            }
            Ok(())
        })
        .map_err(RouteFault::from)
    }

    /// Why the request is refused that finds no route as received: as ambiguous, if a reading
    /// that the upstream there would take finds something else.
    fn refusal(&self, sought: &Sought<'_>, received: &Outcome<'_>) -> RouteFault {
        for distinguishes in &self.distinctions {
            let led_there = |routes: &[u32]| {
                routes.iter().any(|route| {
                    self.entry(*route).is_some_and(|entry| entry.distinguishes == *distinguishes)
                })
            };
            let judged = self.each_reading(sought, *distinguishes, |reading, forest, segments| {
                let other = self.look_up(forest, sought, segments);
                let (here, there) = (received.routes(), other.routes());
                if here != there && (led_there(&here) || led_there(&there)) {
                    return Err(Ambiguity::OtherRoute { reading: shown(reading) });
                }
                Ok(())
            });
            if let Err(ambiguity) = judged {
                return ambiguity.into();
            }
        }
        match received {
            Outcome::OtherMethods(endpoint, hit) => {
                let takers = endpoint.candidates.iter().filter(|one| one.takes(hit.beneath));
                RouteFault::MethodNotAllowed {
                    allow: method::allow(takers.map(|one| &one.methods)),
                }
            }
            Outcome::Nothing | Outcome::Route(_) => RouteFault::NoRoute,
        }
    }

    /// Hands every reading but the received one to `judge`, with the forest to look it up in.
    fn each_reading(
        &self,
        sought: &Sought<'_>,
        distinguishes: Distinguishes,
        mut judge: impl FnMut(&[u8], &Forest, &[&[u8]]) -> Result<(), Ambiguity>,
    ) -> Result<(), Ambiguity> {
        let marks = sought.judged.marks;
        let ignores_case = !distinguishes.keeps(Difference::Case);
        if marks.is_plain() && !(ignores_case && (marks.upper_case || self.folded.is_some())) {
            return Ok(());
        }
        let readings = sought.readings(distinguishes).ok_or(Ambiguity::TooManyReadings)?;
        for (place, reading) in readings.iter().enumerate() {
            let as_received = place == 0;
            if !as_received {
                judge(reading, &self.exact, &split(reading))?;
            }
            if !ignores_case {
                continue;
            }
            let lower = fold_case(reading);
            if self.folded.is_some() || lower != *reading {
                let forest = self.folded.as_ref().unwrap_or(&self.exact);
                // Parameters keep their case here: they are compared without it.
                judge(&lower, forest, &split(&lower))?;
            }
        }
        Ok(())
    }
}

/// A request that is looked up.
struct Sought<'s> {
    hosts: SmallVec<[u32; 4]>,
    method: &'s Method,
    path: &'s str,
    judged: Judged,
}

impl Sought<'_> {
    /// Its readings, the received one first.
    fn readings(&self, distinguishes: Distinguishes) -> Option<Vec<Vec<u8>>> {
        let raw = spelling::joined(self.path);
        match self.judged.marks {
            marks if marks.is_plain() => Some(vec![raw]),
            Marks { .. } => readings::enumerate(raw, distinguishes),
        }
    }
}

/// What one reading finds.
enum Outcome<'t> {
    Nothing,
    OtherMethods(&'t Endpoint, Hit),
    Route(Found<'t>),
}

struct Found<'t> {
    candidate: &'t Candidate,
    hit: Hit,
}

impl Outcome<'_> {
    /// The routes that two readings must agree in: the one, or all that share the pattern.
    fn routes(&self) -> SmallVec<[u32; 4]> {
        match self {
            Self::Nothing => SmallVec::new(),
            Self::OtherMethods(endpoint, hit) => {
                let takers = endpoint.candidates.iter().filter(|one| one.takes(hit.beneath));
                let mut routes: SmallVec<[u32; 4]> = takers.map(|one| one.route).collect();
                routes.sort_unstable();
                routes.dedup();
                routes
            }
            Self::Route(found) => SmallVec::from_slice(&[found.candidate.route]),
        }
    }

    /// Refuses a segment that a literal matched and that spells a visible character by its code.
    fn refuse_encoded_literals(&self, raw: &[&[u8]]) -> Result<(), Ambiguity> {
        let (Self::OtherMethods(_, hit) | Self::Route(Found { hit, .. })) = self else {
            return Ok(());
        };
        let literal = |depth: &usize| !hit.captures.iter().any(|at| usize::from(*at) == *depth);
        let depths = 0..hit.remainder.unwrap_or(raw.len());
        let mut segments = depths.filter(literal).filter_map(|depth| raw.get(depth));
        if segments.any(|segment| spelling::encodes_visible_ascii(segment)) {
            return Err(Ambiguity::EncodedLiteral);
        }
        Ok(())
    }
}

/// The segments of a path as received, without a trailing slash.
fn raw_segments(path: &str) -> Segments<'_> {
    separated(path.strip_prefix('/').unwrap_or(path).as_bytes(), b'/')
}

/// The segments of a reading, without a trailing slash.
fn split(reading: &[u8]) -> Segments<'_> {
    separated(reading, SEPARATOR)
}

fn separated(path: &[u8], separator: u8) -> Segments<'_> {
    let mut segments = Segments::new();
    for segment in path.split(|byte| *byte == separator) {
        segments.push(segment);
    }
    if segments.last().is_some_and(|segment| segment.is_empty()) {
        segments.pop();
    }
    segments
}

/// The path from a segment on, without the slash before it.
fn remainder_of<'r>(path: &'r str, raw: &[&[u8]], depth: usize) -> &'r str {
    let before: usize = raw.iter().take(depth).map(|segment| segment.len() + 1).sum();
    path.get(before + 1..).unwrap_or_default()
}

fn without_trailing_slash(remainder: &str) -> &[u8] {
    remainder.strip_suffix('/').unwrap_or(remainder).as_bytes()
}

/// Whether a parameter has the same value in two readings, letter case apart.
fn same(one: Option<&[u8]>, other: Option<&[u8]>) -> bool {
    one == other || one.map(fold_case) == other.map(fold_case)
}

fn shown(reading: &[u8]) -> String {
    let path =
        reading.split(|byte| *byte == SEPARATOR).map(|segment| segment.escape_ascii().to_string());
    format!("/{}", path.collect::<Vec<_>>().join("/"))
}

fn has_case(pattern: &PathPattern) -> bool {
    pattern.segments().iter().any(|segment| match segment {
        Segment::Literal(text) => fold_case(text.as_bytes()) != text.as_bytes(),
        Segment::Parameter(_) => false,
    })
}
