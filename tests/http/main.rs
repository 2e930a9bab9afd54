//! The real binary on real sockets, in front of real applications.
//!
//! Here stands what only sockets can break. What a rule of the policy decides is a row under `tests/policy`.

mod harness;
mod people;
#[path = "../support/postgres.rs"]
mod postgres;

mod assertion;
mod authorization;
mod balancing;
mod client_cert;
mod clients;
mod cors;
mod credentials;
mod doors;
mod drain;
mod faults;
mod forward_auth;
mod framing;
mod grpc;
mod headers;
mod http2;
mod http2_floods;
mod httpbin;
mod introspection;
mod issuers;
mod limits;
mod login;
mod metadata;
mod names;
mod operations;
mod paths;
mod provider;
mod proxying;
mod readme;
mod reload;
mod self_test;
mod settings;
mod sse;
mod store;
mod tls;
mod tokens;
mod twin;
mod upgrade;
mod upstream_tls;
mod websocket;
