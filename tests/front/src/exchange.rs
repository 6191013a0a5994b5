//! One connection of a client: calls come in, and each meets its fate.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::call::Call;
use crate::fault::{Change, Fault, Moment};
use crate::front::Shared;
use crate::memory::REPLY_BYTES_MAX;
use crate::random::mixed;
use crate::reply::Reply;
use crate::wire::{Body, Head, Wire};

/// Where the counts of the front are read.
const COUNTS_PATH: &str = "/_/front";

/// An idle connection to the bucket is not used after this time: the bucket
/// closes it a second later.
const BEHIND_IDLE: Duration = Duration::from_secs(4);

/// A connection of a client, and the one to the bucket that goes with it.
pub(crate) struct Exchange {
    client: Wire,
    behind: Option<(Wire, Instant)>,
    shared: Arc<Shared>,
    /// Its place in the order in which connections were opened.
    number: u64,
}

/// Whether the connection carries another call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    Call,
    End,
}

impl Exchange {
    pub(crate) fn on(client: Wire, shared: Arc<Shared>, number: u64) -> Self {
        Self { client, behind: None, shared, number }
    }

    pub(crate) async fn run(mut self) -> io::Result<()> {
        loop {
            let idle = self.shared.settings.idle;
            let Ok(head) = timeout(idle, self.client.head(false)).await else { return Ok(()) };
            let Some(head) = head? else { return Ok(()) };
            if self.call(head).await? == Next::End {
                return Ok(());
            }
        }
    }

    async fn call(&mut self, head: Head) -> io::Result<Next> {
        let call = Call::of(&head, self.number);
        if call.path == COUNTS_PATH {
            return self.tell_counts(&head).await;
        }
        let fault = self.shared.decide(&call);
        let mut body = head.request_body()?;
        // Even a sleep of no time waits for the next tick.
        if !self.shared.settings.delay.is_zero() {
            sleep(self.shared.settings.delay).await;
        }
        match fault {
            Fault::Pass => self.pass(&head, None).await,
            Fault::Delay(time) => {
                sleep(time).await;
                self.pass(&head, None).await
            }
            Fault::Change(change) => self.pass(&head, Some(change)).await,
            Fault::Reply(reply) => {
                self.go_on(&head).await?;
                self.swallow(&mut body, u64::MAX).await?;
                self.reply(&call, &reply).await
            }
            Fault::ReplyAfter(reply) => {
                self.let_happen(&head).await?;
                self.reply(&call, &reply).await
            }
            Fault::Replay => {
                self.swallow(&mut body, u64::MAX).await?;
                self.replay(&call).await
            }
            Fault::Reset(moment) => {
                self.until(moment, &head).await?;
                self.client.reset();
                Ok(Next::End)
            }
            Fault::Close(moment) => {
                self.until(moment, &head).await?;
                Ok(Next::End)
            }
            Fault::Hold(moment) => {
                self.until(moment, &head).await?;
                self.shared.held.notify_one();
                self.client.gone().await;
                Ok(Next::End)
            }
        }
    }

    /// Goes on to the moment at which a call breaks off.
    async fn until(&mut self, moment: Moment, head: &Head) -> io::Result<()> {
        match moment {
            Moment::Head => Ok(()),
            Moment::Body => {
                self.go_on(head).await?;
                let mut body = head.request_body()?;
                let half = match body {
                    Body::Length(length) => length / 2,
                    _ => 1,
                };
                self.swallow(&mut body, half).await
            }
            Moment::Effect => self.let_happen(head).await,
        }
    }

    /// Passes a call on and throws the reply away.
    async fn let_happen(&mut self, head: &Head) -> io::Result<()> {
        let (mut behind, reply) = self.ask(head).await?;
        let mut body = reply.reply_body(&head.method)?;
        while behind.piece(&mut body).await?.is_some() {}
        Ok(())
    }

    /// Passes a call on, and the reply back with this change.
    async fn pass(&mut self, head: &Head, change: Option<Change>) -> io::Result<Next> {
        let (mut behind, reply) = self.ask(head).await?;
        let mut body = reply.reply_body(&head.method)?;
        let ends = body == Body::ToEnd || reply.field("connection") == Some("close");
        let raw = match &change {
            Some(Change::Field(name, value)) => reply.with(name, Some(value)),
            _ => reply.raw.clone(),
        };
        let path = head.target.split('?').next().unwrap_or_default();
        let remembers = head.method == "GET"
            && reply.status == 200
            && matches!(body, Body::Length(length) if length < REPLY_BYTES_MAX as u64);
        let mut kept = remembers.then(|| raw.clone());
        let mut out = Out::of(change);
        let mut sent = out.head(&mut self.client, &raw).await?;
        while let Some(piece) = behind.piece(&mut body).await? {
            if let Some(kept) = &mut kept {
                kept.extend_from_slice(&piece);
            }
            sent += piece.len() as u64;
            match out.body(&mut self.client, &piece).await? {
                After::More => {}
                After::Cut => return Ok(Next::End),
                After::Reset => {
                    self.client.reset();
                    return Ok(Next::End);
                }
                After::Hold => {
                    self.shared.held.notify_one();
                    self.client.gone().await;
                    return Ok(Next::End);
                }
            }
        }
        self.shared.counts().bytes_out += sent;
        if let Some(kept) = kept {
            self.shared.memory().keep(path, kept);
        }
        if !ends {
            self.behind = Some((behind, Instant::now()));
        }
        Ok(if ends || out.closes() { Next::End } else { Next::Call })
    }

    /// Sends a call to the bucket and reads the head of its reply.
    async fn ask(&mut self, head: &Head) -> io::Result<(Wire, Head)> {
        self.go_on(head).await?;
        let mut behind = self.connection().await?;
        let raw = match head.field("expect") {
            // The bucket is not asked whether to go on: the client has been told.
            Some(_) => head.with("expect", None),
            None => head.raw.clone(),
        };
        behind.send(&raw).await?;
        let mut body = head.request_body()?;
        let mut received = raw.len() as u64;
        let mut refused = false;
        while let Some(piece) = self.client.piece(&mut body).await? {
            received += piece.len() as u64;
            // A bucket that has heard enough still has a reply to give.
            refused = refused || behind.send(&piece).await.is_err();
        }
        self.shared.counts().bytes_in += received;
        loop {
            let reply = behind.head(true).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if reply.status >= 200 {
                return Ok((behind, reply));
            }
        }
    }

    /// Tells a client that waits for it to send its body.
    async fn go_on(&mut self, head: &Head) -> io::Result<()> {
        match head.field("expect") {
            Some(_) => self.client.send(b"HTTP/1.1 100 Continue\r\n\r\n").await,
            None => Ok(()),
        }
    }

    async fn connection(&mut self) -> io::Result<Wire> {
        if let Some((wire, used)) = self.behind.take()
            && used.elapsed() < BEHIND_IDLE
            && wire.is_quiet()
        {
            return Ok(wire);
        }
        Ok(Wire::new(TcpStream::connect(self.shared.behind).await?))
    }

    /// Reads a body, or so many bytes of it, for nobody.
    async fn swallow(&mut self, body: &mut Body, bytes_max: u64) -> io::Result<()> {
        let mut read = 0;
        while read < bytes_max {
            let Some(piece) = self.client.piece(body).await? else { break };
            read += piece.len() as u64;
        }
        self.shared.counts().bytes_in += read;
        Ok(())
    }

    async fn reply(&mut self, call: &Call, reply: &Reply) -> io::Result<Next> {
        let number = mixed(&[call.path.as_bytes()], self.shared.counts().total());
        let bytes = reply.to_bytes(&call.method, number);
        self.client.send(&bytes).await?;
        self.shared.counts().bytes_out += bytes.len() as u64;
        Ok(Next::Call)
    }

    async fn replay(&mut self, call: &Call) -> io::Result<Next> {
        let kept = self.shared.memory().recall(&call.path);
        match kept {
            Some(bytes) => {
                self.client.send(&bytes).await?;
                Ok(Next::Call)
            }
            None => self.reply(call, &Reply::error(404, "NoSuchKey", "Key not found")).await,
        }
    }

    async fn tell_counts(&mut self, head: &Head) -> io::Result<Next> {
        let json = self.shared.counts().to_json().to_string();
        let length = json.len();
        let text = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        let mut body = head.request_body()?;
        self.swallow(&mut body, u64::MAX).await?;
        self.client.send((text + &json).as_bytes()).await?;
        Ok(Next::Call)
    }
}

/// A reply on its way to the client, and what is done to it.
struct Out {
    change: Option<Change>,
    /// Bytes of the body that were sent.
    offset: u64,
}

/// What follows behind some bytes of a body.
enum After {
    More,
    Cut,
    Reset,
    Hold,
}

impl Out {
    fn of(change: Option<Change>) -> Self {
        Self { change, offset: 0 }
    }

    fn closes(&self) -> bool {
        self.change == Some(Change::CloseBehind)
    }

    async fn head(&self, client: &mut Wire, raw: &[u8]) -> io::Result<u64> {
        match self.change {
            Some(Change::Drip(every)) => drip(client, raw, every).await?,
            _ => client.send(raw).await?,
        }
        Ok(raw.len() as u64)
    }

    async fn body(&mut self, client: &mut Wire, piece: &[u8]) -> io::Result<After> {
        let begins = self.offset;
        self.offset += piece.len() as u64;
        let upto = |end: u64| {
            let length = end.saturating_sub(begins).min(piece.len() as u64);
            (&piece[..length as usize], end < begins + piece.len() as u64)
        };
        let (part, after) = match &self.change {
            Some(Change::CutAfter(end)) => (upto(*end), After::Cut),
            Some(Change::ResetAfter(end)) => (upto(*end), After::Reset),
            Some(Change::HoldAfter(end)) => (upto(*end), After::Hold),
            Some(Change::Drip(every) | Change::DripBody(every)) => {
                drip(client, piece, *every).await?;
                return Ok(After::More);
            }
            Some(Change::Flip(at)) if (begins..self.offset).contains(at) => {
                let mut flipped = piece.to_vec();
                flipped[(at - begins) as usize] ^= 1;
                client.send(&flipped).await?;
                return Ok(After::More);
            }
            _ => ((piece, false), After::More),
        };
        client.send(part.0).await?;
        Ok(if part.1 { after } else { After::More })
    }
}

async fn drip(client: &mut Wire, bytes: &[u8], every: Duration) -> io::Result<()> {
    for byte in bytes {
        client.send(&[*byte]).await?;
        sleep(every).await;
    }
    Ok(())
}
