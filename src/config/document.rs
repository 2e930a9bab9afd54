//! One YAML document as a tree that knows where everything stands. It is kept as long as the
//! configuration, because whoever explains a decision names the line.

mod builder;

pub(super) use builder::too_large;

use std::{ops::Range, sync::Arc};

use super::{
    diagnostic::Diagnostic,
    source::{Source, Span},
};

/// The most that a file may hold.
pub const MAX_BYTES: usize = 8 << 20;
/// The deepest that mappings and lists may nest.
pub const MAX_DEPTH: usize = 64;
/// The most values that a document may have, those that aliases repeat included.
const MAX_NODES: usize = 1_000_000;
/// The most values that aliases may repeat in all.
const MAX_REPEATED: usize = 100_000;

/// A YAML document.
#[derive(Debug)]
pub struct Document {
    source: Arc<Source>,
    nodes: Vec<Node>,
    root: NodeId,
    /// Keys that stand twice or are none, with their values: they count for nothing, but what stands
    /// there may be a secret.
    dropped: Vec<(Key, NodeId)>,
}

type NodeId = u32;

#[derive(Debug)]
struct Node {
    start: u32,
    end: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Mapping(Vec<(Key, NodeId)>),
    Scalar(Text, Style),
    Sequence(Vec<NodeId>),
}

#[derive(Debug)]
struct Key {
    start: u32,
    end: u32,
    text: Text,
}

/// A scalar's text: mostly a piece of the source as it stands.
#[derive(Debug)]
enum Text {
    Own(Box<str>),
    Written { start: u32, end: u32 },
}

impl Text {
    fn of<'a>(&'a self, source: &'a Source) -> &'a str {
        match self {
            Self::Own(text) => text,
            Self::Written { start, end } => source.slice(*start as usize..*end as usize),
        }
    }
}

/// How a scalar was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes: it may be a number, a boolean or nothing.
    Plain,
    /// In quotes, or as a block: always text.
    Quoted,
}

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'d> {
    /// Keys with values.
    Mapping,
    /// Text, number, boolean or nothing.
    Scalar(&'d str, Style),
    /// A list.
    Sequence,
}

impl Document {
    /// Parses a text. The diagnostics are what is wrong with it as YAML; without a tree there is
    /// nothing more to find in it.
    pub fn parse(source: &Arc<Source>) -> (Option<Self>, Vec<Diagnostic>) {
        builder::build(source, MAX_NODES)
    }

    /// A document with nothing in it, for texts that are no YAML.
    pub fn empty(source: &Arc<Source>) -> Self {
        let root = Node { start: 0, end: 0, kind: Kind::Mapping(Vec::new()) };
        Self { source: Arc::clone(source), nodes: vec![root], root: 0, dropped: Vec::new() }
    }

    /// The text it was parsed from.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The outermost value.
    pub fn root(&self) -> Site<'_> {
        Site { document: self, node: self.root }
    }

    /// The value at a path such as `routes[3].allow[0].roles[1]`, or the nearest around it that
    /// is there.
    pub fn at(&self, path: &str) -> Site<'_> {
        path.split(['.', '[']).filter(|step| !step.is_empty()).fold(self.root(), |site, step| {
            match step.strip_suffix(']').and_then(|index| index.parse().ok()) {
                Some(index) => site.item(index),
                None => site.key(step),
            }
        })
    }

    /// Entries that were left out of the tree.
    pub(super) fn dropped(&self) -> impl Iterator<Item = Entry<'_>> {
        self.dropped.iter().map(|entry| self.entry(entry))
    }

    fn entry<'d>(&'d self, (key, node): &'d (Key, NodeId)) -> Entry<'d> {
        Entry {
            name: key.text.of(&self.source),
            value: Site { document: self, node: *node },
            document: self,
            range: key.start as usize..key.end as usize,
        }
    }

    fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id as usize)
    }
}

/// A value in a document. Cheap to copy; steps to what is not there stay where they are, so that
/// a place can always be shown.
#[derive(Clone, Copy, Debug)]
pub struct Site<'d> {
    document: &'d Document,
    node: NodeId,
}

impl<'d> Site<'d> {
    /// What stands here.
    pub fn content(&self) -> Content<'d> {
        match self.kind() {
            Some(Kind::Mapping(_)) | None => Content::Mapping,
            Some(Kind::Scalar(text, style)) => {
                Content::Scalar(text.of(&self.document.source), *style)
            }
            Some(Kind::Sequence(_)) => Content::Sequence,
        }
    }

    /// The value of a key, if it is there.
    pub fn find(&self, name: &str) -> Option<Self> {
        self.entries().find_map(|entry| (entry.name == name).then_some(entry.value))
    }

    /// The value of a key; without it, this place itself.
    pub fn key(&self, name: &str) -> Self {
        self.find(name).unwrap_or(*self)
    }

    /// An item of a list; without it, or where no list was written but a single value, this place
    /// itself.
    pub fn item(&self, index: usize) -> Self {
        match self.kind() {
            Some(Kind::Sequence(items)) => {
                items.get(index).map_or(*self, |node| Self { node: *node, ..*self })
            }
            _ => *self,
        }
    }

    /// The items of a list; none if it is not one.
    pub fn items(&self) -> impl Iterator<Item = Self> + use<'d> {
        let items = match self.kind() {
            Some(Kind::Sequence(items)) => items.as_slice(),
            _ => &[],
        };
        let document = self.document;
        items.iter().map(move |node| Self { document, node: *node })
    }

    /// The entries of a mapping in the order of the file; none if it is not one.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'d>> + use<'d> {
        let entries = match self.kind() {
            Some(Kind::Mapping(entries)) => entries.as_slice(),
            _ => &[],
        };
        let document = self.document;
        entries.iter().map(move |entry| document.entry(entry))
    }

    /// Where it stands.
    pub fn span(&self) -> Span {
        Span::new(&self.document.source, self.range())
    }

    /// Where a key of this mapping stands; without it, this place itself.
    pub fn key_span(&self, name: &str) -> Span {
        let entry = self.entries().find(|entry| entry.name == name);
        entry.map_or_else(|| self.span(), |entry| entry.span())
    }

    /// The number of the line it begins on, from 1.
    pub fn line(&self) -> usize {
        self.span().start().line
    }

    pub(super) fn range(&self) -> Range<usize> {
        let node = self.document.node(self.node);
        node.map_or(0..0, |node| node.start as usize..node.end as usize)
    }

    fn kind(&self) -> Option<&'d Kind> {
        self.document.node(self.node).map(|node| &node.kind)
    }
}

/// A key of a mapping, with its value.
#[derive(Clone, Debug)]
pub struct Entry<'d> {
    /// The key.
    pub name: &'d str,
    /// The value.
    pub value: Site<'d>,
    document: &'d Document,
    range: Range<usize>,
}

impl Entry<'_> {
    /// Where the key stands.
    pub fn span(&self) -> Span {
        Span::new(&self.document.source, self.range.clone())
    }
}

#[cfg(test)]
mod tests;
