//! What a publish will do, decided before anything is done. Pure.

mod calls;
mod display;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::base::Base;
use super::build::Build;
use super::error::Lock;
use super::objects::Objects;
use super::options::Options;
use super::problem::{Ignored, Problem};
use crate::asset::{AssetPath, Digest, ObjectKey};
use crate::manifest::{Activation, Channel, Entry, Manifest, ReleaseId};
use crate::semantics::encoding::Coding;

pub use calls::PlannedCalls;

/// Two ends of a channel that are no further apart are the same.
const EXPIRES_ALIKE: Duration = Duration::from_secs(60 * 60);

/// What a publish will do. Displayed, it is the dry run that people read.
#[derive(Debug, Serialize)]
pub struct Plan {
    pub(super) channel: Channel,
    pub(super) release: ReleaseId,
    /// The channel's head that the plan builds on.
    pub(super) base: Option<Activation>,
    /// Whether the release already is the channel's head, and whole.
    pub(super) current: bool,
    pub(super) steps: Vec<Step>,
    /// Assets of the head's release that this one has not. Their objects stay.
    gone: Vec<AssetPath>,
    warnings: Vec<Problem>,
    ignored: Vec<Ignored>,
    remarks: Vec<String>,
    #[serde(skip)]
    pub(super) manifest: Manifest,
    #[serde(skip)]
    pub(super) objects: Objects,
}

/// What happens with one object.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "lowercase")]
pub enum Step {
    /// It is sent.
    Put {
        /// The asset.
        path: AssetPath,
        /// The content coding; none for the asset itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        coding: Option<Coding>,
        /// Its object.
        key: ObjectKey,
        /// Length in bytes.
        size: u64,
        /// Why it is sent.
        reason: Reason,
    },
    /// It is there: the head's manifest says so.
    Keep {
        /// The asset.
        path: AssetPath,
        /// The content coding; none for the asset itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        coding: Option<Coding>,
        /// Its object.
        key: ObjectKey,
        /// Length in bytes.
        size: u64,
    },
}

/// Why an object is sent.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// The channel had no such asset, or not in this coding.
    New,
    /// The asset, or something it refers to, has changed.
    Changed,
    /// Only header fields differ.
    Headers,
}

/// Why a release must not be published.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// More than half of the channel would go.
    #[error(
        "the release has {files} files of {bytes} bytes where the channel has {base_files} of \
         {base_bytes}: allow the shrink if it is meant"
    )]
    Shrink {
        /// Files of the release.
        files: usize,
        /// Their bytes.
        bytes: u64,
        /// Files of the channel's head.
        base_files: usize,
        /// Their bytes.
        base_bytes: u64,
    },
    /// The channel's head was published with a greater order.
    #[error("order {order} is superseded: the channel is at {head}")]
    Superseded {
        /// The order of this publish.
        order: u64,
        /// The order of the channel's head.
        head: u64,
    },
    /// Someone rolled the channel back, and nobody has let publishes go on.
    #[error("{}", Lock(.head))]
    Locked {
        /// The record that locks the channel.
        head: Box<Activation>,
    },
    /// A fingerprint that stands for other bytes already.
    #[error("`{key}` is stored with other bytes: its fingerprint is not unique")]
    Collision {
        /// The key.
        key: ObjectKey,
    },
    /// A name that a build tool gave to other bytes before.
    #[error(
        "`{path}` has the name of an object with other bytes: the build gave two contents one \
         name. Have it name files by their content, or leave its manifest out of the tree, so \
         that the file gets a fingerprint"
    )]
    Reused {
        /// The asset.
        path: AssetPath,
    },
}

/// Decides what has to be done to make `build` the head of a channel that
/// stands at `base`.
///
/// Only objects that the head's manifest names are taken for stored: that an
/// object merely exists does not tell whether it is whole, or about to be
/// collected.
pub fn plan(build: Build, base: Base, options: &Options) -> Result<Plan, Refused> {
    let Build { manifest, release, objects, warnings, ignored } = build;
    let Base { head, manifest: known, remarks } = base;
    let known = known.unwrap_or_default();
    let steps = steps(&manifest, &known)?;
    let is_head = head.as_ref().is_some_and(|head| head.release == release);
    let stays = head.as_ref().is_some_and(|head| {
        ends_as_wanted(head, options) && (head.locked || is_counted(head, options))
    });
    let current = is_head && stays && steps.iter().all(Step::is_keep);
    if !current {
        refuse_switch(head.as_ref(), &manifest, &known, options)?;
    }
    let gone = known.iter().map(|(path, _)| path);
    let gone = gone.filter(|path| manifest.get(path.as_str()).is_none()).cloned().collect();
    let channel = options.channel.clone();
    Ok(Plan {
        channel,
        release,
        base: head,
        current,
        steps,
        gone,
        warnings,
        ignored,
        remarks,
        manifest,
        objects,
    })
}

/// Refuses what [`plan()`] would refuse whatever variants are made: called before
/// they are, so that none is made in vain.
///
/// What may be the channel's head already is left for [`plan()`] to tell.
pub fn refuse(build: &Build, base: &Base, options: &Options) -> Result<(), Refused> {
    let head = base.head.as_ref();
    if head.is_some_and(|head| head.release == build.release) {
        return Ok(());
    }
    let none = Manifest::default();
    let known = base.manifest.as_ref().unwrap_or(&none);
    let steps = steps(&build.manifest, known)?;
    if steps.iter().all(Step::is_keep) && build.manifest.len() == known.len() {
        return Ok(());
    }
    refuse_switch(head, &build.manifest, known, options)
}

/// Refuses to switch a channel that stands at `head` to `manifest`.
fn refuse_switch(
    head: Option<&Activation>,
    manifest: &Manifest,
    known: &Manifest,
    options: &Options,
) -> Result<(), Refused> {
    refuse_locked(head)?;
    refuse_older(head, options)?;
    refuse_shrink(manifest, known, options)
}

/// An asset's steps stand together: itself, then its variants.
fn steps(manifest: &Manifest, known: &Manifest) -> Result<Vec<Step>, Refused> {
    let stored = stored(known);
    let mut steps = Vec::with_capacity(manifest.len());
    for (path, entry) in manifest.iter() {
        let before = known.get(path.as_str());
        let as_before = before.is_some_and(|before| before.key == entry.key);
        for (coding, key, b3, size) in objects(entry) {
            let (path, key) = (path.clone(), key.clone());
            let reason = match stored.get(&key) {
                Some((_, known)) if *known != b3 => return Err(collision(path, key)),
                Some((known, _)) if known.is_stored_like(entry) => {
                    steps.push(Step::Keep { path, coding, key, size });
                    continue;
                }
                Some(_) => Reason::Headers,
                None if before.is_some() && !as_before => Reason::Changed,
                None => Reason::New,
            };
            steps.push(Step::Put { path, coding, key, size, reason });
        }
    }
    Ok(steps)
}

/// The objects that a manifest names, each with its asset and digest.
fn stored(known: &Manifest) -> BTreeMap<&ObjectKey, (&Entry, Digest)> {
    let of = |entry| objects(entry).map(move |(_, key, b3, _)| (key, (entry, b3)));
    known.iter().flat_map(|(_, entry)| of(entry)).collect()
}

/// The objects of an asset: itself, then its variants.
fn objects(entry: &Entry) -> impl Iterator<Item = (Option<Coding>, &ObjectKey, Digest, u64)> {
    let variants = entry.variants.iter();
    let variants = variants.map(|(coding, v)| (Some(*coding), &v.key, v.b3, v.size));
    std::iter::once((None, &entry.key, entry.b3, entry.size)).chain(variants)
}

fn collision(path: AssetPath, key: ObjectKey) -> Refused {
    if key == ObjectKey::of_public_name(&path) {
        Refused::Reused { path }
    } else {
        Refused::Collision { key }
    }
}

/// Whether the head's channel ends when it should. Publishing again moves the
/// end, or makes the channel one that stays; but not for a few minutes, so
/// that a run right after another costs nothing.
fn ends_as_wanted(head: &Activation, options: &Options) -> bool {
    match (head.ends(), options.expires) {
        (None, None) => head.expires.is_none(),
        (Some(ends), Some(wanted)) => {
            let apart = ends.duration_since(wanted).or_else(|_| wanted.duration_since(ends));
            apart.is_ok_and(|apart| apart <= EXPIRES_ALIKE)
        }
        _ => false,
    }
}

/// Whether the head's record tells that this build was published: it is what
/// refuses the builds before it, whatever this one changes.
fn is_counted(head: &Activation, options: &Options) -> bool {
    options.order <= head.order
}

fn refuse_locked(head: Option<&Activation>) -> Result<(), Refused> {
    match head {
        Some(head) if head.locked => Err(Refused::Locked { head: head.clone().into() }),
        _ => Ok(()),
    }
}

fn refuse_older(head: Option<&Activation>, options: &Options) -> Result<(), Refused> {
    match head {
        Some(head) if options.order != 0 && options.order < head.order => {
            Err(Refused::Superseded { order: options.order, head: head.order })
        }
        _ => Ok(()),
    }
}

fn refuse_shrink(manifest: &Manifest, known: &Manifest, options: &Options) -> Result<(), Refused> {
    let (files, base_files) = (manifest.len(), known.len());
    let (bytes, base_bytes) = (total_bytes(manifest), total_bytes(known));
    let shrinks = files < base_files.div_ceil(2) || bytes < base_bytes.div_ceil(2);
    if shrinks && !options.allow_shrink {
        return Err(Refused::Shrink { files, bytes, base_files, base_bytes });
    }
    Ok(())
}

fn total_bytes(manifest: &Manifest) -> u64 {
    manifest.iter().map(|(_, entry)| entry.size).sum()
}

impl Plan {
    /// The release that the plan makes.
    pub fn release(&self) -> ReleaseId {
        self.release
    }

    /// The channel.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// The head of the channel that the plan builds on; `None` for a new channel.
    pub fn base(&self) -> Option<&Activation> {
        self.base.as_ref()
    }

    /// What happens with each object, in the order of the assets' paths.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether the release already is the channel's head, so that nothing
    /// will be done.
    pub fn is_current(&self) -> bool {
        self.current
    }

    /// What is wrong with the tree but does not stop the publish.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// What was left out of the release.
    pub fn ignored(&self) -> &[Ignored] {
        &self.ignored
    }

    /// The manifest of the release.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Objects to send, and their bytes.
    pub fn uploads(&self) -> (usize, u64) {
        count(self.steps.iter().filter(|step| !step.is_keep()))
    }
}

impl Step {
    pub(super) fn is_keep(&self) -> bool {
        matches!(self, Self::Keep { .. })
    }

    fn size(&self) -> u64 {
        match self {
            Self::Put { size, .. } | Self::Keep { size, .. } => *size,
        }
    }
}

fn count<'a>(steps: impl Iterator<Item = &'a Step>) -> (usize, u64) {
    steps.fold((0, 0), |(objects, bytes), step| (objects + 1, bytes + step.size()))
}

#[cfg(test)]
mod tests;
