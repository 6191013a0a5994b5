//! A few texts that the tier keeps besides entries, such as the last good
//! manifest of a channel: synced, never evicted, whoever owns the tier.

use std::io;
use std::time::Duration;

use super::files::{Directory, Patience};
use super::{Damage, Disk};
use crate::asset::Digest;

/// Their directory.
const PLACE: &str = "saved";

/// How long the disk may take for one.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of the digest before a text.
const DIGEST_BYTES: usize = 32;

impl Disk {
    /// Keeps a text under a name of its own, in the place of the one before.
    pub(crate) async fn save(&self, name: &str, text: Vec<u8>) -> io::Result<()> {
        if self.tier.is_left() {
            // The next process keeps its own.
            return Ok(());
        }
        let (tier, name) = (std::sync::Arc::clone(&self.tier), name.to_owned());
        let saving = move || save(&tier.directory, &name, &text);
        let saved = self.tier.blocking(PATIENCE, saving).await;
        saved.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    }

    /// The text of this name, at most so many bytes. One that is damaged is
    /// counted, removed and not given out.
    pub(crate) async fn saved(&self, name: &str, bytes_max: usize) -> Option<Vec<u8>> {
        let (tier, owned) = (std::sync::Arc::clone(&self.tier), name.to_owned());
        let loading = move || load(&tier.directory, &owned, bytes_max);
        match self.tier.blocking(PATIENCE, loading).await? {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.tier.counts.bad(name, Damage::Head);
                let _ = self.tier.directory.unlink(&path_of(name));
                None
            }
            Err(_) => None,
        }
    }
}

fn save(directory: &Directory, name: &str, text: &[u8]) -> io::Result<()> {
    directory.make_directory(PLACE)?;
    let (path, new) = (path_of(name), format!("{}.new", path_of(name)));
    let _ = directory.unlink(&new);
    let file = directory.create(&new)?;
    let sealed = [&seal(name, text).as_bytes()[..], text].concat();
    let written = directory.write(&file, &sealed, 0).and_then(|()| file.sync_all());
    let named = written.and_then(|()| directory.rename(&new, &path));
    if named.is_err() {
        let _ = directory.unlink(&new);
    }
    named
}

fn load(directory: &Directory, name: &str, bytes_max: usize) -> io::Result<Vec<u8>> {
    let damaged = || io::Error::from(io::ErrorKind::InvalidData);
    let (file, stat) = directory.open_file(&path_of(name), Patience::Disk)?;
    let length = usize::try_from(stat.st_size).map_err(|_| damaged())?;
    if length < DIGEST_BYTES || length - DIGEST_BYTES > bytes_max {
        return Err(damaged());
    }
    let mut sealed = vec![0; length];
    directory.read(&file, &mut sealed, 0, Patience::Disk)?;
    let text = sealed.split_off(DIGEST_BYTES);
    if seal(name, &text).as_bytes()[..] == sealed { Ok(text) } else { Err(damaged()) }
}

fn seal(name: &str, text: &[u8]) -> Digest {
    let mut hasher = crate::asset::Blake3::default();
    hasher.update(Digest::of(name.as_bytes()).as_bytes());
    hasher.update(text);
    hasher.digest()
}

fn path_of(name: &str) -> String {
    format!("{PLACE}/{}", Digest::of(name.as_bytes()))
}
