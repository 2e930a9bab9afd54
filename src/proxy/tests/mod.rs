//! What only sockets can break: the gateway in this process, raw clients before it and raw
//! upstreams behind it.

mod answers;
mod bounds;
mod connections;
mod control;
mod drain;
mod harness;
mod streams;
mod timeouts;
