//! How a release is named on the command line: whole, by its first digits, or
//! as the head of a channel.

use std::str::FromStr;

use awning::asset::KeyLayout;
use awning::manifest::{Channel, ReleaseId};
use awning::publish;
use awning::store::ObjectWrite;

use crate::exit::NotThere;

/// Fewest digits that name a release.
const DIGITS_MIN: usize = 8;

/// Most releases that are told where digits name several.
const TOLD_MAX: usize = 5;

/// A release as it was typed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Named {
    /// `head`: the current release of the channel.
    Head,
    /// All 64 digits.
    Whole(ReleaseId),
    /// The first digits.
    Beginning(String),
}

/// A text that names no release.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a release is `head`, or {DIGITS_MIN} to 64 hexadecimal digits")]
pub(crate) struct NoName;

impl FromStr for Named {
    type Err = NoName;

    fn from_str(text: &str) -> Result<Self, NoName> {
        if text == "head" {
            return Ok(Self::Head);
        }
        let digits = text.to_ascii_lowercase();
        if let Ok(release) = ReleaseId::parse(&digits) {
            return Ok(Self::Whole(release));
        }
        let fits = (DIGITS_MIN..64).contains(&digits.len());
        if fits && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(Self::Beginning(digits))
        } else {
            Err(NoName)
        }
    }
}

impl Named {
    /// The release that is meant. All 64 digits are believed; whoever reads
    /// the release finds out whether it is there.
    pub(crate) async fn find(
        &self,
        store: &dyn ObjectWrite,
        layout: &KeyLayout,
        channel: &Channel,
    ) -> anyhow::Result<ReleaseId> {
        match self {
            Self::Head => head(store, layout, channel).await,
            Self::Whole(release) => Ok(*release),
            Self::Beginning(digits) => {
                let found = publish::named(store, layout, digits).await?;
                Ok(only(digits, &found)?)
            }
        }
    }
}

async fn head(
    store: &dyn ObjectWrite,
    layout: &KeyLayout,
    channel: &Channel,
) -> anyhow::Result<ReleaseId> {
    let history = publish::history(store, layout, channel, 1).await?;
    Ok(history.head().ok_or_else(|| without_release(channel))?.release)
}

/// A channel that was never switched.
pub(crate) fn without_release(channel: &Channel) -> NotThere {
    NotThere(format!("channel `{channel}` has no release yet: run `awning publish` first"))
}

fn only(digits: &str, found: &[ReleaseId]) -> Result<ReleaseId, NotThere> {
    match found {
        [] => Err(NotThere(format!("no release in the bucket begins with {digits}"))),
        [one] => Ok(*one),
        several => {
            let told: Vec<String> =
                several.iter().take(TOLD_MAX).map(ToString::to_string).collect();
            let more = if several.len() > TOLD_MAX { " and more" } else { "" };
            Err(NotThere(format!("{digits} names several releases: {}{more}", told.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(digits: &str) -> ReleaseId {
        ReleaseId::parse(&format!("{digits:0<64}")).unwrap()
    }

    #[test]
    fn a_release_is_named_whole_or_by_its_first_digits() {
        let whole = release("ab").to_string();
        for (text, named) in [
            ("head", Ok(Named::Head)),
            (whole.as_str(), Ok(Named::Whole(release("ab")))),
            (&whole.to_uppercase(), Ok(Named::Whole(release("ab")))),
            (&whole[..63], Ok(Named::Beginning(whole[..63].to_owned()))),
            ("0123ABCD", Ok(Named::Beginning("0123abcd".into()))),
            ("0123abc", Err(NoName)),
            ("0123abcg", Err(NoName)),
            ("../../..", Err(NoName)),
            ("", Err(NoName)),
            (&format!("{whole}0"), Err(NoName)),
        ] {
            assert_eq!(text.parse(), named, "{text}");
        }
    }

    #[test]
    fn digits_name_one_release_or_none() {
        assert_eq!(only("ab", &[release("ab")]).unwrap(), release("ab"));
        assert!(only("ab", &[]).unwrap_err().to_string().contains("begins with ab"));
        let seven: Vec<_> = ["1", "2", "3", "4", "5", "6", "7"].map(release).into();
        let told = only("ab", &seven).unwrap_err().to_string();
        assert!(told.contains(&seven[4].to_string()) && told.ends_with(" and more"), "{told}");
        assert!(!told.contains(&seven[5].to_string()), "{told}");
    }
}
