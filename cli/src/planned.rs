//! A plan as a file, between `awning plan` and `awning apply`: versioned JSON.
//!
//! It holds what was seen and decided, and no bytes of the tree: whoever
//! applies it builds again, and refuses where that makes another release, or
//! where the channel has moved on.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use awning::manifest::{Activation, ReleaseId};
use awning::publish::{Options, Plan, PlannedCalls};
use serde::{Deserialize, Serialize};

use crate::commands::TreeFlags;
use crate::config::StoreSettings;

/// What the file says it is.
const SCHEMA: &str = "awning.plan/v1";

/// Largest file that is read: a plan of a million objects.
const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Assets that are told where a tree is not what was planned.
const TOLD_MAX: usize = 20;

/// A plan, written down.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Planned {
    schema: String,
    /// The directory, absolute.
    pub(crate) source: PathBuf,
    /// What was typed.
    pub(crate) options: TreeFlags,
    /// What was configured.
    settings: Settings,
    /// The head of the channel that was built on; absent for a new channel.
    base: Option<BaseRecord>,
    release: ReleaseId,
    /// Whether there was nothing to do.
    unchanged: bool,
    uploads: Uploads,
    #[serde(skip_deserializing)]
    calls: PlannedCalls,
    steps: Vec<PlannedStep>,
}

/// What the configuration decides of the bytes, and of where they go.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Settings {
    bucket: String,
    prefix: String,
    mount: String,
    public_url: String,
    ignore: Vec<String>,
}

/// What tells one head of a channel from another.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
struct BaseRecord {
    seq: u64,
    nonce: String,
    release: ReleaseId,
}

#[derive(Debug, Deserialize, Serialize)]
struct Uploads {
    objects: usize,
    bytes: u64,
}

/// One object. What else a step says is for people and programs that read the file.
#[derive(Debug, Deserialize, Serialize)]
struct PlannedStep {
    path: String,
    key: String,
    #[serde(flatten)]
    rest: serde_json::Map<String, serde_json::Value>,
}

/// A plan cannot be written, or what was named is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanFileError {
    /// It cannot be written.
    #[error("cannot write the plan to `{}`", .0.display())]
    Unwritable(PathBuf, #[source] std::io::Error),
    /// It would be published itself.
    #[error("`{}` lies in the directory that is planned: write the plan elsewhere", .0.display())]
    Inside(PathBuf),
    /// The directory has a name that JSON cannot hold.
    #[error("the plan cannot be written down: is the directory's name UTF-8?")]
    Unspeakable(#[source] serde_json::Error),
    /// It cannot be read.
    #[error("cannot read the plan `{}`: write one with `awning plan DIR -o FILE`", .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// It is no plan of this version.
    #[error(
        "`{}` is no plan of this version of awning: write it again with `awning plan DIR -o FILE`",
        .0.display()
    )]
    Foreign(PathBuf, #[source] Option<serde_json::Error>),
}

/// Applying would do something else than what was planned. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unplanned {
    /// The directory makes another release.
    #[error("the tree is not what was planned; plan again{}", Told(.0))]
    Tree(Vec<String>),
    /// The configuration is another.
    #[error("the configuration is not what was planned: {0}; plan again")]
    Settings(String),
    /// The channel is not where it was.
    #[error("channel `{channel}` moved since it was planned: it is at {now}; plan again")]
    Base {
        /// The channel.
        channel: String,
        /// Its head.
        now: String,
    },
}

impl Planned {
    /// Writes down a plan for the tree at `source`, which is absolute.
    pub(crate) fn of(
        plan: &Plan,
        source: PathBuf,
        options: TreeFlags,
        settings: Settings,
    ) -> Result<Self, PlanFileError> {
        let (objects, bytes) = plan.uploads();
        let steps = serde_json::to_value(plan.steps()).and_then(serde_json::from_value);
        Ok(Self {
            schema: SCHEMA.to_owned(),
            source,
            options,
            settings,
            base: plan.base().map(BaseRecord::of),
            release: plan.release(),
            unchanged: plan.is_current(),
            uploads: Uploads { objects, bytes },
            calls: plan.calls(),
            steps: steps.map_err(PlanFileError::Unspeakable)?,
        })
    }

    /// Writes the file, whole or not at all.
    pub(crate) fn write(&self, file: &Path) -> Result<(), PlanFileError> {
        let bytes = serde_json::to_vec_pretty(self).map_err(PlanFileError::Unspeakable)?;
        let mut beside = file.as_os_str().to_owned();
        beside.push(".new");
        let written = std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, file));
        written.map_err(|error| PlanFileError::Unwritable(file.to_owned(), error))
    }

    /// Reads a file that [`Planned::write`] wrote.
    pub(crate) fn read(file: &Path) -> Result<Self, PlanFileError> {
        let unreadable = |error| PlanFileError::Unreadable(file.to_owned(), error);
        let foreign = |error| PlanFileError::Foreign(file.to_owned(), error);
        if std::fs::metadata(file).map_err(unreadable)?.len() > FILE_BYTES_MAX {
            return Err(foreign(None));
        }
        let bytes = std::fs::read(file).map_err(unreadable)?;
        let planned: Self = serde_json::from_slice(&bytes).map_err(|error| foreign(Some(error)))?;
        if planned.schema == SCHEMA { Ok(planned) } else { Err(foreign(None)) }
    }

    /// Refuses a configuration that would make other bytes, or put them elsewhere.
    pub(crate) fn check_settings(&self, now: &Settings) -> Result<(), Unplanned> {
        let (then, now) = (self.settings.named(), now.named());
        let differ = then.iter().zip(&now).filter(|(then, now)| then != now);
        let told = differ.map(|((name, then), (_, now))| format!("`{name}` was {then}, is {now}"));
        match told.collect::<Vec<_>>() {
            told if told.is_empty() => Ok(()),
            told => Err(Unplanned::Settings(told.join(", "))),
        }
    }

    /// Refuses to do anything else than what was planned. A channel that has
    /// the release by now needs nothing more.
    pub(crate) fn check(&self, plan: &Plan) -> Result<(), Unplanned> {
        if plan.release() != self.release {
            return Err(Unplanned::Tree(self.differences(plan)));
        }
        let now = plan.base().map(BaseRecord::of);
        if plan.is_current() || now == self.base {
            return Ok(());
        }
        let channel = plan.channel().to_string();
        let now = now.map_or("no release".to_owned(), |now| now.release.short());
        Err(Unplanned::Base { channel, now })
    }

    /// Assets that are others now, in the order of their paths.
    fn differences(&self, plan: &Plan) -> Vec<String> {
        let then: BTreeMap<&str, &str> =
            self.steps.iter().map(|step| (step.path.as_str(), step.key.as_str())).collect();
        let now: BTreeMap<&str, &str> = plan
            .manifest()
            .iter()
            .map(|(path, entry)| (path.as_str(), entry.key.as_str()))
            .collect();
        let gone = then.keys().filter(|path| !now.contains_key(*path));
        let gone = gone.map(|path| (*path, "gone"));
        let other = now.iter().filter_map(|(path, key)| match then.get(path) {
            None => Some((*path, "new")),
            Some(planned) if planned != key => Some((*path, "changed")),
            Some(_) => None,
        });
        let all: BTreeMap<&str, &str> = gone.chain(other).collect();
        all.into_iter().map(|(path, how)| format!("{path} ({how})")).collect()
    }
}

impl Settings {
    /// What `options` and the bucket's settings decide.
    pub(crate) fn of(options: &Options, bucket: &StoreSettings) -> Self {
        Self {
            bucket: bucket.bucket.clone(),
            prefix: bucket.layout.prefix().to_owned(),
            mount: options.mount.path().to_owned(),
            public_url: options.public.as_str().to_owned(),
            ignore: options.ignore.patterns().map(str::to_owned).collect(),
        }
    }

    fn named(&self) -> [(&'static str, String); 5] {
        let quoted = |text: &str| format!("\"{text}\"");
        [
            ("store.bucket", quoted(&self.bucket)),
            ("store.prefix", quoted(&self.prefix)),
            ("publish.mount", quoted(&self.mount)),
            ("publish.public_url", quoted(&self.public_url)),
            ("publish.ignore", format!("{:?}", self.ignore)),
        ]
    }
}

impl BaseRecord {
    fn of(head: &Activation) -> Self {
        Self { seq: head.seq, nonce: head.nonce.clone(), release: head.release }
    }
}

/// The first of the assets that differ, a line each.
struct Told<'a>(&'a [String]);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(" (the same bytes, with other header fields or tags)");
        }
        f.write_str(":")?;
        self.0.iter().take(TOLD_MAX).try_for_each(|line| write!(f, "\n  {line}"))?;
        match self.0.len().saturating_sub(TOLD_MAX) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}
