//! Listening sockets that come from elsewhere: from systemd, or from the
//! process before this one in a restart without a moment in which nobody
//! listens. The same protocol serves both: `LISTEN_FDS`, visitors first.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram as Sender;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use command_fds::{CommandFdExt as _, FdMapping};
use listenfd::ListenFd;
use tokio::net::UnixDatagram;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};

use crate::config::Environment;
use crate::exit::Usage;

/// Names the socket on which the process before waits for [`READY`].
const PREDECESSOR: &str = "AWNING_PREDECESSOR";
/// The addresses in the configuration of the process before. Its sockets need
/// not be there: systemd may have opened them elsewhere.
const ADDRESSES: &str = "AWNING_PREDECESSOR_LISTEN";
/// Names the socket of a systemd that wants to know the same.
const SUPERVISOR: &str = "NOTIFY_SOCKET";
const READY: &str = "READY=1";
/// For visitors, and for operators.
const SOCKETS: usize = 2;
/// Where the first socket is, as the protocol has it.
const FIRST: i32 = 3;
/// How long the next process may take until it answers.
const READY_MAX: Duration = Duration::from_secs(60);
/// How often it is asked whether it has ended instead.
const LOOK: Duration = Duration::from_millis(50);

/// The sockets this process was started with: for visitors, and for operators.
pub(crate) fn inherited() -> anyhow::Result<[Option<TcpListener>; 2]> {
    let mut sockets = ListenFd::from_env();
    if sockets.len() > SOCKETS {
        let message = format!(
            "{} sockets were handed to this process, and it uses {SOCKETS}: the one for visitors \
             and the one for operators, in this order",
            sockets.len()
        );
        return Err(Usage(message).into());
    }
    let mut take = |number| {
        let socket = sockets.take_tcp_listener(number);
        socket.with_context(|| format!("inherited socket {number} does not listen on TCP"))
    };
    Ok([take(0)?, take(1)?])
}

/// Of the sockets of the process before, those that the configuration still
/// means: it may have another address by now, which a restart takes.
pub(crate) fn still_meant(
    sockets: [Option<TcpListener>; SOCKETS],
    addresses: [SocketAddr; SOCKETS],
    environment: &Environment,
) -> [Option<TcpListener>; SOCKETS] {
    let Some(before) = environment.exact(ADDRESSES) else { return sockets };
    let mut before = before.split(' ');
    let mut addresses = addresses.into_iter();
    sockets.map(|socket| {
        let (before, now) = (before.next(), addresses.next().map(|now| now.to_string()));
        socket.filter(|_| before == now.as_deref())
    })
}

/// Whether another process waits for this one to take its place.
pub(crate) fn has_predecessor(environment: &Environment) -> bool {
    environment.exact(PREDECESSOR).is_some()
}

/// Tells whoever waits for it that this process answers from now on.
pub(crate) fn tell_ready(environment: &Environment) {
    let message = format!("{READY}\nMAINPID={}", std::process::id());
    for name in [PREDECESSOR, SUPERVISOR] {
        let Some(path) = environment.exact(name) else { continue };
        let told = Sender::unbound().and_then(|sender| sender.send_to(message.as_bytes(), path));
        if let Err(error) = told {
            tracing::warn!(%error, name, "cannot tell that the shield is ready");
        }
    }
}

/// What it takes to start this command again with the same sockets.
#[derive(Debug)]
pub(crate) struct Handover {
    asked: Signal,
    /// Taken at the start: a binary that was replaced since is meant.
    program: PathBuf,
    arguments: Vec<OsString>,
    sockets: [OwnedFd; SOCKETS],
    /// What the configuration says of them.
    addresses: [SocketAddr; SOCKETS],
}

impl Handover {
    /// Begins to listen to SIGUSR2; until then, it ends the process.
    pub(crate) fn prepare(
        public: impl AsFd,
        admin: impl AsFd,
        addresses: [SocketAddr; SOCKETS],
    ) -> anyhow::Result<Self> {
        let share = |socket: &dyn AsFd| socket.as_fd().try_clone_to_owned();
        Ok(Self {
            asked: signal(SignalKind::user_defined2()).context("cannot listen to signals")?,
            program: std::env::current_exe().context("cannot find this program")?,
            arguments: std::env::args_os().skip(1).collect(),
            sockets: [share(&public)?, share(&admin)?],
            addresses,
        })
    }

    /// Returns once another process has taken over.
    pub(crate) async fn done(mut self) {
        loop {
            self.asked.recv().await;
            match self.hand_over().await {
                Ok(process) => {
                    tracing::info!(process, "another process has taken over");
                    return;
                }
                Err(error) => {
                    tracing::error!("the restart failed, and this process goes on: {error:#}");
                }
            }
        }
    }

    async fn hand_over(&self) -> anyhow::Result<u32> {
        let directory = tempfile::tempdir().context("cannot make a directory")?;
        let path = directory.path().join("ready");
        let ready = UnixDatagram::bind(&path).context("cannot make a socket")?;
        let mut next = Next(Some(self.start(&path)?));
        let Some(child) = &mut next.0 else { bail!("there is no new process") };
        match timeout(READY_MAX, first_of(&ready, child)).await {
            Ok(Ok(None)) => {
                let process = child.id();
                next.0 = None;
                Ok(process)
            }
            Ok(Ok(Some(status))) => bail!("the new process ended early: {status}"),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => bail!("the new process was not ready after {READY_MAX:?}"),
        }
    }

    fn start(&self, ready: &Path) -> anyhow::Result<Child> {
        let mut mappings = Vec::new();
        for (socket, child_fd) in self.sockets.iter().zip(FIRST..) {
            let parent_fd = socket.try_clone().context("cannot share a socket")?;
            mappings.push(FdMapping { parent_fd, child_fd });
        }
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env("LISTEN_FDS", mappings.len().to_string())
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDS_FIRST_FD")
            .env(PREDECESSOR, ready)
            .env(ADDRESSES, self.addresses.map(|address| address.to_string()).join(" "))
            .stdin(Stdio::null());
        command.fd_mappings(mappings).context("cannot hand over the sockets")?;
        command.spawn().with_context(|| format!("cannot start `{}`", self.program.display()))
    }
}

/// The next process until it is ready. It ends with the handover, which a
/// shutdown drops: it must accept nothing beside this process or behind it.
struct Next(Option<Child>);

impl Drop for Next {
    fn drop(&mut self) {
        let Some(child) = &mut self.0 else { return };
        if let Err(error) = child.kill().and_then(|()| child.wait()) {
            tracing::error!(%error, "cannot end the new process");
        }
    }
}

/// `None` when it is ready, or how it ended before.
async fn first_of(ready: &UnixDatagram, child: &mut Child) -> std::io::Result<Option<ExitStatus>> {
    let mut message = [0; 64];
    loop {
        tokio::select! {
            received = ready.recv(&mut message) => {
                if message[..received?].starts_with(READY.as_bytes()) {
                    return Ok(None);
                }
            }
            () = sleep(LOOK) => {
                if let Some(status) = child.try_wait()? {
                    return Ok(Some(status));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// A handover to a process that never says that it is ready.
    fn to_nobody() -> (Handover, SocketAddr) {
        let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let address = sockets[0].local_addr().unwrap();
        let handover = Handover {
            asked: signal(SignalKind::user_defined2()).unwrap(),
            program: "/bin/sleep".into(),
            arguments: vec!["1000".into()],
            sockets: sockets.map(OwnedFd::from),
            addresses: [address; 2],
        };
        (handover, address)
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_in_the_middle_ends_the_next_process_as_well() {
        let (handover, address) = to_nobody();
        assert!(timeout(Duration::from_secs(1), handover.hand_over()).await.is_err());
        drop(handover);
        assert!(TcpListener::bind(address).is_ok(), "nobody holds the sockets any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_is_never_ready_is_ended_after_a_minute() {
        let (handover, address) = to_nobody();
        let began = Instant::now();
        let error = handover.hand_over().await.unwrap_err();
        assert!(format!("{error:#}").contains("was not ready after 60s"), "{error:#}");
        assert_eq!(began.elapsed().as_secs(), 60);
        drop(handover);
        assert!(TcpListener::bind(address).is_ok(), "nobody holds the sockets any more");
    }
}
