//! The parameters of a query, read as forms are (WHATWG URL, `application/x-www-form-urlencoded`),
//! because that is how applications read them.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// One parameter of a query. It may hold a credential, so it does not print.
#[derive(Clone, Copy)]
pub struct Parameter<'q> {
    written: &'q str,
}

/// The parameters of a query in their order.
pub fn parameters(query: &str) -> impl Iterator<Item = Parameter<'_>> {
    query.split('&').filter(|written| !written.is_empty()).map(|written| Parameter { written })
}

impl<'q> Parameter<'q> {
    /// As it stands in the query, name and value.
    pub fn written(&self) -> &'q str {
        self.written
    }

    /// Whether an application reads this name, in whatever spelling it came: `%61pi_key` too.
    pub fn is_named(&self, name: &str) -> bool {
        *self.name() == *name.as_bytes()
    }

    /// Its name, decoded.
    pub fn name(&self) -> Cow<'q, [u8]> {
        decoded(self.written.split_once('=').map_or(self.written, |(name, _)| name))
    }

    /// Its value, decoded; empty if it has none.
    pub fn value(&self) -> Cow<'q, [u8]> {
        decoded(self.written.split_once('=').map_or("", |(_, value)| value))
    }
}

/// Decodes `+` and percent-encoding; what is no valid encoding stands for itself.
fn decoded(text: &str) -> Cow<'_, [u8]> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text.as_bytes());
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_decode(spaced.as_bytes()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_in_every_spelling_and_no_other_name_is() {
        for written in
            ["api_key=1", "%61pi_key=1", "api%5Fkey=1", "api%5fkey", "%61%70%69%5f%6b%65%79="]
        {
            let one = parameters(written).next().unwrap();
            assert!(one.is_named("api_key"), "{written}");
        }
        for written in
            ["API_KEY=1", "api_key%00=1", "api+key=1", "%2561pi_key=1", "api_key%=1", "xapi_key=1"]
        {
            let one = parameters(written).next().unwrap();
            assert!(!one.is_named("api_key"), "{written}");
        }
    }

    #[test]
    fn a_value_is_decoded_as_applications_do() {
        let values: Vec<Vec<u8>> = parameters("a=1%2B2&b=1+2&&c&d=x=y&e=%zz&f=%ff")
            .map(|one| one.value().into_owned())
            .collect();
        assert_eq!(values, [&b"1+2"[..], b"1 2", b"", b"x=y", b"%zz", b"\xff"]);
    }
}
