//! Every code that a diagnostic can have, with its meaning. Codes are stable: scripts read them.

macro_rules! codes {
    ($($name:ident = $code:literal: $meaning:literal;)+) => {
        $(
            #[doc = $meaning]
            pub const $name: &str = $code;
        )+

        /// Every code with its meaning, in alphabetical order.
        pub const ALL: &[(&str, &str)] = &[$(($code, $meaning)),+];
    };
}

codes! {
    DUPLICATE_KEY = "duplicate-key": "A key stands twice in one mapping.";
    EMPTY_FILE = "empty-file": "The file has nothing in it.";
    EMPTY_SECRET = "empty-secret": "A secret is empty.";
    FILE_TOO_LARGE = "file-too-large": "A file is larger than is ever needed; it was not read.";
    INVALID_KEY = "invalid-key": "A key is not plain text.";
    INVALID_VALUE = "invalid-value": "A value is not in the notation that its key wants.";
    INVALID_VARIABLE = "invalid-variable": "`${…}` is not `${NAME}` or `${NAME:-default}`.";
    MERGE_KEY = "merge-key": "`<<` is not supported: what a mapping holds stands in it.";
    MISSING_KEY = "missing-key": "A key that is required is missing.";
    NOT_AVAILABLE = "not-available": "Something that a later version brings.";
    NOT_UTF8 = "not-utf8": "The file is not UTF-8.";
    NULL_VALUE = "null-value": "A key has no value.";
    OUT_OF_RANGE = "out-of-range": "A number, or the number of items, is beyond its bounds.";
    SECRET_IN_CLEAR = "secret-in-clear": "A secret stands in the file itself. A warning.";
    SEVERAL_DOCUMENTS = "several-documents": "The file has more than one YAML document.";
    TOO_DEEP = "too-deep": "Mappings and lists are nested too deeply.";
    TOO_MANY_ALIASES = "too-many-aliases": "Aliases repeat too much.";
    TOO_MANY_FAULTS = "too-many-faults": "There are more faults than are shown.";
    UNKNOWN_KEY = "unknown-key": "A key is not known here.";
    UNREADABLE_FILE = "unreadable-file": "A file that the configuration names cannot be read.";
    UNSET_VARIABLE = "unset-variable": "An environment variable is not set.";
    WRONG_TYPE = "wrong-type": "A value is of another type than its key wants.";
    YAML_SYNTAX = "yaml-syntax": "The text is not YAML.";
    YAML_TAB = "yaml-tab": "A line is indented with a tab.";
    YAML_TAG = "yaml-tag": "YAML tags are not supported.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_words_in_alphabetical_order() {
        assert!(ALL.is_sorted_by(|a, b| a.0 < b.0));
        for (code, meaning) in ALL {
            let word =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            assert!(code.bytes().all(word), "{code}");
            assert!(meaning.ends_with('.'), "{code}");
        }
    }
}
