//! An object that is sent in parts, several at once, read from its file in
//! order. It becomes an object only if all parts together are what was built.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};

use super::super::error::PublishError;
use super::super::fields;
use super::super::source::{ReadError, SourceFile};
use super::body::{self, changed};
use super::calls::Partial;
use super::cut::Cut;
use super::outcome::Failure;
use super::read::{Piece, Reader};
use super::{Put, Upload};
use crate::asset::Digest;
use crate::store::{ObjectHead, ObjectHeaders, Part, StoreErrorKind};

/// Parts of one object that are under way at once. Each is in memory.
const PARTS_AT_ONCE: usize = 4;

/// How often one object is begun or taken up again.
const ATTEMPTS_MAX: usize = 4;

/// An object and how it is sent.
struct Object<'a> {
    put: &'a Put<'a>,
    file: &'a SourceFile,
    key: String,
    headers: ObjectHeaders,
    digest: Digest,
    cut: Cut,
}

/// An upload that exists, as far as known.
struct Known {
    upload: String,
    /// Whether an earlier run began it, with header fields that nobody knows.
    taken_up: bool,
}

/// The parts of one upload on their way.
#[derive(Clone, Copy)]
struct Sending<'a> {
    object: &'a Object<'a>,
    upload: &'a str,
    /// Parts that are there already.
    there: &'a BTreeMap<u32, Part>,
    partial: &'a Partial<'a>,
}

/// A part that is being sent.
type Sent<'a> = BoxFuture<'a, Result<Step, Broken>>;

/// A part that is being sent, and the rest of the file.
type Next<'a> = (Sent<'a>, Option<Reader>);

/// What sending all parts came to.
struct Arrived {
    /// All parts, in the order of their numbers.
    parts: Vec<Part>,
    /// Those that were sent just now.
    sent: usize,
}

/// What a step of sending the parts came to.
enum Step {
    /// This part is there; whether it was sent just now.
    Part(Part, bool),
    /// All parts were read.
    Read(Digest),
}

/// Why an attempt ended without an object.
enum Ended {
    /// Parts are missing; those of this upload that are there can be used.
    Incomplete(Known, Failure),
    /// The upload is of no use any more.
    Void(Failure),
    /// Trying again cannot help.
    Fatal(Failure),
}

/// Why the parts did not all arrive.
enum Broken {
    /// The file is not what it was.
    File(Option<ReadError>),
    Call(Failure),
}

impl Upload<'_> {
    pub(super) async fn send_in_parts(
        &self,
        put: &Put<'_>,
        file: &SourceFile,
    ) -> Result<(), Failure> {
        let entry = body::entry(self.plan, put.path).map_err(Failure::Fatal)?;
        let object = Object {
            put,
            file,
            key: self.layout.object(put.key),
            headers: fields::stored(entry, None, entry.b3),
            digest: entry.b3,
            cut: Cut::of(put.size, self.options.part_bytes),
        };
        let earlier = self.unfinished(&object.key).await;
        let mut known = earlier.map(|upload| Known { upload, taken_up: true });
        let mut last = Failure::Stopped;
        for _ in 0..ATTEMPTS_MAX {
            if self.calls.is_stopped() {
                break;
            }
            (known, last) = match self.attempt(&object, known).await {
                Ok(()) => return Ok(()),
                Err(Ended::Fatal(failure)) => return Err(failure),
                Err(Ended::Void(failure)) => (None, failure),
                Err(Ended::Incomplete(known, failure)) => (Some(known), failure),
            };
        }
        Err(last)
    }

    async fn attempt(&self, object: &Object<'_>, known: Option<Known>) -> Result<(), Ended> {
        let (known, there) = self.begin(object, known).await.map_err(Ended::Fatal)?;
        let partial = self.calls.partial();
        let sending = Sending { object, upload: &known.upload, there: &there, partial: &partial };
        match self.send_parts(sending).await {
            Ok(arrived) => self.complete(object, known, arrived).await,
            Err(Broken::File(error)) => {
                // Nobody can use these parts. If this fails, the collector ends the upload.
                let _ = self.store.abort_upload(&object.key, &known.upload).await;
                Err(Ended::Fatal(Failure::Fatal(changed(object.put.path, error))))
            }
            Err(Broken::Call(failure)) if is_gone(&failure) => Err(Ended::Void(failure)),
            Err(Broken::Call(failure)) => Err(Ended::Fatal(failure)),
        }
    }

    /// Takes up the upload that is known, with the parts that are there,
    /// unless it is cut otherwise or gone.
    async fn begin(
        &self,
        object: &Object<'_>,
        known: Option<Known>,
    ) -> Result<(Known, BTreeMap<u32, Part>), Failure> {
        let Object { key, headers, cut, .. } = object;
        if let Some(known) = known {
            let list = || self.store.list_parts(key, &known.upload);
            match self.calls.make(key, 0, list).await {
                Ok(parts) if cut.fits(&parts) => {
                    let parts = parts.into_iter().map(|part| (part.number, part)).collect();
                    return Ok((known, parts));
                }
                Ok(_) => {}
                Err(Failure::Store(_, error)) if !error.is_retryable() => {}
                Err(failure) => return Err(failure),
            }
        }
        let begin = || self.store.begin_upload(key, headers);
        let upload = self.calls.make(key, 0, begin).await?;
        Ok((Known { upload, taken_up: false }, BTreeMap::new()))
    }

    /// Sends the parts that are not there, while the file is what it was.
    async fn send_parts(&self, sending: Sending<'_>) -> Result<Arrived, Broken> {
        let Object { file, cut, digest, .. } = *sending.object;
        let reader = Reader::open(file, cut).map_err(|error| Broken::File(Some(error)))?;
        let steps = self.steps(sending, reader).try_collect().await?;
        arrived(steps, digest).ok_or(Broken::File(None))
    }

    fn steps<'s>(
        &'s self,
        sending: Sending<'s>,
        reader: Reader,
    ) -> BoxStream<'s, Result<Step, Broken>> {
        stream::try_unfold(Some(reader), move |reader| self.step(sending, reader))
            .try_buffer_unordered(PARTS_AT_ONCE)
            .boxed()
    }

    /// Reads the next part, and returns what sends it and the rest of the file.
    fn step<'s>(
        &'s self,
        sending: Sending<'s>,
        reader: Option<Reader>,
    ) -> BoxFuture<'s, Result<Option<Next<'s>>, Broken>> {
        async move {
            let Some(reader) = reader else { return Ok(None) };
            let Some(size) = reader.next_size() else {
                let digest = reader.digest();
                return Ok(Some((async move { Ok(Step::Read(digest)) }.boxed(), None)));
            };
            let room = self.budget.take(size).await;
            let (reader, piece) = reader.read().await.map_err(|error| Broken::File(Some(error)))?;
            let send = async move {
                let _room = room;
                let sent = self.send_part(sending, piece).await;
                sent.inspect(|_| sending.partial.add(size))
            };
            Ok(Some((send.boxed(), Some(reader))))
        }
        .boxed()
    }

    async fn send_part(&self, sending: Sending<'_>, piece: Piece) -> Result<Step, Broken> {
        let Sending { object, upload, there, .. } = sending;
        let Piece { number, bytes, md5 } = piece;
        if let Some(part) = there.get(&number).filter(|part| part.etag.trim_matches('"') == md5) {
            return Ok(Step::Part(part.clone(), false));
        }
        let send = || self.store.put_part(&object.key, upload, number, bytes.clone());
        let part = self.calls.make(&object.key, bytes.len() as u64, send).await;
        Ok(Step::Part(part.map_err(Broken::Call)?, true))
    }

    /// Makes the parts one object. What the answer was matters less than what
    /// the store then has: it may have done it, and the answer got lost.
    async fn complete(
        &self,
        object: &Object<'_>,
        known: Known,
        arrived: Arrived,
    ) -> Result<(), Ended> {
        let Object { key, .. } = object;
        let complete = || self.store.complete_upload(key, &known.upload, &arrived.parts);
        let completed = self.calls.make(key, 0, complete).await;
        let failure = match completed {
            Ok(_) => None,
            Err(failure) => match kind(&failure) {
                // A part that is listed as there, and yet is not, never will be.
                Some(StoreErrorKind::PartMissing) if arrived.sent == 0 => {
                    return Err(Ended::Void(failure));
                }
                Some(StoreErrorKind::PartMissing) => {
                    return Err(Ended::Incomplete(known, failure));
                }
                Some(
                    StoreErrorKind::NotFound
                    | StoreErrorKind::Unavailable
                    | StoreErrorKind::Throttled,
                ) => Some(failure),
                _ => return Err(Ended::Fatal(failure)),
            },
        };
        let stored = self.look_up(key).await.map_err(Ended::Fatal)?;
        let stored = stored.filter(|stored| object.is_whole(stored));
        match (stored, failure) {
            (Some(stored), _) if !known.taken_up || object.has_headers(&stored) => Ok(()),
            (Some(_), _) => Err(Ended::Void(Failure::Fatal(damaged(key)))),
            (None, None) => Err(Ended::Fatal(Failure::Fatal(damaged(key)))),
            (None, Some(failure)) if is_gone(&failure) => Err(Ended::Void(failure)),
            (None, Some(failure)) => Err(Ended::Fatal(failure)),
        }
    }

    async fn look_up(&self, key: &str) -> Result<Option<ObjectHead>, Failure> {
        match self.calls.make(key, 0, || self.store.head(key)).await {
            Ok(head) => Ok(Some(head)),
            Err(failure) if is_gone(&failure) => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

impl Object<'_> {
    /// Whether what is stored has the length and the digest of the object.
    /// Every part was checked by its MD5 when it arrived.
    fn is_whole(&self, stored: &ObjectHead) -> bool {
        let digest = |headers: &ObjectHeaders| headers.meta.get("blake3").cloned();
        stored.size == self.put.size && digest(&stored.headers) == digest(&self.headers)
    }

    /// Whether it has the header fields. Those of an upload that was taken up
    /// are from an earlier run, which may have had another policy.
    fn has_headers(&self, stored: &ObjectHead) -> bool {
        let (stored, own) = (&stored.headers, &self.headers);
        stored.content_type == own.content_type
            && stored.cache_control == own.cache_control
            && stored.content_encoding == own.content_encoding
            && stored.content_disposition == own.content_disposition
            && stored.content_language == own.content_language
    }
}

/// The parts of a file that was read to its end, if it still has the digest.
fn arrived(steps: Vec<Step>, digest: Digest) -> Option<Arrived> {
    let (mut parts, mut sent, mut read) = (Vec::new(), 0, None);
    for step in steps {
        match step {
            Step::Part(part, just_now) => {
                parts.push(part);
                sent += usize::from(just_now);
            }
            Step::Read(digest) => read = Some(digest),
        }
    }
    parts.sort_by_key(|part| part.number);
    (read == Some(digest)).then_some(Arrived { parts, sent })
}

fn kind(failure: &Failure) -> Option<StoreErrorKind> {
    match failure {
        Failure::Store(_, error) => Some(error.kind()),
        _ => None,
    }
}

fn is_gone(failure: &Failure) -> bool {
    kind(failure) == Some(StoreErrorKind::NotFound)
}

fn damaged(key: &str) -> PublishError {
    PublishError::Damaged { key: key.to_owned() }
}
