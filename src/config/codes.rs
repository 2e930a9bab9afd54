//! Every code that a diagnostic can have, with its meaning. Codes are stable: scripts read them.

/// A value is not in the notation that its key wants.
pub const INVALID_VALUE: &str = "invalid-value";
/// Something that a later version brings.
pub const NOT_AVAILABLE: &str = "not-available";
