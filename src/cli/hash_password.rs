//! `portcullis hash-password`: from a password to the hash that stands in the file.

use std::{
    io::{self, IsTerminal, Read},
    process::ExitCode,
};

use anyhow::{Context, bail};
use argon2::{Argon2, PasswordHasher};
use clap::ValueEnum;
use zeroize::Zeroizing;

use super::output;

/// No password is longer; what is refused here would be refused at the login too.
const LONGEST: usize = 1024;

/// bcrypt does not see beyond this.
const BCRYPT_SEES: usize = 72;

/// What the command is told.
#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// How to hash
    #[arg(long, value_enum, default_value_t)]
    algorithm: Algorithm,
}

/// How a password is hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Algorithm {
    /// With 19 MiB of memory and two passes
    #[default]
    Argon2id,
    /// For systems that know no other; of a password it sees 72 bytes
    Bcrypt,
}

/// A new password: asked for twice on a terminal, read from stdin otherwise.
pub(super) fn new_password() -> anyhow::Result<Zeroizing<Vec<u8>>> {
    if io::stdin().is_terminal() { ask() } else { read(io::stdin().lock()) }
}

/// The hash of a new password.
pub(super) fn usual_hash(password: &[u8]) -> anyhow::Result<String> {
    hash(Algorithm::Argon2id, password)
}

/// Asks for the password and prints its hash.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let password = new_password()?;
    output::print_line(hash(arguments.algorithm, &password)?)?;
    Ok(ExitCode::SUCCESS)
}

fn ask() -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let ask = |prompt| rpassword::prompt_password(prompt).map(Zeroizing::new);
    let password = ask("Password: ").context("cannot ask for a password")?;
    let again = ask("Again: ").context("cannot ask for a password")?;
    if password != again {
        bail!("the two passwords differ");
    }
    Ok(Zeroizing::new(password.as_bytes().to_vec()))
}

/// Reads a password from a pipe; one trailing line break is not part of it.
fn read(from: impl Read) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    // Room for one line break and one byte too many.
    let room = LONGEST as u64 + 3;
    let mut password = Zeroizing::new(Vec::with_capacity(LONGEST + 3));
    from.take(room).read_to_end(&mut password).context("cannot read the password from stdin")?;
    if password.last() == Some(&b'\n') {
        password.pop();
        if password.last() == Some(&b'\r') {
            password.pop();
        }
    }
    Ok(password)
}

fn hash(algorithm: Algorithm, password: &[u8]) -> anyhow::Result<String> {
    if password.is_empty() {
        bail!("the password is empty");
    }
    if password.len() > LONGEST {
        bail!("the password is longer than {LONGEST} bytes");
    }
    match algorithm {
        Algorithm::Argon2id => {
            let hash = Argon2::default().hash_password(password);
            Ok(hash.map_err(|error| anyhow::anyhow!("cannot hash: {error}"))?.to_string())
        }
        Algorithm::Bcrypt if password.len() > BCRYPT_SEES => {
            bail!(
                "the password is longer than the {BCRYPT_SEES} bytes that bcrypt sees; use argon2id"
            )
        }
        Algorithm::Bcrypt if password.contains(&0) => {
            bail!("the password holds a NUL, at which some implementations of bcrypt stop")
        }
        // Nothing is cut off: the length was judged above.
        Algorithm::Bcrypt => Ok(bcrypt::hash(password, 12).context("cannot hash")?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::{PasswordHash, PasswordVerifier};

    #[test]
    fn a_hash_verifies_its_password_and_no_other() {
        let text = hash(Algorithm::Argon2id, b"wonderland").unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        let parsed = PasswordHash::new(&text).unwrap();
        assert!(Argon2::default().verify_password(b"wonderland", &parsed).is_ok());
        assert!(Argon2::default().verify_password(b"Wonderland", &parsed).is_err());
        let text = hash(Algorithm::Bcrypt, b"wonderland").unwrap();
        assert!(bcrypt::verify("wonderland", &text).unwrap());
    }

    #[test]
    fn bcrypt_takes_all_the_72_bytes_that_it_sees() {
        let text = hash(Algorithm::Bcrypt, &[b'a'; 72]).unwrap();
        assert!(bcrypt::verify([b'a'; 72], &text).unwrap());
        assert!(!bcrypt::verify([b'a'; 71], &text).unwrap());
        assert!(hash(Algorithm::Bcrypt, b"a\0b").is_err());
    }

    #[test]
    fn what_a_login_would_refuse_is_refused() {
        assert!(hash(Algorithm::Argon2id, b"").is_err());
        assert!(hash(Algorithm::Argon2id, &[b'a'; 1025]).is_err());
        assert!(hash(Algorithm::Bcrypt, &[b'a'; 73]).is_err());
    }

    #[test]
    fn one_line_break_is_not_part_of_the_password() {
        assert_eq!(*read(&b"secret\r\n"[..]).unwrap(), b"secret");
        assert_eq!(*read(&b"secret\n\n"[..]).unwrap(), b"secret\n");
        let long = vec![b'a'; 5000];
        assert!(hash(Algorithm::Argon2id, &read(&long[..]).unwrap()).is_err());
    }
}
