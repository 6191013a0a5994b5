//! The settings of an accepted TCP socket, and how it is given up.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// What the kernel may hold of a response that nobody takes. Linux doubles
/// the number it is given; unset, it may grow to megabytes a connection.
const SEND_BUFFER: usize = 128 * 1024;
/// What may wait to be sent before there is room for more. Without it the
/// kernel says so only when a third of its buffer is free, and a reader who is
/// slow looks like one who takes nothing.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 32 * 1024;
/// A peer that vanished is noticed after this long, and a few probes.
const KEEPALIVE: Duration = Duration::from_secs(60);
const PROBES: u32 = 3;
const PROBE: Duration = Duration::from_secs(10);
/// How long the kernel may try to send the rest of what is closed. It is so
/// little that who takes a kibibyte a second has it by then.
const REST_MAX: Duration = Duration::from_secs(60);

/// Applies them.
///
/// `TCP_USER_TIMEOUT` is not among them. Its time also runs for a peer that
/// takes bytes all the while, if its window is never as large as the piece
/// that Linux would send next, and then a slow reader is cut.
pub(super) fn configure(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
    socket.set_tcp_keepalive(&keepalive.with_interval(PROBE).with_retries(PROBES))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT)?;
    Ok(())
}

/// A stream that can be given up. What the kernel holds of it would otherwise
/// outlive it, for as long as the peer says that it is there.
pub(crate) trait Abandon {
    /// From now on, dropping it resets the connection.
    fn abandon(&self);

    /// It is dropped next, and the kernel sends the rest, but not for ever.
    fn leave_rest(&self);
}

impl Abandon for TcpStream {
    fn abandon(&self) {
        // Without it the kernel takes longer, which is all that is lost.
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }

    fn leave_rest(&self) {
        #[cfg(target_os = "linux")]
        let _ = SockRef::from(self).set_tcp_user_timeout(Some(REST_MAX));
    }
}

impl Abandon for Box<TlsStream<TcpStream>> {
    fn abandon(&self) {
        self.get_ref().0.abandon();
    }

    fn leave_rest(&self) {
        self.get_ref().0.leave_rest();
    }
}

/// The kernel holds nothing of it.
#[cfg(any(test, fuzzing))]
impl Abandon for tokio::io::DuplexStream {
    fn abandon(&self) {}

    fn leave_rest(&self) {}
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_is_abandoned_is_reset_with_all_that_waits() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let (mut client, stream) = (client.unwrap(), accepted.unwrap().0);
        while stream.try_write(&[0; 4096]).is_ok() {}
        stream.abandon();
        drop(stream);
        let mut sink = Vec::new();
        let ended = client.read_to_end(&mut sink).await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn the_kernel_holds_little_and_gives_up_only_what_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let (_client, stream) = (client.unwrap(), accepted.unwrap().0);
        configure(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.send_buffer_size().unwrap() <= 256 * 1024);
        assert!(socket.tcp_nodelay().unwrap());
        #[cfg(target_os = "linux")]
        {
            let limit = || socket.tcp_user_timeout().unwrap().filter(|limit| !limit.is_zero());
            assert_eq!(limit(), None, "a slow reader would be cut");
            stream.leave_rest();
            assert_eq!(limit(), Some(REST_MAX));
        }
    }
}
