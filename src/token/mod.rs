//! The gateway as issuer: who is given a token, and what stands in it.

pub mod endpoint;
mod form;
pub mod grant;
pub mod signer;
#[cfg(test)]
mod tests;

pub use endpoint::{Answer, Body, TokenRequest};
pub use signer::mint;
