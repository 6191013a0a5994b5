//! What `publish` and `plan` are both told about a tree on the command line.
//! A plan keeps it, so that `apply` does what was planned.

use awning::manifest::Channel;
use awning::publish::Options;
use clap::Args;
use serde::{Deserialize, Serialize};

use super::lifetime::Lifetime;
use crate::config::ConfigError;

/// How a tree becomes a release, and of what channel.
#[derive(Args, Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct TreeFlags {
    /// Channel to switch [default: publish.channel]
    #[arg(long, value_name = "C", value_parser = Channel::parse)]
    channel: Option<Channel>,

    /// Order of this build, such as its number; an older one never replaces a newer one
    #[arg(long, value_name = "N", default_value_t = 0)]
    order: u64,

    /// Refuse a tree with references that lead nowhere
    #[arg(long)]
    strict: bool,

    /// Allow a tree that lost more than half of the previous release
    #[arg(long)]
    allow_shrink: bool,

    /// Publish no brotli, zstd and gzip variants
    #[arg(long)]
    #[serde(default)]
    no_compress: bool,

    /// Let a preview end after this time, as in 7d; `awning gc` then collects it.
    /// Publishing again moves the end, or, without this, makes the channel stay
    #[arg(long, value_name = "DURATION", value_parser = Lifetime::parse)]
    #[serde(default, rename = "expires_seconds", skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<Lifetime>,
}

impl TreeFlags {
    /// Puts what was typed over what was configured. Refuses to let the
    /// channel end that `options` has by configuration.
    pub(crate) fn set(&self, options: &mut Options) -> Result<(), ConfigError> {
        let standing = options.channel.clone();
        if let Some(channel) = &self.channel {
            options.channel = channel.clone();
        }
        options.order = self.order;
        options.strict = self.strict;
        options.allow_shrink = self.allow_shrink;
        options.compress &= !self.no_compress;
        let end = self.expires.map(|lifetime| lifetime.end(&options.channel, &standing));
        options.expires = end.transpose()?;
        Ok(())
    }

    /// The same, with the channel that the configuration gave.
    pub(crate) fn on(self, channel: &Channel) -> Self {
        Self { channel: Some(channel.clone()), ..self }
    }
}
