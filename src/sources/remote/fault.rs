//! What goes wrong with whoever is asked.

use std::time::Duration;

use http::StatusCode;

use crate::policy::authn::keys::KeyFault;

/// Why nothing usable came back. The text is for the log; it holds nothing of a credential.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// An address that would be asked in clear, or leads to where it should not.
    #[error("`{url}` is refused: {why}")]
    Address {
        /// The address.
        url: String,
        /// Why.
        why: &'static str,
    },
    /// The key set cannot be used.
    #[error("its key set cannot be used: {0}")]
    Keys(#[from] KeyFault),
    /// The document is not what it should be.
    #[error("its answer cannot be used: {0}")]
    Malformed(&'static str),
    /// The metadata are those of another issuer.
    #[error("its metadata are those of `{found}`")]
    OtherIssuer {
        /// Who they say they are of.
        found: String,
    },
    /// It sends elsewhere.
    #[error("it redirects to another place ({0}), which is not followed")]
    Redirected(StatusCode),
    /// A status that says nothing.
    #[error("it answered {0}")]
    Status(StatusCode),
    /// More bytes than are taken.
    #[error("its answer is longer than {most} bytes")]
    TooLarge {
        /// How many are taken.
        most: usize,
    },
    /// It took too long.
    #[error("it did not answer within {} s", .0.as_secs_f32())]
    TooSlow(Duration),
    /// No connection, or one that broke.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
}

impl Fault {
    /// A failure of the connection, with its causes.
    pub(super) fn of_connection(error: reqwest::Error) -> Self {
        use std::error::Error as _;
        let error = error.without_url();
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(deeper) = cause {
            text.push_str(": ");
            text.push_str(&deeper.to_string());
            cause = deeper.source();
        }
        Self::Unreachable(text)
    }
}
