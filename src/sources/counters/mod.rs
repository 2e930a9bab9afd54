//! Where the counts of limits are kept.

mod local;
mod register;

pub use self::local::Local;
