//! The flags of commands that send a release.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use clap::Args;

use crate::config::{self, Transfer};

/// How a release is sent.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct TransferFlags {
    /// Most objects, or parts of large ones, sent at the same time [default: 32]
    #[arg(long, value_name = "N", value_parser = config::concurrency)]
    concurrency: Option<NonZeroUsize>,

    /// Most bytes sent in a second, on average, as in 10MiB
    #[arg(long, value_name = "SIZE", value_parser = config::bandwidth)]
    bandwidth: Option<NonZeroU64>,

    /// Give up after so long, as in 15m; running it again goes on
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    deadline: Option<Duration>,
}

impl TransferFlags {
    /// What the flags say, and for the rest what is configured.
    pub(crate) fn over(self, configured: Transfer) -> Transfer {
        let Self { concurrency, bandwidth, deadline } = self;
        let named = Transfer { concurrency, bandwidth, deadline, ..Transfer::default() };
        named.or(configured)
    }
}
