//! The last good copy of a key set on disk, for a restart while the issuer is down.
//!
//! A copy is believed only if it says itself that it is this issuer's, from the same address, and
//! nobody else could have written it: the file is ours or root's and nobody else's to write, and so is
//! the folder, but that its group may write there, who cannot make a file of ours.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Map, Value, json};

use crate::policy::{authn::keys::KeyPlace, digest::Digest};

/// Bytes of a copy at most: a key set and a little more.
const MOST: u64 = 2 << 20;
/// The form of a copy; another is not read.
const FORM: u64 = 1;

/// Whose copy, from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub name: String,
    pub iss: Option<String>,
    pub place: KeyPlace,
}

/// A copy, as it was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub document: Vec<u8>,
    pub fetched: SystemTime,
}

/// The place of one issuer's copy.
#[derive(Clone, Debug)]
pub(super) struct LastGood {
    path: PathBuf,
    owner: Owner,
}

impl LastGood {
    /// The copy of this issuer in a folder of state.
    pub fn new(state: &Path, owner: Owner) -> Self {
        // Names may hold what file systems take for something else, or not tell apart.
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let shown: String = owner.name.chars().take(40).map(plain).collect();
        let digest = Digest::of(owner.name.as_bytes()).to_string();
        let digest: String = digest.chars().take(16).collect();
        Self { path: state.join(format!("issuer-{shown}-{digest}.json")), owner }
    }

    /// Reads the copy. None if there is none, or none that may be believed; then the log says why.
    pub fn read(&self) -> Option<Kept> {
        match self.read_or_why() {
            Ok(kept) => Some(kept),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let file = self.path.display();
                let issuer = &self.owner.name;
                tracing::warn!(event = "issuer_copy", issuer, %file, %error, "the last good keys are not used");
                None
            }
        }
    }

    fn read_or_why(&self) -> io::Result<Kept> {
        self.read_as(me()?)
    }

    fn read_as(&self, me: u32) -> io::Result<Kept> {
        let named = fs::symlink_metadata(&self.path)?;
        if !named.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        // What is judged is what is read, whatever the name stands for by now.
        let file = fs::File::open(&self.path)?;
        let found = file.metadata()?;
        if (found.dev(), found.ino()) != (named.dev(), named.ino()) {
            return Err(io::Error::other("it was replaced while it was opened"));
        }
        if found.mode() & 0o022 != 0 {
            return Err(io::Error::other("others may write to it"));
        }
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = fs::metadata(folder.unwrap_or(Path::new(".")))?;
        if folder.mode() & 0o002 != 0 {
            return Err(io::Error::other("anybody may write to its folder"));
        }
        if ![&found, &folder].iter().all(|owned| [me, 0].contains(&owned.uid())) {
            return Err(io::Error::other("it or its folder belongs to somebody else"));
        }
        let mut bytes = Vec::new();
        file.take(MOST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MOST {
            return Err(io::Error::other("it is too large"));
        }
        self.parse(&bytes).ok_or_else(|| io::Error::other("it is not this issuer's"))
    }

    fn parse(&self, bytes: &[u8]) -> Option<Kept> {
        let copy: Value = serde_json::from_slice(bytes).ok()?;
        let mine = self.describe();
        let same = ["form", "issuer", "iss", "place"];
        if !same.iter().all(|name| copy.get(*name) == mine.get(*name)) {
            return None;
        }
        let fetched =
            UNIX_EPOCH.checked_add(Duration::from_secs(copy.get("fetched")?.as_u64()?))?;
        let document = copy.get("document")?.as_str()?.as_bytes().to_vec();
        Some(Kept { document, fetched })
    }

    fn describe(&self) -> Map<String, Value> {
        let Owner { name, iss, place } = &self.owner;
        let place = match place {
            KeyPlace::Discovery(issuer) => json!({ "discovery": issuer }),
            KeyPlace::Jwks(url) => json!({ "jwks_url": url }),
        };
        let whose =
            [("form", json!(FORM)), ("issuer", json!(name)), ("iss", json!(iss)), ("place", place)];
        whose.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
    }

    /// Writes a copy in the place of the last: whole or not at all, and for nobody else to read.
    ///
    /// # Errors
    /// As the system says.
    pub fn write(&self, kept: &Kept) -> io::Result<()> {
        let mut copy = self.describe();
        let fetched = kept.fetched.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let document = String::from_utf8_lossy(&kept.document).into_owned();
        copy.insert("fetched".to_owned(), fetched.into());
        copy.insert("document".to_owned(), document.into());
        if let Some(folder) = self.path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        // Two gateways may share a folder.
        let beside = self.path.with_extension(format!("{}.tmp", std::process::id()));
        let written = write_anew(&beside, Value::Object(copy).to_string().as_bytes())
            .and_then(|()| fs::rename(&beside, &self.path));
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written
    }
}

/// The user that this process acts for.
fn me() -> io::Result<u32> {
    let this = fs::metadata("/proc/self");
    this.map(|this| this.uid()).map_err(|_| io::Error::other("nobody says whose it should be"))
}

fn write_anew(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What a process that died left behind.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn owner(name: &str, iss: &str, url: &str) -> Owner {
        let iss = Some(iss.to_owned());
        Owner { name: name.to_owned(), iss, place: KeyPlace::Jwks(url.to_owned()) }
    }

    fn kept() -> Kept {
        let fetched = UNIX_EPOCH + Duration::from_secs(1_900_000_000);
        Kept { document: b"{\"keys\":[]}".to_vec(), fetched }
    }

    #[test]
    fn a_copy_is_read_back_and_readable_by_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("a/b");
        let copy = LastGood::new(&state, owner("corp", "https://id", "https://id/keys"));
        assert_eq!(copy.read(), None);
        copy.write(&kept()).unwrap();
        copy.write(&kept()).unwrap();
        assert_eq!(copy.read(), Some(kept()));
        assert_eq!(fs::metadata(&copy.path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&state).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_copy_of_another_issuer_address_or_form_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let copy = LastGood::new(folder.path(), owner("corp", "https://id", "https://id/keys"));
        copy.write(&kept()).unwrap();
        for other in [
            owner("corp", "https://other", "https://id/keys"),
            owner("corp", "https://id", "https://id/other"),
            Owner { iss: None, ..owner("corp", "", "https://id/keys") },
            Owner {
                place: KeyPlace::Discovery("https://id/keys".to_owned()),
                ..owner("corp", "https://id", "")
            },
        ] {
            assert_eq!(LastGood::new(folder.path(), other).read(), None);
        }
        let renamed = LastGood::new(folder.path(), owner("c0rp", "https://id", "https://id/keys"));
        fs::copy(&copy.path, &renamed.path).unwrap();
        assert_eq!(renamed.read(), None, "moved to the place of another issuer");
        fs::write(&copy.path, "{\"form\":1").unwrap();
        assert_eq!(copy.read(), None);
    }

    #[test]
    fn a_copy_that_others_may_write_or_that_leads_elsewhere_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let copy = LastGood::new(folder.path(), owner("corp", "https://id", "https://id/keys"));
        copy.write(&kept()).unwrap();
        fs::set_permissions(&copy.path, fs::Permissions::from_mode(0o620)).unwrap();
        assert_eq!(copy.read(), None);
        fs::set_permissions(&copy.path, fs::Permissions::from_mode(0o600)).unwrap();
        let moved = folder.path().join("moved");
        fs::rename(&copy.path, &moved).unwrap();
        std::os::unix::fs::symlink(&moved, &copy.path).unwrap();
        assert_eq!(copy.read(), None);
    }

    #[test]
    fn a_copy_of_somebody_elses_or_in_a_folder_for_everybody_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let copy = LastGood::new(&state, owner("corp", "https://id", "https://id/keys"));
        copy.write(&kept()).unwrap();
        let set = |mode| fs::set_permissions(&state, fs::Permissions::from_mode(mode)).unwrap();
        set(0o1777);
        assert_eq!(copy.read(), None, "whoever may rename there may bring an old one back");
        set(0o775);
        assert_eq!(copy.read(), Some(kept()));
        let nobody = 65_534;
        let me = me().unwrap();
        // Only root can give a file away; for anybody else, somebody else reads it.
        let reads_as = match std::os::unix::fs::chown(&copy.path, Some(nobody), None) {
            Ok(()) => me,
            Err(_) => me + 1,
        };
        let fault = copy.read_as(reads_as).unwrap_err().to_string();
        assert!(fault.contains("somebody else"), "{fault}");
    }

    #[test]
    fn names_do_not_lead_out_of_the_folder_nor_meet() {
        let state = Path::new("/state");
        let path = |name: &str| LastGood::new(state, owner(name, "", "")).path;
        for name in ["../../etc/passwd", "a/b", "", "ä", "Corp"] {
            assert_eq!(path(name).parent(), Some(state), "{name}");
        }
        assert_ne!(path("Corp"), path("corp"));
        assert_ne!(path("a/b"), path("a-b"));
    }
}
