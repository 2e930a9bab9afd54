//! Secrets: their bytes, and whether they are secret at all.

use super::{Input, faults::Faults};
use crate::{
    config::{document::Site, values::SecretSource},
    model::Secret,
};

/// The bytes of a secret. Absent if they could not be read, which was told already.
pub(super) fn read(
    input: &Input<'_>,
    written: &SecretSource,
    at: Site<'_>,
    faults: &mut Faults,
) -> Option<Secret> {
    let secret = input.secret(written)?;
    input.demonstration.judge(secret.expose(), at, faults);
    Some(secret)
}
