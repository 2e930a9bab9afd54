//! JSON objects in which no member stands twice.
//!
//! Of two members with one name, readers pick the first or the last (RFC 8259, section 4), so what
//! one of them judged another may act on. RFC 7515 and 7519 let a parser refuse such objects; this
//! one does, at every depth.

use std::{cell::Cell, fmt};

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why a text is no such object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectFault {
    /// A member stands twice.
    #[error("a member stands twice")]
    Duplicate,
    /// Not a JSON object, or nested too deeply.
    #[error("not a JSON object")]
    Malformed,
}

/// Objects and arrays within one another at most.
const DEEPEST: u8 = 32;

/// Parses a JSON object.
///
/// # Errors
/// If it is none, a member stands twice at any depth, or it is nested more than 32 deep.
pub fn parse_object(text: &[u8]) -> Result<Map<String, Value>, ObjectFault> {
    let twice = Cell::new(false);
    let mut parser = serde_json::Deserializer::from_slice(text);
    let strict = Strict { left: DEEPEST, twice: &twice };
    let parsed = strict.deserialize(&mut parser).and_then(|value| parser.end().map(|()| value));
    match parsed {
        Ok(Value::Object(members)) => Ok(members),
        Err(_) if twice.get() => Err(ObjectFault::Duplicate),
        Ok(_) | Err(_) => Err(ObjectFault::Malformed),
    }
}

#[derive(Clone, Copy)]
struct Strict<'t> {
    left: u8,
    twice: &'t Cell<bool>,
}

impl Strict<'_> {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        let left = self.left.checked_sub(1).ok_or_else(|| E::custom("nested too deeply"))?;
        Ok(Self { left, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a number"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let deeper = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(deeper)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let deeper = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(deeper)?;
            if object.insert(name, value).is_some() {
                self.twice.set(true);
                return Err(de::Error::custom("a member stands twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_as_it_is() {
        let text = r#"{"a":[1,-2,1.5,"x",null,true],"b":{"a":"\u00e9"}}"#;
        let parsed = parse_object(text.as_bytes()).unwrap();
        assert_eq!(Value::Object(parsed), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn a_member_that_stands_twice_is_refused_at_every_depth_and_in_every_spelling() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":[{"b":1,"b":2}]}"#,
            r#"{"a":1,"\u0061":2}"#,
        ] {
            assert_eq!(parse_object(text.as_bytes()), Err(ObjectFault::Duplicate), "{text}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let deep = format!("{}{}", r#"{"a":"#.repeat(40), "}".repeat(40));
        let very_deep = "[".repeat(1 << 20);
        for text in [
            "",
            "[]",
            "7",
            "{",
            "{}x",
            "{} {}",
            r#"{"a":1e400}"#,
            r#"{"a":NaN}"#,
            "\u{feff}{}",
            &deep,
            &very_deep,
        ] {
            assert_eq!(parse_object(text.as_bytes()), Err(ObjectFault::Malformed));
        }
        assert_eq!(parse_object(b"{\"a\":\"\xff\"}"), Err(ObjectFault::Malformed));
    }
}
