//! placeholder until the path room lands.
/// What becomes of the path.
#[derive(Debug, Default)]
pub struct PathPlan;
