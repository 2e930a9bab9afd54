//! The claims of a verified token (RFC 7519, section 4), read by dotted paths.

use serde_json::{Map, Value};

/// A token's claim set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// Wraps a parsed claim set.
    pub fn new(members: Map<String, Value>) -> Self {
        Self(members)
    }

    /// The members at the top.
    pub fn members(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Finds a claim by its dotted path. A member whose own name holds the dots wins over the
    /// nested one, so that names such as `https://example.com/roles` can be written as they are.
    pub fn find(&self, path: &str) -> Option<&Value> {
        find(&self.0, path)
    }
}

fn find<'c>(members: &'c Map<String, Value>, path: &str) -> Option<&'c Value> {
    if let Some(value) = members.get(path) {
        return Some(value);
    }
    path.match_indices('.').find_map(|(dot, _)| {
        let (head, tail) = path.split_at(dot);
        let inner = members.get(head)?.as_object()?;
        find(inner, tail.get(1..)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims(value: Value) -> Claims {
        Claims::new(value.as_object().cloned().unwrap())
    }

    #[test]
    fn a_dotted_path_reaches_nested_members() {
        let claims = claims(json!({"realm_access": {"roles": ["a"]}}));
        assert_eq!(claims.find("realm_access.roles"), Some(&json!(["a"])));
        assert_eq!(claims.find("realm_access.groups"), None);
    }

    #[test]
    fn a_member_named_with_dots_is_found_as_written() {
        let claims = claims(json!({"https://id.example.com/roles": "x", "a": {"b.c": 1}}));
        assert_eq!(claims.find("https://id.example.com/roles"), Some(&json!("x")));
        assert_eq!(claims.find("a.b.c"), Some(&json!(1)));
    }
}
