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
/// A peer that vanished is noticed after about this long.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Applies them. `unacknowledged_max` bounds how long sent bytes may go
/// unacknowledged before the kernel gives the connection up.
pub(super) fn configure(stream: &TcpStream, unacknowledged_max: Duration) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(unacknowledged_max))?;
    #[cfg(not(target_os = "linux"))]
    let _ = unacknowledged_max;
    Ok(())
}

/// A stream that can be given up. What the kernel holds of it would otherwise
/// outlive it, for as long as the peer says that it is there.
pub(crate) trait Abandon {
    /// From now on, dropping it resets the connection.
    fn abandon(&self);
}

impl Abandon for TcpStream {
    fn abandon(&self) {
        // Without it the kernel takes longer, which is all that is lost.
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}

impl Abandon for Box<TlsStream<TcpStream>> {
    fn abandon(&self) {
        self.get_ref().0.abandon();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, DuplexStream};
    use tokio::net::TcpListener;

    use super::*;

    impl Abandon for DuplexStream {
        fn abandon(&self) {}
    }

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
    async fn the_kernel_holds_little_and_gives_up_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let (_client, stream) = (client.unwrap(), accepted.unwrap().0);
        configure(&stream, Duration::from_secs(15)).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.send_buffer_size().unwrap() <= 256 * 1024);
        assert!(socket.tcp_nodelay().unwrap());
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(15)));
    }
}
