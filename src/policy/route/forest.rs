//! Templates as trees: one tree for each host pattern, walked segment by segment.
//!
//! All trees share one table of literal segments, keyed by parent and text, so that a step costs
//! one look-up however many routes there are.

use smallvec::SmallVec;

use super::literals::Literals;
use super::method::MethodSet;
use super::pattern::{PathPattern, Segment, Tail};
use super::spelling::fold_case;

/// Nothing, where a [`Node`] or an [`Endpoint`] is named by its place.
pub(super) const NONE: u32 = u32::MAX;

/// The trees of all host patterns.
#[derive(Debug, Default)]
pub(super) struct Forest {
    nodes: Vec<Node>,
    literals: Literals,
    endpoints: Vec<Endpoint>,
    folding: Folding,
}

/// Whether literals are compared with letter case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Folding {
    #[default]
    Exact,
    IgnoreCase,
}

/// Where templates of one shape end: the routes that share the pattern, told apart by method.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) host: u32,
    pub(super) candidates: Vec<Candidate>,
}

/// One template of one route.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) route: u32,
    /// The route's methods, here because every request asks for them.
    pub(super) methods: MethodSet,
    pub(super) pattern: PathPattern,
    /// The endpoint at which the template ends where case counts.
    pub(super) shape: u32,
}

#[derive(Debug)]
struct Node {
    /// Where a path ends that ends here.
    exact: u32,
    /// Where a path ends that goes on beneath, whatever follows.
    rest: u32,
    /// The node of a parameter.
    parameter: u32,
    /// Whether a literal follows.
    has_literals: bool,
}

impl Node {
    const EMPTY: Self = Self { exact: NONE, rest: NONE, parameter: NONE, has_literals: false };
}

/// A pattern that matches a path.
#[derive(Debug)]
pub(super) struct Hit {
    pub(super) endpoint: u32,
    /// The segments that are parameters.
    pub(super) captures: Captures,
    /// The segment at which the remainder begins, if the pattern ends in one.
    pub(super) remainder: Option<usize>,
    /// Whether anything but slashes remains, as `{name*}` wants.
    pub(super) beneath: Beneath,
}

/// What is left of a path at a remainder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beneath {
    /// Nothing, or nothing but slashes: `/**` takes it, `{name*}` does not.
    Nothing,
    /// One or more segments.
    Something,
}

/// The depths of a path's parameters.
pub(super) type Captures = SmallVec<[u8; 8]>;
/// A path's segments, decoded once; a trailing slash is already dropped.
pub(super) type Segments<'a> = SmallVec<[&'a [u8]; 16]>;

impl Forest {
    pub(super) fn new(hosts: usize, folding: Folding) -> Self {
        let nodes = std::iter::repeat_with(|| Node::EMPTY).take(hosts).collect();
        Self { nodes, literals: Literals::default(), endpoints: Vec::new(), folding }
    }

    pub(super) fn endpoint(&self, endpoint: u32) -> Option<&Endpoint> {
        self.endpoints.get(endpoint as usize)
    }

    pub(super) fn endpoints(&self) -> impl Iterator<Item = (u32, &Endpoint)> {
        (0..).zip(&self.endpoints)
    }

    /// The endpoint of a template under a host, made if it is new.
    pub(super) fn plant(&mut self, host: u32, pattern: &PathPattern) -> u32 {
        let mut place = host;
        for segment in pattern.segments() {
            place = match segment {
                Segment::Literal(text) => self.literal_below(place, text),
                Segment::Parameter(_) => self.parameter_below(place),
            };
        }
        let fresh = u32::try_from(self.endpoints.len()).unwrap_or(NONE);
        let Some(node) = self.nodes.get_mut(place as usize) else {
            return NONE;
        };
        let end = match pattern.tail() {
            Tail::End => &mut node.exact,
            Tail::Beneath | Tail::Remainder(_) => &mut node.rest,
        };
        if *end == NONE {
            *end = fresh;
            self.endpoints.push(Endpoint { host, candidates: Vec::new() });
        }
        *end
    }

    pub(super) fn candidates_mut(&mut self, endpoint: u32) -> Option<&mut Vec<Candidate>> {
        self.endpoints.get_mut(endpoint as usize).map(|endpoint| &mut endpoint.candidates)
    }

    fn literal_below(&mut self, place: u32, text: &str) -> u32 {
        let folded;
        let text = match self.folding {
            Folding::Exact => text.as_bytes(),
            Folding::IgnoreCase => {
                folded = fold_case(text.as_bytes());
                &folded
            }
        };
        if let Some(child) = self.literals.find(place, text) {
            return child;
        }
        let child = self.grow();
        self.literals.insert(place, text, child);
        if let Some(node) = self.nodes.get_mut(place as usize) {
            node.has_literals = true;
        }
        child
    }

    fn parameter_below(&mut self, place: u32) -> u32 {
        match self.nodes.get(place as usize) {
            Some(node) if node.parameter != NONE => return node.parameter,
            _ => {}
        }
        let child = self.grow();
        if let Some(node) = self.nodes.get_mut(place as usize) {
            node.parameter = child;
        }
        child
    }

    fn grow(&mut self) -> u32 {
        self.nodes.push(Node::EMPTY);
        u32::try_from(self.nodes.len() - 1).unwrap_or(NONE)
    }

    /// The most specific pattern of a host that matches: segment by segment a literal before a
    /// parameter before a remainder.
    ///
    /// Every node is visited at most once, because a node has one way up.
    pub(super) fn find(&self, host: u32, segments: &[&[u8]]) -> Option<Hit> {
        let mut captures = Captures::new();
        self.walk(host, segments, 0, &mut captures)
    }

    fn walk(
        &self,
        place: u32,
        segments: &[&[u8]],
        depth: usize,
        captures: &mut Captures,
    ) -> Option<Hit> {
        let node = self.nodes.get(place as usize)?;
        let Some(segment) = segments.get(depth) else {
            return match node.exact {
                NONE => self.remainder(node.rest, segments, depth, captures),
                exact => Some(Hit {
                    endpoint: exact,
                    captures: std::mem::take(captures),
                    remainder: None,
                    beneath: Beneath::Nothing,
                }),
            };
        };
        if node.has_literals
            && let Some(child) = self.literals.find(place, segment)
            && let Some(hit) = self.walk(child, segments, depth + 1, captures)
        {
            return Some(hit);
        }
        if node.parameter != NONE
            && !segment.is_empty()
            && let Ok(index) = u8::try_from(depth)
        {
            captures.push(index);
            if let Some(hit) = self.walk(node.parameter, segments, depth + 1, captures) {
                return Some(hit);
            }
            captures.pop();
        }
        self.remainder(node.rest, segments, depth, captures)
    }

    fn remainder(
        &self,
        endpoint: u32,
        segments: &[&[u8]],
        depth: usize,
        captures: &mut Captures,
    ) -> Option<Hit> {
        let candidates = &self.endpoint(endpoint)?.candidates;
        let left = segments.get(depth..).unwrap_or_default();
        let beneath = match left.iter().all(|segment| segment.is_empty()) {
            true => Beneath::Nothing,
            false => Beneath::Something,
        };
        candidates.iter().any(|candidate| candidate.takes(beneath)).then(|| Hit {
            endpoint,
            captures: std::mem::take(captures),
            remainder: Some(depth),
            beneath,
        })
    }

    /// The endpoints of a host whose pattern matches every path that this one matches, itself
    /// included where it stands under that host, most specific first.
    pub(super) fn covering(&self, host: u32, pattern: &PathPattern) -> Vec<u32> {
        let mut found = Vec::new();
        self.cover(host, pattern.segments(), pattern, &mut found);
        found
    }

    fn cover(&self, place: u32, left: &[Segment], pattern: &PathPattern, found: &mut Vec<u32>) {
        let Some(node) = self.nodes.get(place as usize) else {
            return;
        };
        match left.split_first() {
            None => {
                if pattern.tail() == &Tail::End && node.exact != NONE {
                    found.push(node.exact);
                }
            }
            Some((segment, left)) => {
                if let Segment::Literal(text) = segment
                    && let Some(child) = self.literals.find(place, text.as_bytes())
                {
                    self.cover(child, left, pattern, found);
                }
                if node.parameter != NONE {
                    self.cover(node.parameter, left, pattern, found);
                }
            }
        }
        // A bare template is covered by `/**` at its own end, not by `{name*}`.
        let bare = left.is_empty() && !matches!(pattern.tail(), Tail::Remainder(_));
        let beneath = if bare { Beneath::Nothing } else { Beneath::Something };
        if self
            .endpoint(node.rest)
            .is_some_and(|end| end.candidates.iter().any(|one| one.takes(beneath)))
        {
            found.push(node.rest);
        }
    }
}

impl Candidate {
    /// Whether the template's tail takes what is left.
    pub(super) fn takes(&self, beneath: Beneath) -> bool {
        match self.pattern.tail() {
            Tail::Beneath | Tail::End => true,
            Tail::Remainder(_) => beneath == Beneath::Something,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forest(patterns: &[&str]) -> Forest {
        let mut forest = Forest::new(1, Folding::Exact);
        for (route, pattern) in (0..).zip(patterns) {
            let pattern = PathPattern::parse(pattern).unwrap();
            let shape = forest.plant(0, &pattern);
            forest.candidates_mut(shape).unwrap().push(Candidate {
                route,
                methods: MethodSet::Any,
                pattern,
                shape,
            });
        }
        forest
    }

    fn found(forest: &Forest, path: &str) -> Option<String> {
        let segments: Vec<&[u8]> = path.split('/').skip(1).map(str::as_bytes).collect();
        let hit = forest.find(0, &segments)?;
        let endpoint = forest.endpoint(hit.endpoint).unwrap();
        Some(
            endpoint
                .candidates
                .iter()
                .find(|one| one.takes(hit.beneath))
                .unwrap()
                .pattern
                .to_string(),
        )
    }

    #[test]
    fn the_most_specific_pattern_wins_from_the_left() {
        let forest = forest(&["/**", "/a/{x}", "/a/b", "/{x}/b", "/a/{rest*}", "/{x}/{y}/c", "/a"]);
        for (path, pattern) in [
            ("/a", "/a"),
            ("/a/b", "/a/b"),
            ("/a/c", "/a/{x}"),
            ("/b/b", "/{x}/b"),
            ("/b/c", "/**"),
            ("/a/b/c", "/a/{rest*}"),
            ("/b/b/c", "/{x}/{y}/c"),
            ("/b", "/**"),
        ] {
            assert_eq!(found(&forest, path).as_deref(), Some(pattern), "{path}");
        }
    }

    #[test]
    fn a_literal_that_leads_nowhere_is_given_up_for_a_parameter() {
        let forest = forest(&["/a/b/c", "/{x}/b/d", "/a/{y}/e"]);
        assert_eq!(found(&forest, "/a/b/d").as_deref(), Some("/{x}/b/d"));
        assert_eq!(found(&forest, "/a/b/e").as_deref(), Some("/a/{y}/e"));
        assert_eq!(found(&forest, "/a/b/f"), None);
    }

    #[test]
    fn a_named_remainder_wants_a_segment_and_everything_does_not() {
        let forest = forest(&["/f/{rest*}", "/g/**"]);
        assert_eq!(found(&forest, "/f"), None);
        assert_eq!(found(&forest, "/f/"), None);
        assert_eq!(found(&forest, "/f//a").as_deref(), Some("/f/{rest*}"));
        assert_eq!(found(&forest, "/g").as_deref(), Some("/g/**"));
        assert_eq!(found(&forest, "/g//").as_deref(), Some("/g/**"));
    }

    #[test]
    fn a_parameter_is_never_empty() {
        assert_eq!(found(&forest(&["/u/{id}"]), "/u/"), None);
    }

    #[test]
    fn a_forest_of_many_literals_keeps_them_apart() {
        let patterns: Vec<String> = (0..5000).map(|n| format!("/s{}/i{n}", n % 70)).collect();
        let forest = forest(&patterns.iter().map(String::as_str).collect::<Vec<_>>());
        for pattern in &patterns {
            assert_eq!(found(&forest, pattern).as_ref(), Some(pattern));
        }
        assert_eq!(found(&forest, "/s1/i0"), None);
    }
}
