//! portcullis: a reverse-proxy authentication gateway.
//!
//! The gateway is a judge with a body. The judge, [`policy::decide`], is one straight-line
//! function without I/O of its own; the body implements [`policy::Sources`] for it and carries
//! its decisions out. The rooms below stand in order: each uses only rooms above it.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

/// Words everybody uses: names, principals, secrets, addresses, time.
pub mod model;
/// What is allowed, and the judge.
pub mod policy;
/// What the operator wrote, and faults in it.
pub mod config;
/// From what was written to what the judge reads, all faults at once.
pub mod compile;
/// Metrics, the access log and the gateway's own log.
pub mod observe;
/// Users, keys, grants and the audit log on disk.
pub mod store;
/// Answers from outside: counters, keys, accounts.
pub mod sources;
/// The gateway as issuer.
pub mod token;
/// The living whole: snapshot, reload, health.
pub mod gateway;
/// The admin listener.
pub mod admin;
/// pingora: sockets in, sockets out.
pub mod proxy;
/// The command line.
pub mod cli;
