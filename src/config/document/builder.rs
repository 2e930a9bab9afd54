//! Events of the YAML parser → tree. Pulls one event at a time and stops at the first level too
//! deep and the first value too many, so that the parser never scans beyond.

use std::{borrow::Cow, collections::HashMap, ops::Range, sync::Arc};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

use super::{Document, Key, Kind, MAX_BYTES, MAX_DEPTH, MAX_REPEATED, Node, NodeId, Style, Text};
use crate::config::{
    codes,
    diagnostic::{Diagnostic, quoted},
    source::{Source, Span},
};

/// Builds a tree of at most `most` values.
pub(super) fn build(source: &Arc<Source>, most: usize) -> (Option<Document>, Vec<Diagnostic>) {
    if source.text().len() > MAX_BYTES {
        return (None, vec![too_large(source.name())]);
    }
    let mut builder = Builder::new(source, most);
    let root = builder.run();
    let Builder { nodes, mut faults, dropped, .. } = builder;
    match root {
        Ok(root) => {
            let nodes = nodes.into_iter().map(|built| built.node).collect();
            (Some(Document { source: Arc::clone(source), nodes, root, dropped }), faults)
        }
        Err(fault) => {
            faults.push(*fault);
            (None, faults)
        }
    }
}

/// A file that is larger than is ever needed.
pub(crate) fn too_large(name: &str) -> Diagnostic {
    Diagnostic::of_file(codes::FILE_TOO_LARGE, format!("{} is larger than 8 MiB", quoted(name)))
        .help("it was not read; move what is generated into fewer, wider routes")
}

type Fatal = Box<Diagnostic>;

/// A node with what its subtree comes to, aliases followed.
struct Built {
    node: Node,
    weight: usize,
    height: usize,
}

/// A collection that is not yet complete.
struct Frame {
    start: usize,
    anchor: usize,
    weight: usize,
    height: usize,
    inner: Inner,
}

enum Inner {
    Mapping { entries: Vec<(Key, NodeId)>, seen: HashMap<Box<str>, usize>, key: Option<PendingKey> },
    Sequence(Vec<NodeId>),
}

enum PendingKey {
    /// Stands in the tree.
    Kept(Key),
    /// Has been complained about; its value is left out of the tree. Without a name where it is no
    /// text.
    Dropped(Option<Key>),
}

struct Builder<'s> {
    source: &'s Arc<Source>,
    most: usize,
    characters: Characters,
    nodes: Vec<Built>,
    /// Complete nodes by the number of their anchor.
    anchors: HashMap<usize, NodeId>,
    open: Vec<Frame>,
    faults: Vec<Diagnostic>,
    dropped: Vec<(Key, NodeId)>,
    repeated: usize,
}

/// A map is searched for duplicates by hash from this size on.
const LARGE: usize = 12;

impl<'s> Builder<'s> {
    fn new(source: &'s Arc<Source>, most: usize) -> Self {
        Self {
            source,
            most,
            characters: Characters::of(source.text()),
            nodes: Vec::new(),
            anchors: HashMap::new(),
            open: Vec::new(),
            faults: Vec::new(),
            dropped: Vec::new(),
            repeated: 0,
        }
    }

    fn run(&mut self) -> Result<NodeId, Fatal> {
        let source = self.source;
        let mut parser = Parser::new_from_str(source.text());
        let mut root = None;
        while let Some(event) = parser.next_event() {
            let (event, place) = event.map_err(|error| self.syntax(&error))?;
            let range = self.trimmed(self.offset(place.start)..self.offset(place.end));
            let complete = match event {
                Event::DocumentStart(_) if root.is_some() => {
                    let message = "the file has more than one YAML document";
                    let fault =
                        Diagnostic::error(codes::SEVERAL_DOCUMENTS, self.span(range), message);
                    return Err(fault.help("remove the line `---` and what follows").into());
                }
                Event::Scalar(text, style, anchor, tag) => {
                    self.refuse_tag(tag.is_some(), &range);
                    self.scalar(text, style, anchor, self.without_anchor(range))?
                }
                Event::Alias(anchor) => self.alias(anchor, range)?,
                Event::MappingStart(anchor, tag) => {
                    self.refuse_tag(tag.is_some(), &range);
                    let inner =
                        Inner::Mapping { entries: Vec::new(), seen: HashMap::new(), key: None };
                    self.begin(inner, anchor, range)?;
                    None
                }
                Event::SequenceStart(anchor, tag) => {
                    self.refuse_tag(tag.is_some(), &range);
                    self.begin(Inner::Sequence(Vec::new()), anchor, range)?;
                    None
                }
                Event::MappingEnd | Event::SequenceEnd => self.end(range)?,
                Event::DocumentStart(_)
                | Event::DocumentEnd
                | Event::Nothing
                | Event::StreamStart
                | Event::StreamEnd => None,
            };
            root = complete.or(root);
        }
        root.ok_or_else(|| {
            let message = format!("{} has nothing in it", quoted(source.name()));
            Diagnostic::of_file(codes::EMPTY_FILE, message).into()
        })
    }

    /// Takes a scalar as a key or a value; the document's root if it is complete with it.
    fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        anchor: usize,
        range: Range<usize>,
    ) -> Result<Option<NodeId>, Fatal> {
        // What the parser makes up for a value that is not there has no place of its own.
        let absent = range.is_empty() && style == ScalarStyle::Plain;
        let text = if absent { Cow::Borrowed("") } else { text };
        let style = match style {
            ScalarStyle::Plain => Style::Plain,
            _ => Style::Quoted,
        };
        if self.wants_key() {
            let kept = self.judge_key(&text, style, &range);
            let key = self.key(text, style, range);
            self.set_key(match kept {
                true => PendingKey::Kept(key),
                false => PendingKey::Dropped(Some(key)),
            });
            return Ok(None);
        }
        let (start, end) = (narrow(range.start), narrow(range.end));
        let kind = Kind::Scalar(self.text(text, style, range), style);
        let id = self.push(Built { node: Node { start, end, kind }, weight: 1, height: 0 })?;
        self.complete(id, anchor)
    }

    fn alias(&mut self, anchor: usize, range: Range<usize>) -> Result<Option<NodeId>, Fatal> {
        let found = self.anchors.get(&anchor).copied();
        let Some(id) = found else {
            let message = "the alias stands inside of what it repeats";
            return Err(Diagnostic::error(codes::YAML_SYNTAX, self.span(range), message).into());
        };
        if self.wants_key() {
            self.fault(codes::INVALID_KEY, range, "a key is plain text, not an alias");
            self.set_key(PendingKey::Dropped(None));
            return Ok(None);
        }
        let (weight, height) = self.nodes.get(id as usize).map_or((0, 0), |b| (b.weight, b.height));
        self.repeated = self.repeated.saturating_add(weight);
        if self.repeated > MAX_REPEATED {
            let message = format!("aliases repeat more than {MAX_REPEATED} values");
            return Err(
                Diagnostic::error(codes::TOO_MANY_ALIASES, self.span(range), message).into()
            );
        }
        if self.open.len() + height > MAX_DEPTH {
            return Err(self.too_deep(range));
        }
        self.complete(id, 0)
    }

    fn begin(&mut self, inner: Inner, anchor: usize, range: Range<usize>) -> Result<(), Fatal> {
        if self.open.len() >= MAX_DEPTH {
            return Err(self.too_deep(range));
        }
        self.open.push(Frame { start: range.start, anchor, weight: 1, height: 0, inner });
        Ok(())
    }

    fn end(&mut self, range: Range<usize>) -> Result<Option<NodeId>, Fatal> {
        let Some(frame) = self.open.pop() else { return Ok(None) };
        let kind = match frame.inner {
            Inner::Mapping { entries, .. } => Kind::Mapping(entries),
            Inner::Sequence(items) => Kind::Sequence(items),
        };
        if self.wants_key() {
            let message = "a key is plain text, not a mapping or a list";
            self.fault(codes::INVALID_KEY, frame.start..range.end, message);
            self.set_key(PendingKey::Dropped(None));
            return Ok(None);
        }
        // A block ends where its last value does; what follows is space and comments.
        let end = if range.is_empty() { self.last_end(&kind, frame.start) } else { range.end };
        let node = Node { start: narrow(frame.start), end: narrow(end), kind };
        let (weight, height) = (frame.weight, frame.height + 1);
        let id = self.push(Built { node, weight, height })?;
        self.complete(id, frame.anchor)
    }

    /// Hands a complete value to the collection around it; it is the root if there is none.
    fn complete(&mut self, id: NodeId, anchor: usize) -> Result<Option<NodeId>, Fatal> {
        if anchor > 0 {
            self.anchors.insert(anchor, id);
        }
        let (weight, height) = self.nodes.get(id as usize).map_or((0, 0), |b| (b.weight, b.height));
        let Some(frame) = self.open.last_mut() else { return Ok(Some(id)) };
        frame.weight = frame.weight.saturating_add(weight);
        frame.height = frame.height.max(height);
        match &mut frame.inner {
            Inner::Sequence(items) => items.push(id),
            Inner::Mapping { entries, key, .. } => match key.take() {
                Some(PendingKey::Kept(key)) => entries.push((key, id)),
                Some(PendingKey::Dropped(Some(key))) => self.dropped.push((key, id)),
                Some(PendingKey::Dropped(None)) | None => {}
            },
        }
        Ok(None)
    }

    fn push(&mut self, built: Built) -> Result<NodeId, Fatal> {
        let id = narrow(self.nodes.len());
        if self.nodes.len() >= self.most {
            let range = built.node.start as usize..built.node.end as usize;
            let message = format!("the file has more than {} values", self.most);
            return Err(Diagnostic::error(codes::FILE_TOO_LARGE, self.span(range), message).into());
        }
        self.nodes.push(built);
        Ok(id)
    }

    fn wants_key(&self) -> bool {
        let inner = self.open.last().map(|frame| &frame.inner);
        matches!(inner, Some(Inner::Mapping { key: None, .. }))
    }

    fn set_key(&mut self, pending: PendingKey) {
        if let Some(Frame { inner: Inner::Mapping { key, .. }, .. }) = self.open.last_mut() {
            *key = Some(pending);
        }
    }

    /// Whether a key may stand in the tree; a fault is noted if not.
    fn judge_key(&mut self, text: &str, style: Style, range: &Range<usize>) -> bool {
        let plain = style == Style::Plain;
        if plain && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
            self.fault(codes::INVALID_KEY, range.clone(), "a key is missing before the `:`");
            return false;
        }
        if plain && text == "<<" {
            let message = "merge keys (`<<`) are not supported";
            let fault = Diagnostic::error(codes::MERGE_KEY, self.span(range.clone()), message);
            self.faults.push(fault.help("write the keys where they count"));
            return false;
        }
        match self.duplicate_of(text) {
            None => true,
            Some(first) => {
                let first = self.span(first);
                let fault = Diagnostic::error(
                    codes::DUPLICATE_KEY,
                    self.span(range.clone()),
                    format!("the key {} stands twice", quoted(text)),
                );
                self.faults.push(fault.label(first, "first here"));
                false
            }
        }
    }

    /// Where the key already stands in the mapping that is open.
    fn duplicate_of(&mut self, text: &str) -> Option<Range<usize>> {
        let source = self.source;
        let frame = self.open.last_mut().map(|frame| &mut frame.inner);
        let Some(Inner::Mapping { entries, seen, .. }) = frame else { return None };
        let range = |(key, _): &(Key, NodeId)| key.start as usize..key.end as usize;
        if entries.len() < LARGE {
            return entries.iter().find(|(key, _)| key.text.of(source) == text).map(range);
        }
        if seen.is_empty() {
            let known = entries.iter().enumerate();
            seen.extend(known.map(|(at, (key, _))| (key.text.of(source).into(), at)));
        }
        match seen.get(text) {
            Some(at) => entries.get(*at).map(range),
            None => {
                seen.insert(text.into(), entries.len());
                None
            }
        }
    }

    fn key(&self, text: Cow<'_, str>, style: Style, range: Range<usize>) -> Key {
        let (start, end) = (narrow(range.start), narrow(range.end));
        Key { start, end, text: self.text(text, style, range) }
    }

    /// The text, as a piece of the source where it stands there as it is.
    fn text(&self, text: Cow<'_, str>, style: Style, range: Range<usize>) -> Text {
        let inner = match style {
            Style::Plain => range,
            Style::Quoted => range.start + 1..range.end.saturating_sub(1).max(range.start + 1),
        };
        if self.source.slice(inner.clone()) == text {
            return Text::Written { start: narrow(inner.start), end: narrow(inner.end) };
        }
        Text::Own(text.into())
    }

    fn last_end(&self, kind: &Kind, start: usize) -> usize {
        let last = match kind {
            Kind::Mapping(entries) => entries.last().map(|(key, id)| (*id, key.end)),
            Kind::Sequence(items) => items.last().map(|id| (*id, 0)),
            Kind::Scalar(..) => None,
        };
        let end = last.and_then(|(id, key)| {
            let node = &self.nodes.get(id as usize)?.node;
            Some(node.end.max(key) as usize)
        });
        end.unwrap_or(start).max(start)
    }

    fn refuse_tag(&mut self, tagged: bool, range: &Range<usize>) {
        if tagged {
            let message = "YAML tags are not supported";
            let fault = Diagnostic::error(codes::YAML_TAG, self.span(range.clone()), message);
            self.faults.push(fault.help("remove the word that begins with `!`"));
        }
    }

    fn fault(&mut self, code: &'static str, range: Range<usize>, message: &str) {
        let span = self.span(range);
        self.faults.push(Diagnostic::error(code, span, message));
    }

    fn too_deep(&self, range: Range<usize>) -> Fatal {
        let message = format!("mappings and lists nest deeper than {MAX_DEPTH} levels");
        Diagnostic::error(codes::TOO_DEEP, self.span(range), message).into()
    }

    fn syntax(&self, error: &ScanError) -> Fatal {
        let at = self.offset(*error.marker());
        // The scanner reads a line ahead, and has a bound of its own for what it finds there.
        if error.info().contains("recursion limit") {
            return self.too_deep(at..at);
        }
        let range = self.source.line(self.source.line_of(at));
        let (start, line) = (range.start, self.source.slice(range));
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = line.get(..indent).and_then(|blank| blank.find('\t')) {
            let span = self.span(start + tab..start + tab + 1);
            return Diagnostic::error(codes::YAML_TAB, span, "the line is indented with a tab")
                .help("YAML indents with spaces")
                .into();
        }
        let span = self.span(at..at);
        Diagnostic::error(codes::YAML_SYNTAX, span, error.info().to_owned()).into()
    }

    fn offset(&self, marker: Marker) -> usize {
        self.characters.offset(self.source.text(), marker.index())
    }

    /// Without the space behind it, which the parser counts in after a closing quote.
    fn trimmed(&self, range: Range<usize>) -> Range<usize> {
        range.start..range.start + self.source.slice(range).trim_end().len()
    }

    /// Without the `&name` before it, which the parser counts in.
    fn without_anchor(&self, range: Range<usize>) -> Range<usize> {
        let text = self.source.slice(range.clone());
        let Some(anchor) = text.strip_prefix('&') else { return range };
        let value = anchor.find(char::is_whitespace).and_then(|at| anchor.get(at..));
        let value = value.unwrap_or_default().trim_start();
        range.start + text.len() - value.len()..range.end
    }

    fn span(&self, range: Range<usize>) -> Span {
        Span::new(self.source, range)
    }
}

/// Where characters begin: the parser counts characters, spans count bytes.
struct Characters {
    /// The offset of every 64th character; empty if all are of one byte.
    marks: Vec<u32>,
}

impl Characters {
    const STEP: usize = 64;

    fn of(text: &str) -> Self {
        if text.is_ascii() {
            return Self { marks: Vec::new() };
        }
        let marks = text.char_indices().step_by(Self::STEP).map(|(at, _)| narrow(at)).collect();
        Self { marks }
    }

    fn offset(&self, text: &str, index: usize) -> usize {
        if self.marks.is_empty() {
            return index.min(text.len());
        }
        let Some(mark) = self.marks.get(index / Self::STEP) else { return text.len() };
        let tail = text.get(*mark as usize..).unwrap_or_default();
        let within = tail.char_indices().nth(index % Self::STEP).map_or(tail.len(), |(at, _)| at);
        *mark as usize + within
    }
}

/// INVARIANT: a text is at most [`MAX_BYTES`] long, so that offsets and counts fit.
fn narrow(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}
