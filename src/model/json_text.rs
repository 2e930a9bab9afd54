//! JSON objects and their parts, written straight into a buffer that its owner may use again:
//! nothing is allocated for them, and no formatter runs.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
};

/// A JSON object that is written member by member to the end of a buffer.
#[derive(Debug)]
pub struct JsonObject<'b> {
    text: &'b mut Vec<u8>,
    /// What stands before the next member.
    before: u8,
}

impl<'b> JsonObject<'b> {
    /// Begins an object.
    pub fn begin(text: &'b mut Vec<u8>) -> Self {
        Self { text, before: b'{' }
    }

    /// Ends it.
    pub fn end(self) {
        if self.before == b'{' {
            self.text.push(b'{');
        }
        self.text.push(b'}');
    }

    /// A member whose value, in JSON, is written by the caller.
    pub fn member(&mut self, name: &str) -> &mut Vec<u8> {
        self.text.push(self.before);
        self.before = b',';
        push_json_string(name, self.text);
        self.text.push(b':');
        self.text
    }

    /// A text, or `null`.
    pub fn text<'t>(&mut self, name: &str, value: impl Into<Option<&'t str>>) {
        let text = self.member(name);
        match value.into() {
            Some(value) => push_json_string(value, text),
            None => text.extend_from_slice(b"null"),
        }
    }

    /// A list of texts.
    pub fn texts<'t>(&mut self, name: &str, values: impl IntoIterator<Item = &'t str>) {
        let text = self.member(name);
        text.push(b'[');
        for (position, value) in values.into_iter().enumerate() {
            if position > 0 {
                text.push(b',');
            }
            push_json_string(value, text);
        }
        text.push(b']');
    }

    /// A whole number.
    pub fn number(&mut self, name: &str, value: u64) {
        push_digits(value, self.member(name));
    }

    /// An address.
    pub fn address(&mut self, name: &str, value: IpAddr) {
        let text = self.member(name);
        text.push(b'"');
        push_address(value, text);
        text.push(b'"');
    }
}

fn push_json_string(value: &str, text: &mut Vec<u8>) {
    // Looks at every byte, since that takes less time than to stop at the first.
    let escaped = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\' || byte == 127;
    if value.bytes().fold(false, |found, byte| found | escaped(byte)) {
        // Text always has a JSON form.
        let _ = serde_json::to_writer(text, value);
        return;
    }
    text.push(b'"');
    text.extend_from_slice(value.as_bytes());
    text.push(b'"');
}

/// Writes a number in decimal digits.
pub fn push_digits(mut number: u64, text: &mut Vec<u8>) {
    let start = text.len();
    loop {
        text.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if let Some(digits) = text.get_mut(start..) {
        digits.reverse();
    }
}

/// Writes an address as it is usually spelled.
pub fn push_address(address: IpAddr, text: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => push_v4(address, text),
        IpAddr::V6(address) => {
            // Writing to memory cannot fail.
            let _ = write!(text, "{address}");
        }
    }
}

fn push_v4(address: Ipv4Addr, text: &mut Vec<u8>) {
    for (position, octet) in address.octets().into_iter().enumerate() {
        if position > 0 {
            text.push(b'.');
        }
        push_digits(octet.into(), text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn written(write: impl FnOnce(&mut JsonObject<'_>)) -> serde_json::Value {
        let mut text = Vec::new();
        let mut object = JsonObject::begin(&mut text);
        write(&mut object);
        object.end();
        serde_json::from_slice(&text).unwrap()
    }

    #[test]
    fn an_object_without_members_is_one() {
        assert_eq!(written(|_| ()), json!({}));
    }

    #[test]
    fn numbers_at_their_ends() {
        let read = written(|object| {
            object.number("least", 0);
            object.number("most", u64::MAX);
        });
        assert_eq!(read, json!({"least": 0, "most": u64::MAX}));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            name in ".*",
            text in ".*",
            list in prop::collection::vec(".*", 0..3),
            address: IpAddr,
        ) {
            let read = written(|object| {
                object.text(&format!("1{name}"), text.as_str());
                object.text("none", None);
                object.texts("list", list.iter().map(String::as_str));
                object.address("address", address);
            });
            let name = format!("1{name}");
            prop_assert_eq!(
                read,
                json!({ name: text, "none": null, "list": list, "address": address })
            );
        }
    }
}
