//! What the input says: the configuration, what the origin answers, and what
//! happens one after the other.

use arbitrary::Arbitrary;

/// Acts of one play; more are not performed.
pub(crate) const ACTS_MAX: usize = 24;

/// One input.
#[derive(Arbitrary, Debug)]
pub(crate) struct Play {
    /// `cookies = "rfc"`: RFC 9111 alone decides.
    pub(crate) rfc: bool,
    pub(crate) rewrite: bool,
    /// Whether a rule gives freshness to what says nothing.
    pub(crate) rule: bool,
    /// Whether there is hardly any memory, and whether there is a disk.
    pub(crate) room: u8,
    /// What the origin answers, in turns.
    pub(crate) answers: Vec<Answer>,
    /// What the bucket does to reads, in turns.
    pub(crate) faults: Vec<Fault>,
    pub(crate) acts: Vec<Act>,
}

#[derive(Arbitrary, Debug)]
pub(crate) enum Act {
    Visit(Visit),
    /// Two or three visits at once.
    Together(Visit, Visit, Option<Visit>),
    /// The same visit twice, one behind the other.
    Again(Visit),
    Wait(u8),
    WaitLong(u16),
    Purge,
    /// Everything that is under way ends first. Where there is a disk, the
    /// shield then starts again over it.
    Settle,
}

/// A request.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) host: Host,
    pub(crate) method: u8,
    pub(crate) path: u8,
    pub(crate) wishes: Vec<Wish>,
    /// Frames of the body after which the visitor leaves.
    pub(crate) leaves: Option<u8>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Host {
    Shop,
    Loud,
    Other,
    Assets,
    Release,
    Stranger,
}

/// A field of a request.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) enum Wish {
    Kind(u8),
    Cookie,
    Authorization,
    Range(u8, u8),
    Ranges(u8, u8),
    LastBytes(u8),
    IfNoneMatch(u8),
    IfMatch(u8),
    IfModifiedSince(u8),
    IfRange(u8),
    NoCache,
    NoStore,
    OnlyIfCached,
    MaxAge(u8),
    MaxStale(Option<u8>),
    MinFresh(u8),
    StaleIfError(u8),
    Htmx,
    Coding(u8),
    AsPage,
}

/// A response of the origin.
#[derive(Arbitrary, Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u8,
    pub(crate) says: Vec<Says>,
    pub(crate) length: u16,
    pub(crate) framing: Framing,
    /// Whether it answers 304 to who has a tag.
    pub(crate) confirms: bool,
    /// Whether it answers 206 to who asks for a part.
    pub(crate) parts: bool,
    /// Bytes of the body after which the connection breaks.
    pub(crate) breaks: Option<u16>,
}

#[derive(Arbitrary, Clone, Copy, Debug, Default)]
pub(crate) enum Framing {
    #[default]
    Length,
    Chunked,
    Close,
}

/// What a response says of itself.
#[derive(Arbitrary, Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Says {
    MaxAge(u8),
    SMaxAge(u8),
    NoStore,
    NoCache,
    Private,
    Public,
    MustRevalidate,
    MustUnderstand,
    WhileRevalidate(u8),
    IfError(u8),
    Immutable,
    ForCdns(u8),
    Expires(i8),
    Age(u8),
    Date(i8),
    LastModified(u8),
    NoTag,
    WeakTag,
    SetCookie,
    VaryAny,
    Html,
    Early,
}

/// What the bucket does.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Fault {
    None,
    Unavailable,
    Missing,
    Damaged,
}

impl Play {
    pub(crate) fn is_narrow(&self) -> bool {
        self.room & 1 == 1
    }

    /// Rarely, because a disk takes its time.
    pub(crate) fn has_disk(&self) -> bool {
        self.room & 6 == 2
    }
}

impl Visit {
    pub(crate) fn method(&self) -> &'static str {
        ["GET", "GET", "GET", "HEAD", "POST", "GET", "OPTIONS", "DELETE"]
            [usize::from(self.method % 8)]
    }

    pub(crate) fn wishes(&self) -> impl Iterator<Item = &Wish> {
        self.wishes.iter().take(6)
    }

    /// The name of an upstream's thing. Those with odd numbers vary by `X-Kind`.
    pub(crate) fn target(&self) -> &'static str {
        ["/0", "/1", "/0?a", "/1?a"][usize::from(self.path % 4)]
    }
}

/// Whether what has this name varies by `X-Kind`.
pub(crate) fn varies(target: &str) -> bool {
    target.starts_with("/1")
}

impl Host {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Host::Shop => "shop.nl",
            Host::Loud => "SHOP.nl",
            Host::Other => "other.nl",
            Host::Assets => "cdn.nl",
            Host::Release => "site.nl",
            Host::Stranger => "stranger.nl",
        }
    }
}

impl Wish {
    /// The field's name and value, for the visitor with this number.
    pub(crate) fn field(&self, visit: u32) -> (&'static str, String) {
        let asks = |text: &str| ("cache-control", text.to_owned());
        match *self {
            Wish::Kind(kind) => ("x-kind", (kind % 3).to_string()),
            Wish::Cookie => ("cookie", format!("session={visit}")),
            Wish::Authorization => ("authorization", format!("Bearer {visit}")),
            Wish::Range(first, more) => {
                ("range", format!("bytes={first}-{}", u16::from(first) + u16::from(more)))
            }
            Wish::Ranges(one, other) => ("range", format!("bytes={one}-{one},{other}-")),
            Wish::LastBytes(count) => ("range", format!("bytes=-{count}")),
            Wish::IfNoneMatch(tag) => ("if-none-match", tag_of(u32::from(tag % 16))),
            Wish::IfMatch(tag) => ("if-match", tag_of(u32::from(tag % 16))),
            Wish::IfModifiedSince(back) => ("if-modified-since", changed_at(back)),
            Wish::IfRange(tag) => ("if-range", tag_of(u32::from(tag % 16))),
            Wish::NoCache => asks("no-cache"),
            Wish::NoStore => asks("no-store"),
            Wish::OnlyIfCached => asks("only-if-cached"),
            Wish::MaxAge(seconds) => asks(&format!("max-age={seconds}")),
            Wish::MaxStale(None) => asks("max-stale"),
            Wish::MaxStale(Some(seconds)) => asks(&format!("max-stale={seconds}")),
            Wish::MinFresh(seconds) => asks(&format!("min-fresh={seconds}")),
            Wish::StaleIfError(seconds) => asks(&format!("stale-if-error={seconds}")),
            Wish::Htmx => ("hx-request", "true".to_owned()),
            Wish::Coding(coding) => {
                let codings = ["br", "gzip", "zstd", "br, gzip", "identity", "zstd, *;q=0"];
                ("accept-encoding", codings[usize::from(coding) % codings.len()].to_owned())
            }
            Wish::AsPage => ("sec-fetch-dest", "document".to_owned()),
        }
    }
}

/// The tag of the response with this number.
pub(crate) fn tag_of(serial: u32) -> String {
    format!("\"s{serial}\"")
}

/// One of a few instants, long ago.
pub(crate) fn changed_at(back: u8) -> String {
    let days = u64::from(back % 4) + 1;
    httpdate::fmt_http_date(super::begin() - std::time::Duration::from_secs(days * 86_400))
}
