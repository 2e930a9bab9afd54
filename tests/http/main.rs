//! The real binary on real sockets, in front of real applications.
//!
//! Here stands what only sockets can break. What a rule of the policy decides is a row under `tests/policy`.

mod harness;

mod self_test;
