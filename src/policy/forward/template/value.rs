//! What names of a template stand for, and how that is written into a header.

use std::{borrow::Cow, fmt::Write};

use serde_json::Value;

/// What a name stands for in one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateValue<'r> {
    /// A flat list, never empty.
    List(Vec<Cow<'r, str>>),
    /// A string, number or boolean.
    Text(Cow<'r, str>),
}

impl<'r> TemplateValue<'r> {
    pub(super) fn list(items: impl Iterator<Item = Cow<'r, str>>) -> Option<Self> {
        let items: Vec<_> = items.collect();
        (!items.is_empty()).then_some(Self::List(items))
    }

    pub(super) fn of_json(value: &'r Value) -> Option<Self> {
        let Value::Array(items) = value else { return scalar(value).map(Self::Text) };
        let items: Vec<_> = items.iter().map(scalar).collect::<Option<_>>()?;
        (!items.is_empty()).then_some(Self::List(items))
    }

    /// As plain text; the items of a list joined by `,`.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::List(items) => Cow::Owned(items.join(",")),
            Self::Text(text) => Cow::Borrowed(text),
        }
    }

    pub(super) fn encode_into(&self, out: &mut Vec<u8>) {
        match self {
            Self::List(items) => {
                encode_list(items.iter().map(|item| &**item), out);
            }
            Self::Text(text) => encode(text, |_| false, out),
        }
    }
}

fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Bool(true) => Some(Cow::Borrowed("true")),
        Value::Bool(false) => Some(Cow::Borrowed("false")),
        Value::Number(number) => {
            let mut text = String::new();
            write!(text, "{number}").ok()?;
            Some(Cow::Owned(text))
        }
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Array(_) | Value::Null | Value::Object(_) => None,
    }
}

/// Writes the items of a list as they stand in a header; nothing if there is none.
pub(super) fn encode_list<'i>(
    mut items: impl Iterator<Item = &'i str>,
    out: &mut Vec<u8>,
) -> Option<()> {
    let in_list = |byte| byte == b',';
    encode(items.next()?, in_list, out);
    for item in items {
        out.push(b',');
        encode(item, in_list, out);
    }
    Some(())
}

/// Whether a byte stands in a header as it is.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'%'
}

fn encode(text: &str, more: impl Fn(u8) -> bool, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let stands = |byte| is_plain(byte) && !more(byte);
    if text.bytes().all(stands) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for byte in text.bytes() {
        if stands(byte) {
            out.push(byte);
        } else {
            let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}
