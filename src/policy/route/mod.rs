//! placeholder until the route room lands.
/// Differences between paths that an upstream keeps apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Distinguishes;
/// The routes.
#[derive(Debug, Default)]
pub struct RouteTable;
/// What a template caught.
#[derive(Clone, Debug, Default)]
pub struct Params;
