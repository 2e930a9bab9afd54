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
    ADMIN_TOKEN = "admin-token": "The token of the admin API is missing, too short, or cannot be sent.";
    AUTH_UNDECIDED = "auth-undecided": "Nothing says who is let in.";
    CERTIFICATE_EXPIRES = "certificate-expires": "A certificate has expired, or will within 30 days. A warning.";
    CERTIFICATES_NOT_ASKED = "certificates-not-asked": "Clients are to be known by certificates that no listener asks for.";
    CONTRADICTION = "contradiction": "Two keys exclude each other.";
    DEMONSTRATION_SECRET = "demonstration-secret": "A secret is that of the shipped example.";
    DUPLICATE = "duplicate": "The same thing stands twice where it must be unique.";
    DUPLICATE_KEY = "duplicate-key": "A key stands twice in one mapping.";
    EMPTY_FILE = "empty-file": "The file has nothing in it.";
    EMPTY_SECRET = "empty-secret": "A secret is empty.";
    EXPIRED_KEY = "expired-key": "An API key has expired.";
    FILE_TOO_LARGE = "file-too-large": "A file is larger than is ever needed; it was not read.";
    INVALID_CORS = "invalid-cors": "Cross-origin rules that would let every page in, or cannot be.";
    INVALID_EXPRESSION = "invalid-expression": "An expression is not CEL, or names what is not there.";
    INVALID_HASH = "invalid-hash": "A password's hash is damaged, or too dear to check.";
    INVALID_KEY = "invalid-key": "A key is not plain text.";
    INVALID_PATH = "invalid-path": "A path template cannot match, or would not mean what it seems to say.";
    INVALID_PREFIX = "invalid-prefix": "A prefix cannot be stripped from the route's paths.";
    INVALID_QUOTA = "invalid-quota": "A text is no quota.";
    INVALID_REDIRECT = "invalid-redirect": "A redirect that a client could send elsewhere.";
    INVALID_REWRITE = "invalid-rewrite": "A path that is never let through would be made.";
    INVALID_TEMPLATE = "invalid-template": "A template is not well formed, or names what is not there.";
    INVALID_VALUE = "invalid-value": "A value is not in the notation that its key wants.";
    INVALID_VARIABLE = "invalid-variable": "`${…}` is not `${NAME}` or `${NAME:-default}`.";
    KEY_AS_USER = "key-as-user": "An API key speaks under the name of a user by its id alone. A warning.";
    MERGE_KEY = "merge-key": "`<<` is not supported: what a mapping holds stands in it.";
    METHOD_NOT_CONFIGURED = "method-not-configured": "A route asks for a method that is not configured.";
    MISSING_KEY = "missing-key": "A key that is required is missing.";
    NARROW_METHODS = "narrow-methods": "A path answers 405 where a wider route takes every method.";
    NEEDS_PRINCIPAL = "needs-principal": "A rule about principals stands where nobody is asked who they are.";
    NO_AUDIENCES = "no-audiences": "An issuer's tokens are taken whomever they were issued for.";
    NO_DEFAULT_PLAN = "no-default-plan": "A limit by plan has no plan to fall back to.";
    NO_EFFECT = "no-effect": "A key changes nothing as the file stands.";
    NO_EXPIRY = "no-expiry": "An issuer's tokens may never expire.";
    NO_ISSUER = "no-issuer": "An issuer takes the tokens that no other claims.";
    NO_OWNERSHIP = "no-ownership": "A parameter looks like an owner, and no rule compares it.";
    NO_PASSWORD = "no-password": "Nobody has a password to log in with.";
    NOT_AVAILABLE = "not-available": "Something that a later version brings.";
    NOT_UTF8 = "not-utf8": "The file is not UTF-8.";
    NULL_VALUE = "null-value": "A key has no value.";
    OUT_OF_RANGE = "out-of-range": "A number, or the number of items, is beyond its bounds.";
    OWN_LISTENER = "own-listener": "An upstream is one of the gateway's own listeners.";
    OWNER_PARAMETER = "owner-parameter": "Not every path of a route has the owner's parameter.";
    OWNER_SOURCES = "owner-sources": "A subject may be somebody else at another issuer.";
    PUBLIC_BENEATH_PROTECTED = "public-beneath-protected": "A public route lies beneath a protected one.";
    PUBLIC_BY_DEFAULT = "public-by-default": "Routes are public unless they say otherwise.";
    REDUNDANT = "redundant": "Something says what something beside it says already.";
    RESERVED_HEADER = "reserved-header": "A header belongs to the connection or has a meaning of its own.";
    ROLE_CYCLE = "role-cycle": "A role includes itself.";
    ROUTE_OVERLAP = "route-overlap": "Two routes could both win for one request.";
    SAME_ISSUER = "same-issuer": "Two issuers would take the same tokens.";
    SECRET_IN_CLEAR = "secret-in-clear": "A secret stands in the file itself. A warning.";
    SEVERAL_DOCUMENTS = "several-documents": "The file has more than one YAML document.";
    SHADOW_ROUTE = "shadow-route": "A route lets through what its rules refuse.";
    TAKEN_PATH = "taken-path": "A route is for a path of the gateway's own.";
    TOO_DEEP = "too-deep": "Mappings and lists are nested too deeply.";
    TOO_MANY_ALIASES = "too-many-aliases": "Aliases repeat too much.";
    TOO_MANY_FAULTS = "too-many-faults": "There are more faults than are shown.";
    TRUSTS_EVERYBODY = "trusts-everybody": "Every client may say where it comes from.";
    TWIN_USERS = "twin-users": "Two usernames differ in their letter case only. A warning.";
    UNHELD_PERMISSION = "unheld-permission": "Nobody has a permission that a route asks for.";
    UNHELD_ROLE = "unheld-role": "Nobody holds a role.";
    UNKNOWN_ISSUER = "unknown-issuer": "An issuer is not defined.";
    UNKNOWN_KEY = "unknown-key": "A key is not known here.";
    UNKNOWN_PLAN = "unknown-plan": "A plan is not defined.";
    UNKNOWN_ROLE = "unknown-role": "A role is not defined.";
    UNKNOWN_UPSTREAM = "unknown-upstream": "An upstream is not defined.";
    UNREACHABLE_ROUTE = "unreachable-route": "No request can reach a route.";
    UNREADABLE_FILE = "unreadable-file": "A file that the configuration names cannot be read.";
    UNSET_VARIABLE = "unset-variable": "An environment variable is not set.";
    UNUSABLE_CERTIFICATE = "unusable-certificate": "A certificate cannot be used, or nobody will ever be shown it.";
    UNUSABLE_KEY = "unusable-key": "A key or secret cannot be used.";
    UNVERIFIED_UPSTREAM = "unverified-upstream": "An upstream's certificate is not checked. A warning.";
    WRONG_TYPE = "wrong-type": "A value is of another type than its key wants.";
    YAML_SYNTAX = "yaml-syntax": "The text is not YAML.";
    YAML_TAB = "yaml-tab": "A line is indented with a tab.";
    YAML_TAG = "yaml-tag": "YAML tags are not supported.";
}

/// How to mend what has this code, where the fault itself has no better word.
pub fn remedy(code: &str) -> Option<&'static str> {
    Some(match code {
        DUPLICATE | DUPLICATE_KEY => "remove one of them",
        EMPTY_FILE => "begin with `version: 1`; `portcullis schema` says what may follow",
        EMPTY_SECRET => "write `${NAME}` and set that variable, or `{ file: PATH }`",
        FILE_TOO_LARGE => "split what it holds, or name the file that was meant",
        INVALID_KEY => "a key is plain text before a `:`, in quotes if it has other characters",
        INVALID_VALUE | WRONG_TYPE => {
            "write it in the form that is expected; `portcullis schema` has it for each key"
        }
        NOT_AVAILABLE => "remove it",
        NOT_UTF8 => "save the file as UTF-8",
        OUT_OF_RANGE => "choose a value within the bounds",
        TOO_DEEP => "no key of the file is nested so deeply: look for a bracket that is not closed",
        TOO_MANY_ALIASES => "write out what the aliases stand for",
        TOO_MANY_FAULTS => "mend the first ones and check again",
        UNKNOWN_KEY => "remove it; `portcullis schema` lists the keys that are known here",
        YAML_SYNTAX => "look at the indentation, and put text with `:`, `#`, `{` or `*` in quotes",
        _ => return None,
    })
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
