//! Where the store is.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use url::Url;

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
                _ if file.ends_with(['/', '.']) && !names_a_file(file) => {
                    Err(ValueFault::because("after `sqlite:` stands a folder, and no file")
                        .help("write `sqlite:portcullis.db`"))
                }
                _ => Ok(Self(StoreLocation::Sqlite(file.into()))),
            };
        }
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(ValueFault::malformed());
        }
        if text.chars().any(|one| one.is_control() || one == ' ') {
            return Err(ValueFault::malformed());
        }
        match judge_database(text) {
            Ok(()) => Ok(Self(StoreLocation::Postgres(Secret::new(text)))),
            Err(why) => Err(ValueFault::because(why)
                .help("write `postgres://user@host/database`, what is unusual in it as `%XX`")),
        }
    }
}

/// Whether a path that ends so is nevertheless that of a file.
fn names_a_file(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    !matches!(last, "" | "." | "..")
}

/// The ways in which a connection may be encrypted, as the driver knows them.
const SSL_MODES: [&str; 6] = ["allow", "disable", "prefer", "require", "verify-ca", "verify-full"];

/// What the driver would refuse, and what is connected to nowhere in particular: it would take the
/// place of what is missing from the environment. No message repeats what may be a password.
fn judge_database(text: &str) -> Result<(), &'static str> {
    let url = Url::parse(text).map_err(|fault| match fault {
        url::ParseError::InvalidPort => "the port is no number from 1 to 65535",
        url::ParseError::EmptyHost => "the database's host is missing",
        _ => "it is no URL",
    })?;
    if url.port() == Some(0) {
        return Err("the port is no number from 1 to 65535");
    }
    let parts = [url.username(), url.password().unwrap_or_default(), url.path()];
    let host = url.host_str().unwrap_or_default();
    if parts.into_iter().chain([host]).any(|part| percent_decode_str(part).decode_utf8().is_err()) {
        return Err("what stands there as `%XX` is no text");
    }
    if url.fragment().is_some() {
        return Err("a `#` stands in it: write `%23`");
    }
    let mut has_host = !host.is_empty();
    let mut has_database = !url.path().trim_start_matches('/').is_empty();
    for (name, value) in url.query_pairs() {
        match &*name {
            "host" => has_host |= !value.is_empty(),
            "hostaddr" if value.parse::<IpAddr>().is_err() => {
                return Err("`hostaddr` is no address");
            }
            "hostaddr" => has_host = true,
            "dbname" => has_database |= !value.is_empty(),
            "port" if value.parse::<u16>().ok().is_none_or(|port| port == 0) => {
                return Err("the port is no number from 1 to 65535");
            }
            "sslmode" | "ssl-mode" if !SSL_MODES.contains(&&*value.to_ascii_lowercase()) => {
                return Err("`sslmode` is none that is known");
            }
            "statement-cache-capacity" if value.parse::<usize>().is_err() => {
                return Err("`statement-cache-capacity` is no number");
            }
            _ => {}
        }
    }
    if !has_host {
        return Err("the database's host is missing");
    }
    if has_database { Ok(()) } else { Err("the database's name is missing") }
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
        for folder in ["sqlite:/var/lib/", "sqlite:.", "sqlite:..", "sqlite:///var/lib/."] {
            assert!(StoreUrl::read(folder).is_err(), "{folder}");
        }
        assert_eq!(file("sqlite:a."), "a.");
    }

    #[test]
    fn a_database_that_can_never_be_reached_is_refused_without_asking_it() {
        for text in [
            "postgres://h/t",
            "postgresql://u:p%40ss@h:5433/t",
            "postgres://u@[::1]:5432/t?sslmode=verify-full",
            "postgres://u@%2Frun%2Fpostgresql/t",
            "postgres:///t?host=/run/postgresql",
            "postgres://u@localhost/?dbname=t&port=5433",
            "postgres://?hostaddr=192.0.2.7&dbname=t&unknown=1",
        ] {
            assert!(StoreUrl::read(text).is_ok(), "{text}");
            // As the driver reads it.
            assert!(text.parse::<sqlx::postgres::PgConnectOptions>().is_ok(), "{text}");
        }
        for (text, why) in [
            ("postgres://u@h:bad/t", "port"),
            ("postgres://u@h:99999/t", "port"),
            ("postgres://u@h:0/t", "port"),
            ("postgres://u@h/t?port=x", "port"),
            ("postgres://h", "name is missing"),
            ("postgres://h/", "name is missing"),
            ("postgres:///t", "host is missing"),
            ("postgres://u@/t", "host is missing"),
            ("postgres://u:p#w@h/t", ""),
            ("postgres://u@[::1/t", "no URL"),
            ("postgres://u%ff@h/t", "no text"),
            ("postgres://h/t?sslmode=yes", "sslmode"),
            ("postgres://h/t?hostaddr=h", "hostaddr"),
            ("postgres://h/t?statement-cache-capacity=-1", "no number"),
        ] {
            let fault = StoreUrl::read(text).unwrap_err().to_string();
            assert!(fault.contains(why), "{text}: {fault}");
            assert!(!fault.contains("p#w"), "{fault}");
        }
    }
}
