//! Where the store is.

use super::{Rule, ValueFault, Written, written};
use crate::model::{Secret, StoreLocation};

/// `sqlite:FILE` or `postgres://…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreUrl(pub StoreLocation);

impl Written for StoreUrl {
    const FORMAT: &'static str = "store-url";
    const EXPECTS: &'static str =
        "a store such as `sqlite:portcullis.db` or `postgres://user@host/database`";
    // The URL of a database may hold its password.
    const SECRET: bool = true;
    const IN_CLEAR: bool = false;

    fn read(text: &str) -> Result<Self, ValueFault> {
        if let Some(file) = text.strip_prefix("sqlite:") {
            // `sqlite://` is how other programs begin an absolute path or a relative one.
            let file = file.strip_prefix("//").unwrap_or(file);
            return match file {
                "" | ":memory:" => Err(ValueFault::because("SQLite keeps the store in a file")
                    .help("write `sqlite:portcullis.db`")),
                _ if file.contains(['?', '\0']) => {
                    Err(ValueFault::because("after `sqlite:` the name of a file stands alone"))
                }
                _ => Ok(Self(StoreLocation::Sqlite(file.into()))),
            };
        }
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
        match rest {
            None => Err(ValueFault::malformed()),
            Some("") => Err(ValueFault::because("the database's host and name are missing")),
            Some(_) if text.chars().any(|one| one.is_control() || one == ' ') => {
                Err(ValueFault::malformed())
            }
            Some(_) => Ok(Self(StoreLocation::Postgres(Secret::new(text)))),
        }
    }
}

written!(StoreUrl);

impl StoreUrl {
    /// Whether a text in this notation, if it is ours, holds the password of a database.
    pub fn has_password(rule: &Rule, text: &str) -> bool {
        let user = text.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
        rule.format == Self::FORMAT
            && (user.is_some_and(|(user, _)| user.contains(':')) || text.contains("password="))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_file_or_a_database() {
        let file = |text| match StoreUrl::read(text).unwrap().0 {
            StoreLocation::Sqlite(file) => file.display().to_string(),
            StoreLocation::Postgres(_) => panic!("a file"),
        };
        assert_eq!(file("sqlite:portcullis.db"), "portcullis.db");
        assert_eq!(file("sqlite:///var/lib/portcullis.db"), "/var/lib/portcullis.db");
        let database = StoreUrl::read("postgres://gw:hunter2@db/portcullis").unwrap();
        assert_eq!(format!("{database:?}"), "StoreUrl(postgres)");
        for text in ["", "portcullis.db", "sqlite:", "sqlite::memory:", "mysql://x", "postgres://"]
        {
            assert!(StoreUrl::read(text).is_err(), "{text}");
        }
    }
}
