//! What can become of a call.

use std::time::Duration;

use crate::reply::Reply;

/// What becomes of a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Fault {
    /// It is passed on, and so is the bucket's reply.
    #[default]
    Pass,
    /// It is passed on after this time.
    Delay(Duration),
    /// Its body is read, this is sent, and the bucket never hears of it.
    Reply(Reply),
    /// The bucket does it; its reply is lost, and this one is sent instead.
    ReplyAfter(Reply),
    /// The connection is reset.
    Reset(Moment),
    /// The connection ends in good order, without a reply.
    Close(Moment),
    /// Nothing more happens until the client has gone.
    Hold(Moment),
    /// The bucket's reply is changed on its way.
    Change(Change),
    /// The reply to the last successful read of the same path is sent again,
    /// whatever the bucket holds by now; 404 where there was none.
    Replay,
}

/// When a call breaks off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Moment {
    /// When its head has come. The bucket never hears of it.
    Head,
    /// When half of its body has come. The bucket never hears of it.
    Body,
    /// When the bucket has done it, before any of the reply is sent.
    Effect,
}

/// What is changed in a reply of the bucket. Offsets count the bytes of the
/// body as they are on the wire.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// The connection ends in good order after so many bytes of the body.
    CutAfter(u64),
    /// The connection is reset after so many bytes of the body.
    ResetAfter(u64),
    /// Nothing more comes after so many bytes of the body.
    HoldAfter(u64),
    /// The byte at this offset is another one.
    Flip(u64),
    /// The head comes whole, the body a byte at a time, so far apart.
    DripBody(Duration),
    /// Head and body come a byte at a time, so far apart.
    Drip(Duration),
    /// The connection ends behind the reply, though nothing said so.
    CloseBehind,
    /// A header field has another value.
    Field(String, String),
}

impl Fault {
    /// Refuses in the words of the S3 API.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Self::Reply(Reply::error(status, code, message))
    }
}
