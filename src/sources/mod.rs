//! Answers from outside: what the judge asks through `policy::Sources`.

pub mod counters;
mod live;
pub mod passwords;
pub mod provider;
pub mod signatures;

pub use live::{Live, Memory};
