//! The gateway as issuer: who is given a token, and what stands in it.

pub mod endpoint;
mod form;
pub mod grant;
mod refresh;
mod revoke;
pub mod signer;
#[cfg(test)]
mod tests;

pub use endpoint::{Answer, Body, Desk, TokenRequest};
pub use signer::{Minted, mint};
