//! Asking others: bounded in bytes and in time, never through a proxy, never sent on to somebody
//! else.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use reqwest::{Client, Request, redirect};

use super::Fault;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a connection is kept that nobody uses.
const KEPT: Duration = Duration::from_secs(30);
/// How often an issuer may send on to another of its own addresses.
const REDIRECTS: usize = 3;

/// A client for many questions, which follows redirects to the same scheme, host and port alone.
/// It reads the machine's certificates, which takes a moment.
///
/// # Errors
/// If there are none.
pub(super) fn client() -> Result<Client, Fault> {
    let followed = redirect::Policy::custom(|attempt| {
        let before = attempt.previous();
        let origin = attempt.url().origin();
        let same = before.iter().all(|earlier| earlier.origin() == origin);
        if same && before.len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
    });
    build(followed)
}

/// A client for questions in which a credential is sent: it follows no redirect at all, since
/// nobody but whom the file names is to see one.
///
/// # Errors
/// As [`client`].
pub(super) fn discreet_client() -> Result<Client, Fault> {
    build(redirect::Policy::none())
}

fn build(followed: redirect::Policy) -> Result<Client, Fault> {
    // An error says that it was done before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .redirect(followed)
        .connect_timeout(CONNECT)
        .pool_idle_timeout(KEPT)
        .no_proxy()
        .referer(false)
        .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(Fault::of_connection)
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Asks, and reads the answer to its end.
///
/// # Errors
/// If nobody answers within `patience`, or more than `most` bytes.
pub(super) async fn ask(
    client: &Client,
    request: Request,
    most: usize,
    patience: Duration,
) -> Result<Answer, Fault> {
    let asked = async {
        let mut response = client.execute(request).await.map_err(Fault::of_connection)?;
        // Whoever announces too much is not listened to.
        if response.content_length().is_some_and(|length| length > most as u64) {
            return Err(Fault::TooLarge { most });
        }
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(Fault::of_connection)? {
            if body.len() + piece.len() > most {
                return Err(Fault::TooLarge { most });
            }
            body.extend_from_slice(&piece);
        }
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        Ok(Answer { status, headers, body: body.into() })
    };
    tokio::time::timeout(patience, asked).await.map_err(|_| Fault::TooSlow(patience))?
}
