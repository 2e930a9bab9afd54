//! The text forms of hashes that no library of ours reads.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};

/// `pbkdf2_sha256$ITERATIONS$SALT$DIGEST`, as Django writes it.
#[derive(Debug)]
pub struct Pbkdf2Text<'t> {
    /// Iterations.
    pub iterations: u32,
    /// The salt, as it stands there.
    pub salt: &'t [u8],
    /// What comes out.
    pub digest: [u8; 32],
}

impl<'t> Pbkdf2Text<'t> {
    /// Reads it; nothing if it is another.
    pub fn parse(text: &'t str) -> Option<Self> {
        let mut parts = text.strip_prefix("pbkdf2_sha256$")?.split('$');
        let (iterations, salt, digest) = (parts.next()?, parts.next()?, parts.next()?);
        let digest = STANDARD.decode(digest).ok()?.try_into().ok()?;
        let salt = Some(salt.as_bytes()).filter(|salt| !salt.is_empty())?;
        let whole = parts.next().is_none() && digits(iterations);
        whole.then_some(Self { iterations: iterations.parse().ok()?, salt, digest })
    }
}

/// `scrypt$SALT$N$R$P$DIGEST`, as Django writes it, or `$scrypt$ln=…,r=…,p=…$SALT$DIGEST`, as the
/// password hashing competition's string format has it.
#[derive(Debug)]
pub struct ScryptText {
    /// Binary logarithm of N.
    pub log_n: u8,
    /// The block size.
    pub block: u32,
    /// The parallelization.
    pub lanes: u32,
    /// The salt.
    pub salt: Vec<u8>,
    /// What comes out.
    pub digest: Vec<u8>,
}

impl ScryptText {
    /// Reads it; nothing if it is another.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("scrypt$") {
            Some(rest) => Self::parse_django(rest),
            None => Self::parse_phc(text.strip_prefix("$scrypt$")?),
        }
    }

    fn parse_django(rest: &str) -> Option<Self> {
        let parts: Vec<&str> = rest.split('$').collect();
        let &[salt, n, block, lanes, digest] = parts.as_slice() else { return None };
        if ![n, block, lanes].into_iter().all(digits) || salt.is_empty() {
            return None;
        }
        let n: u64 = n.parse().ok()?;
        Some(Self {
            log_n: u8::try_from(n.is_power_of_two().then(|| n.trailing_zeros())?).ok()?,
            block: block.parse().ok()?,
            lanes: lanes.parse().ok()?,
            salt: salt.as_bytes().to_vec(),
            digest: STANDARD.decode(digest).ok()?,
        })
    }

    fn parse_phc(rest: &str) -> Option<Self> {
        let parts: Vec<&str> = rest.split('$').collect();
        let &[terms, salt, digest] = parts.as_slice() else { return None };
        let terms: Vec<&str> = terms.split(',').collect();
        let &[n, block, lanes] = terms.as_slice() else { return None };
        let (n, block) = (n.strip_prefix("ln=")?, block.strip_prefix("r=")?);
        let lanes = lanes.strip_prefix("p=")?;
        if ![n, block, lanes].into_iter().all(digits) {
            return None;
        }
        Some(Self {
            log_n: n.parse().ok()?,
            block: block.parse().ok()?,
            lanes: lanes.parse().ok()?,
            salt: STANDARD_NO_PAD.decode(salt).ok()?,
            digest: STANDARD_NO_PAD.decode(digest).ok()?,
        })
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
