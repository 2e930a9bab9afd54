//! placeholder until the limit room lands.
use std::marker::PhantomData;
/// A limit.
#[derive(Debug)]
pub struct Limit;
/// A charge.
#[derive(Debug)]
pub struct Charge<'a>(PhantomData<&'a ()>);
/// The outcome of charging.
#[derive(Debug)]
pub struct Charged;
/// Logins per address and username.
#[derive(Debug)]
pub struct LoginLimit;
