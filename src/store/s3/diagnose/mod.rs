//! What is right and wrong with a bucket, as `awning doctor` asks it.
//!
//! Looking is apart from judging: [`observe()`] makes a handful of calls and
//! writes their answers down, [`judge()`] turns those into findings and does
//! nothing else. Calls on the bucket as a whole that keys of one bucket may
//! not make, `HeadBucket` and `ListBuckets`, are never made.

mod finding;
mod judge;
mod observe;

#[cfg(test)]
mod tests;

use std::time::SystemTime;

pub use finding::{Cause, Check, Finding, Level};
pub use judge::judge;
pub use observe::observe;

/// What was seen of a bucket.
#[derive(Clone, Debug)]
pub struct Observations {
    /// The endpoint as configured.
    pub endpoint: url::Url,
    /// The region that requests are signed for.
    pub region: String,
    /// The id of the key.
    pub key_id: String,
    /// What all keys begin with.
    pub prefix: String,
    /// The time here when the store said what time it is there.
    pub now: SystemTime,
    /// A read of an object that is not there.
    pub read: Answer,
    /// A listing of one key. From here on nothing was asked where the answer
    /// to the read rules out that more can be learned.
    pub list: Option<Answer>,
    /// The lifecycle rules; with a success, whether one of them deletes the
    /// versions behind the newest.
    pub lifecycle: Option<(Answer, bool)>,
    /// Versioning; with a success, what it is.
    pub versioning: Option<(Answer, Versioning)>,
    /// The CORS rules; with a success, how many there are.
    pub cors: Option<(Answer, usize)>,
    /// What was learned by writing, if that was wanted.
    pub probe: Option<Probe>,
}

/// Whether writes keep what they replace.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Versioning {
    /// They never did.
    #[default]
    Never,
    /// They do.
    On,
    /// They did, and what they kept is still there.
    Suspended,
}

/// What was learned by writing a scratch object and removing it again.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    /// A write on the condition that there is no such object.
    pub create: Answer,
    /// The same again; only where the first was taken.
    pub again: Option<Answer>,
    /// A plain write; only where a conditional one was not taken.
    pub plain: Option<Answer>,
    /// A write with a CRC32.
    pub checksum: Option<Answer>,
    /// Whether the writes were told to be versions with names of their own.
    pub versioned: bool,
    /// The removal of the versions that were written; where the store has no
    /// versions, of the object.
    pub delete: Option<Answer>,
}

/// How the store answered one call.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Answer {
    /// The status; `None` when there was no answer, or none that can be read.
    pub status: Option<u16>,
    /// The S3 error code.
    pub code: String,
    /// What the store says, or why there was no answer.
    pub message: String,
    /// The time at the store, where it was told.
    pub date: Option<SystemTime>,
}

impl Answer {
    /// Whether the call did what it should.
    pub fn is_success(&self) -> bool {
        matches!(self.status, Some(200..=299)) && self.code.is_empty()
    }

    fn is(&self, status: u16) -> bool {
        self.status == Some(status)
    }

    /// The answer in one line, in the words of the store.
    fn told(&self) -> String {
        let Self { status, code, message, .. } = self;
        let Some(status) = status else { return message.clone() };
        let parts = [status.to_string(), code.clone()];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let answer = format!("the store answered {}", parts.join(" "));
        if message.is_empty() { answer } else { format!("{answer}: {message}") }
    }
}
