//! Manifests that a publish writes to files, for tools that read no bucket.
//!
//! They are written beside their places before the channel is switched and put
//! there after it was: a file that cannot be written stops the publish in time,
//! and a publish that failed leaves the files of the one before.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use awning::manifest::Manifest;
use awning::publish::Options;
use clap::ValueEnum as _;
use tempfile::NamedTempFile;

use super::manifest::Format;
use crate::exit::{CannotWrite, Usage};

/// A file to write: `FORMAT=FILE`.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    format: Format,
    file: PathBuf,
}

impl Written {
    /// Reads `FORMAT=FILE`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (format, file) = text.split_once('=').ok_or("write it as FORMAT=FILE")?;
        let known = || {
            let names = Format::value_variants().iter().filter_map(Format::to_possible_value);
            names.map(|name| name.get_name().to_owned()).collect::<Vec<_>>().join(", ")
        };
        let format = Format::from_str(format, false)
            .map_err(|_| format!("`{format}` is no format: use one of {}", known()))?;
        match file {
            "" => Err("the file's name is missing".to_owned()),
            file => Ok(Self { format, file: file.into() }),
        }
    }

    /// Refuses a file inside the tree: the next publish would publish it, and
    /// so make another release every time.
    pub(crate) fn refuse_inside(&self, source: &Path) -> Result<(), Usage> {
        refuse_inside(&self.file, source)
    }

    fn dir(&self) -> &Path {
        dir(&self.file)
    }

    fn prepare(&self, bytes: &[u8]) -> std::io::Result<NamedTempFile> {
        let mut prepared = NamedTempFile::new_in(self.dir())?;
        prepared.write_all(bytes)?;
        prepared.write_all(b"\n")?;
        readable(prepared.as_file())?;
        Ok(prepared)
    }

    fn unwritable(&self, source: std::io::Error) -> CannotWrite {
        CannotWrite { file: self.file.clone(), source }
    }
}

/// Refuses a file that the command writes into the tree that it publishes.
pub(crate) fn refuse_inside(file: &Path, source: &Path) -> Result<(), Usage> {
    let inside = |source: PathBuf| Some(dir(file).canonicalize().ok()?.starts_with(source));
    match source.canonicalize().ok().and_then(inside) {
        Some(true) => Err(Usage(format!(
            "`{}` lies in the directory that is published: write it elsewhere",
            file.display()
        ))),
        _ => Ok(()),
    }
}

/// The directory that a file is written into.
fn dir(file: &Path) -> &Path {
    match file.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// Temporary files are for their owner only; a manifest is read by a server.
#[cfg(unix)]
fn readable(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

/// Files that wait beside their places. Dropped, they are removed.
#[derive(Debug)]
pub(crate) struct Prepared(Vec<(NamedTempFile, Written)>);

impl Prepared {
    /// Writes every file beside its place.
    pub(crate) fn of(
        files: &[Written],
        manifest: &Manifest,
        options: &Options,
    ) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        for written in files {
            let bytes = written.format.bytes(manifest, &options.public, &options.mount)?;
            let prepared = written.prepare(&bytes).map_err(|error| written.unwritable(error))?;
            all.push((prepared, written.clone()));
        }
        Ok(Self(all))
    }

    /// Puts every file in its place, each at once.
    pub(crate) fn put(self) -> Result<(), CannotWrite> {
        for (prepared, written) in self.0 {
            prepared.persist(&written.file).map_err(|error| written.unwritable(error.error))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_to_write_is_a_format_and_a_name() {
        let written = Written::parse("flat=build/a=b.json").unwrap();
        assert_eq!(written.file, Path::new("build/a=b.json"));
        assert_eq!(written.format.to_possible_value().unwrap().get_name(), "flat");
        for (text, complaint) in [
            ("flat", "write it as FORMAT=FILE"),
            ("flat=", "the file's name is missing"),
            ("yaml=a", "`yaml` is no format: use one of awning, django, flat"),
        ] {
            let error = Written::parse(text).unwrap_err();
            assert!(error.starts_with(complaint), "{error}");
        }
    }
}
