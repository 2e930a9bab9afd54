//! What a plain scalar is by the core schema of YAML 1.2, and `${NAME}` in text.

use super::document::Style;

/// What a scalar is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar {
    Boolean(bool),
    /// Nothing after the colon, `~` or `null`.
    Null,
    /// A number that is no whole one, or beyond 64 bits.
    Number,
    Text,
    Whole(i64),
}

/// Reads a scalar as it was written.
pub(super) fn resolve(text: &str, style: Style) -> Scalar {
    if style == Style::Quoted {
        return Scalar::Text;
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "true" | "True" | "TRUE" => Scalar::Boolean(true),
        "false" | "False" | "FALSE" => Scalar::Boolean(false),
        _ => number(text),
    }
}

fn number(text: &str) -> Scalar {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |text: &str, radix| !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
    let whole = |parsed: Result<i64, _>| parsed.map_or(Scalar::Number, Scalar::Whole);
    if digits(unsigned, 10) {
        return whole(text.parse());
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(tail) = text.strip_prefix(prefix).filter(|tail| digits(tail, radix)) {
            return whole(i64::from_str_radix(tail, radix));
        }
    }
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Scalar::Number;
    }
    let shaped = unsigned.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    let begins = unsigned.trim_start_matches('.').starts_with(|c: char| c.is_ascii_digit());
    if shaped && begins && text.parse::<f64>().is_ok() { Scalar::Number } else { Scalar::Text }
}

/// The environment: the value of a variable, if it is set.
pub type Environment<'e> = dyn Fn(&str) -> Option<String> + 'e;

/// Why `${…}` could not be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum VariableFault {
    /// Not `${NAME}` or `${NAME:-default}`.
    Malformed,
    /// This one is not set, and has no default.
    Unset(String),
}

/// Replaces `${NAME}` and `${NAME:-default}`; `$${` is a literal `${`, and a lone `$` is itself.
/// `None` where there is nothing to replace.
pub(super) fn expand(
    text: &str,
    environment: &Environment<'_>,
) -> Result<Option<String>, VariableFault> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, variable) = rest.split_at(at);
        if let Some(literal) = before.strip_suffix('$') {
            expanded.push_str(literal);
            expanded.push_str("${");
            rest = variable.get(2..).unwrap_or_default();
            continue;
        }
        expanded.push_str(before);
        let inner = variable.get(2..).unwrap_or_default();
        let (inner, tail) = inner.split_once('}').ok_or(VariableFault::Malformed)?;
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        if !is_name(name) {
            return Err(VariableFault::Malformed);
        }
        let value = environment(name);
        match (value, default) {
            // As in a shell: a default is for a variable that is unset or empty.
            (Some(value), Some(default)) if value.is_empty() => expanded.push_str(default),
            (Some(value), _) => expanded.push_str(&value),
            (None, Some(default)) => expanded.push_str(default),
            (None, None) => return Err(VariableFault::Unset(name.to_owned())),
        }
        rest = tail;
    }
    expanded.push_str(rest);
    Ok(Some(expanded))
}

fn is_name(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    text.bytes().next().is_some_and(letter)
        && text.bytes().all(|byte| letter(byte) || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<Option<String>, VariableFault> {
        expand(text, &|name| match name {
            "NAME" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRAP" => Some("${NAME}".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn a_variable_is_replaced_once() {
        for (text, value) in [
            ("${NAME}", "value"),
            ("a ${NAME} b ${NAME}", "a value b value"),
            ("${EMPTY}", ""),
            ("${EMPTY:-x}", "x"),
            ("${OTHER:-}", ""),
            ("${OTHER:-a:-b}", "a:-b"),
            ("${NAME:-x}", "value"),
            ("$${NAME}", "${NAME}"),
            ("$$${NAME}", "$${NAME}"),
            ("${TRAP}", "${NAME}"),
        ] {
            assert_eq!(expanded(text), Ok(Some(value.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_lone_dollar_is_itself() {
        assert_eq!(expanded("$2b$12$NAME$"), Ok(None));
        assert_eq!(expanded("{NAME}"), Ok(None));
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        assert_eq!(expanded("x${OTHER}"), Err(VariableFault::Unset("OTHER".to_owned())));
        for text in ["${", "${}", "${A B}", "${1A}", "${A", "${A-b}"] {
            assert_eq!(expanded(text), Err(VariableFault::Malformed), "{text}");
        }
    }

    #[test]
    fn a_plain_scalar_is_what_yaml_says() {
        for (text, scalar) in [
            ("", Scalar::Null),
            ("~", Scalar::Null),
            ("no", Scalar::Text),
            ("on", Scalar::Text),
            ("true", Scalar::Boolean(true)),
            ("8080", Scalar::Whole(8080)),
            ("-1", Scalar::Whole(-1)),
            ("0x1f", Scalar::Whole(31)),
            ("0o17", Scalar::Whole(15)),
            ("017", Scalar::Whole(17)),
            ("1_000", Scalar::Text),
            ("12:30", Scalar::Text),
            ("1.5", Scalar::Number),
            ("1e3", Scalar::Number),
            (".inf", Scalar::Number),
            ("99999999999999999999", Scalar::Number),
            ("10.0.0.0/8", Scalar::Text),
            ("127.0.0.1", Scalar::Text),
            ("inf", Scalar::Text),
            ("-", Scalar::Text),
            (".", Scalar::Text),
        ] {
            assert_eq!(resolve(text, Style::Plain), scalar, "{text}");
        }
        assert_eq!(resolve("8080", Style::Quoted), Scalar::Text);
    }
}
