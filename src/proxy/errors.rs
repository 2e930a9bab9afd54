//! Failures of a request that was let through, told apart: whose fault, and what the client is
//! told.

use pingora::{
    Error, ErrorSource,
    ErrorType::{
        ConnectError, ConnectNoRoute, ConnectRefused, ConnectTimedout, ConnectionClosed,
        InvalidCert, InvalidHTTPHeader, ReadError, ReadTimedout, SocketError, TLSHandshakeFailure,
        TLSHandshakeTimedout, WriteError, WriteTimedout,
    },
};

use super::{clock::Overdue, exchange::Exchange};
use crate::policy::Denial;

/// What a failure comes to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Failure {
    /// The client went away; there is nobody to tell.
    ClientClosed,
    /// A stream was cut, for this reason.
    Cut(&'static str),
    /// The client is told.
    Told(Denial),
}

/// The status in log and metrics of a request whose client went away before it was answered.
pub(super) const CLIENT_CLOSED: u16 = 499;

/// The reason in the log for the same.
pub(super) const CLIENT_CLOSED_REASON: &str = "client_closed";

/// What this error of the libraries comes to.
pub(super) fn judge(error: &Error, exchange: &mut Exchange) -> Failure {
    if let Some(denial) = exchange.on_its_way().and_then(|admitted| admitted.failed.take()) {
        return Failure::Told(denial);
    }
    match exchange.clock.as_ref().and_then(|clock| clock.overdue()) {
        Some(Overdue::Upstream) => return Failure::Told(Denial::UpstreamTimeout),
        Some(Overdue::Client) => return Failure::Told(Denial::RequestTimeout),
        Some(Overdue::Expired) => return Failure::Cut("expired"),
        Some(Overdue::Revoked) => return Failure::Cut("revoked"),
        None => {}
    }
    match error.esource() {
        ErrorSource::Upstream => Failure::Told(match error.etype() {
            ConnectTimedout | ReadTimedout | TLSHandshakeTimedout | WriteTimedout => {
                Denial::UpstreamTimeout
            }
            ConnectNoRoute | ConnectRefused | ConnectError | InvalidCert | SocketError
            | TLSHandshakeFailure => Denial::UpstreamError { why: "no connection" },
            _ => Denial::UpstreamError { why: "a broken response" },
        }),
        ErrorSource::Downstream => match error.etype() {
            ConnectionClosed | ReadError | WriteError => Failure::ClientClosed,
            ReadTimedout | WriteTimedout => Failure::Told(Denial::RequestTimeout),
            InvalidHTTPHeader => {
                Failure::Told(Denial::BadRequest { why: "the header is malformed" })
            }
            _ => Failure::Told(Denial::BadRequest { why: "the body is malformed" }),
        },
        ErrorSource::Internal | ErrorSource::Unset => match error.etype() {
            ConnectionClosed | ReadError | WriteError => Failure::ClientClosed,
            _ => Failure::Told(Denial::Internal { why: "the request could not be forwarded" }),
        },
    }
}
