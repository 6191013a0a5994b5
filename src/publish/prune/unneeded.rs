//! Which versions nothing needs. Decides, and does nothing.

use std::collections::BTreeSet;
use std::time::SystemTime;

use super::error::PruneError;
use super::policy::Policy;
use super::report::{Kind, Unneeded};
use super::roots::Roots;
use super::survey::{Survey, age, by_key, seconds, stored};
use crate::asset::{KeyLayout, Place};
use crate::manifest::ReleaseId;
use crate::store::ListedVersion;

/// What nothing needs.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// In the order in which it would be deleted: a manifest before its
    /// objects, so that nothing names what is gone; the records of a channel
    /// before its head, so that its numbers do not begin anew beside them.
    pub(super) unneeded: Vec<Unneeded>,
    /// What is odd, and was left alone.
    pub(super) remarks: Vec<String>,
}

/// Finds the versions that nothing needs and that are older than the grace.
pub(super) fn unneeded(
    layout: &KeyLayout,
    policy: &Policy,
    survey: &Survey,
    roots: &Roots,
    now: SystemTime,
) -> Result<Found, PruneError> {
    let mut found = Found::default();
    for versions in by_key(&survey.objects).chain(by_key(&survey.own)) {
        let Some(newest) = versions.first() else { continue };
        let is_needed = match layout.place(&newest.key) {
            Place::Object => (roots.objects.contains(&newest.key), Kind::Object),
            Place::Manifest(name) => match ReleaseId::parse(name) {
                Ok(release) => (roots.releases.contains_key(&release), Kind::Manifest),
                Err(_) => continue,
            },
            Place::Head(_) => (roots.records.contains(&newest.key), Kind::Head),
            Place::Record(..) => (roots.records.contains(&newest.key), Kind::Record),
            Place::Intent => (age(now, stored(newest)?) <= policy.grace, Kind::Intent),
            Place::Probe => (false, Kind::Probe),
            // Lists are removed by whoever has carried them out.
            Place::List(_) | Place::Sweeping(_) | Place::Foreign => continue,
        };
        found.add(versions, is_needed, policy, now)?;
    }
    found.unneeded.sort();
    Ok(found)
}

/// Refuses to go on where more of the objects would go than the policy allows.
pub(super) fn refuse_too_many(
    unneeded: &[Unneeded],
    survey: &Survey,
    policy: &Policy,
) -> Result<(), PruneError> {
    let objects = by_key(&survey.objects).count();
    let gone = unneeded.iter().filter(|one| one.kind == Kind::Object);
    let gone: BTreeSet<&str> = gone.map(|one| one.key.as_str()).collect();
    let allowed = objects as u128 * u128::from(policy.delete_percent_max.min(100));
    if gone.len() as u128 * 100 > allowed {
        let (unneeded, percent_max) = (gone.len(), policy.delete_percent_max);
        return Err(PruneError::TooMany { unneeded, objects, percent_max });
    }
    Ok(())
}

impl Found {
    fn add(
        &mut self,
        versions: &[ListedVersion],
        (needed, kind): (bool, Kind),
        policy: &Policy,
        now: SystemTime,
    ) -> Result<(), PruneError> {
        let newest = versions.first().filter(|version| version.newest);
        let Some(newest) = newest else {
            let key = versions.first().map(|version| version.key.as_str()).unwrap_or_default();
            self.remarks.push(format!("the store does not say which version of `{key}` is newest"));
            return Ok(());
        };
        if needed && newest.marker {
            self.remarks.push(format!("`{}` is hidden, and a release needs it", newest.key));
            return Ok(());
        }
        let spared = usize::from(needed);
        for (at, version) in versions.iter().enumerate().skip(spared) {
            let stored = stored(version)?;
            if age(now, stored) <= policy.grace {
                continue;
            }
            let kind = if at == 0 { kind } else { Kind::Superseded };
            self.unneeded.push(Unneeded {
                kind,
                key: version.key.clone(),
                version: version.version.clone(),
                size: version.size,
                stored: seconds(stored),
            });
        }
        Ok(())
    }
}
