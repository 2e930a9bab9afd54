//! Answers from outside: what the judge asks through `policy::Sources`.

pub mod assertions;
pub mod counters;
mod dry;
mod live;
pub mod passwords;
pub mod provider;
pub mod records;
pub mod remote;
pub mod signatures;

pub use dry::Dry;
pub use live::{Live, Memory};
pub use records::Records;
pub use remote::Remotes;
