//! Answers from outside: what the judge asks through `policy::Sources`.

pub mod counters;
pub mod provider;
pub mod signatures;
