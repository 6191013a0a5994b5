//! The settings of an accepted TCP socket.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// What the kernel may hold of a response that nobody takes. Linux doubles
/// the number it is given; unset, it may grow to megabytes a connection.
const SEND_BUFFER: usize = 128 * 1024;
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
    socket.set_tcp_user_timeout(Some(unacknowledged_max))?;
    #[cfg(not(target_os = "linux"))]
    let _ = unacknowledged_max;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

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
