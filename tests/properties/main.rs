//! Laws that hold of any file and any request. Files are made as text and compiled as an operator's are; requests are put
//! before the judge with the live sources, or with the dry ones that `explain` and policy tests use.
//!
//! What is expected is worked out here from what was written, never by the code that is judged.

mod gate;
mod world;

mod authorization;
mod broken;
mod headers;
mod limits;
mod paths;
mod sources;

use proptest::test_runner::Config;

/// So many random cases a law.
fn cases(count: u32) -> Config {
    Config { cases: count, failure_persistence: None, ..Config::default() }
}
