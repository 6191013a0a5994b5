//! `awning releases`: what a channel was switched to, newest first.

use std::fmt;
use std::num::NonZeroU16;

use awning::manifest::{Activation, Channel, ReleaseId};
use awning::publish::{self, History};
use awning::store::s3::Profile;
use clap::Args;
use serde::Serialize;

use super::{Context, required};

/// List what a channel was switched to, newest first
///
/// A line each: the release, when, the order it was published with, the
/// number of the record, and what it is now: `head`, `locked` while publishes
/// are refused, `superseded` where it lost against another of its number.
#[derive(Args, Debug)]
pub(crate) struct Releases {
    /// The channel [default: publish.channel]
    #[arg(long, value_name = "C", value_parser = Channel::parse)]
    channel: Option<Channel>,

    /// Most lines
    #[arg(long, value_name = "N", default_value = "50")]
    limit: NonZeroU16,
}

/// One switch of a channel.
#[derive(Debug, Serialize)]
struct Line<'a> {
    release: ReleaseId,
    activated: &'a str,
    order: u64,
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<&'a str>,
    head: bool,
    locked: bool,
    superseded: bool,
}

impl Releases {
    /// Lists the newest records.
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let settings = context.settings()?;
        let bucket = required(settings.store.clone())?;
        let store = context.store(&bucket, Profile::Publisher)?;
        let channel = self.channel.unwrap_or(settings.publish.channel);
        let limit = usize::from(self.limit.get());
        let history = publish::history(&store, &bucket.layout, &channel, limit).await?;
        history.remarks().iter().for_each(|remark| context.output.warning(remark));
        if !history.is_settled() {
            context.output.warning("visitors do not see the head yet: the next switch shows it");
        }

        let records = history.records().iter().take(limit);
        let lines: Vec<Line<'_>> = records.map(|record| Line::of(record, &history)).collect();
        if context.output.is_json() {
            context.output.json(&lines)?;
            return Ok(());
        }
        if lines.is_empty() {
            context.output.note(format_args!("channel `{channel}` has no release yet"));
        }
        lines.iter().try_for_each(|line| context.output.line(line))?;
        Ok(())
    }
}

impl<'a> Line<'a> {
    fn of(record: &'a Activation, history: &History) -> Self {
        Self {
            release: record.release,
            activated: &record.activated,
            order: record.order,
            seq: record.seq,
            by: record.by.as_deref(),
            expires: record.expires.as_deref(),
            head: history.head() == Some(record),
            locked: record.locked,
            superseded: !history.has_won(record),
        }
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { release, activated, order, seq, .. } = self;
        let short = release.short();
        write!(f, "{short}  {:<29}  order {order}  seq {seq}", plain(activated))?;
        let marks = [(self.head, "head"), (self.locked, "locked"), (self.superseded, "superseded")];
        for (_, mark) in marks.iter().filter(|(holds, _)| *holds) {
            write!(f, "  {mark}")?;
        }
        if let Some(expires) = self.expires {
            write!(f, "  ends {}", plain(expires))?;
        }
        self.by.iter().try_for_each(|by| write!(f, "  by {}", plain(by)))
    }
}

/// A record may hold any text, also one that moves a terminal's cursor.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_no_control_characters_of_a_record() {
        let release = ReleaseId::parse(&"a".repeat(64)).unwrap();
        let line = Line {
            release,
            activated: "now\u{1b}[2J",
            order: 7,
            seq: 3,
            by: Some("an\nna"),
            expires: Some("la\tter"),
            head: true,
            locked: true,
            superseded: false,
        };
        let expected = format!(
            "{:12}  {:<29}  order 7  seq 3  head  locked  ends later  by anna",
            "a".repeat(12),
            "now[2J"
        );
        assert_eq!(line.to_string(), expected);
    }
}
