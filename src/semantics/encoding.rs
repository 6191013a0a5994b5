//! Content codings, and which of them a request prefers (RFC 9110 §12.5.3).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Members of an `Accept-Encoding` field that are read; the rest is ignored,
/// so that a long field costs nothing.
const MEMBERS_MAX: usize = 32;

/// A content coding that awning publishes variants in.
///
/// The order of the variants is the order of preference between codings that
/// a request likes equally.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Coding {
    /// Brotli (RFC 7932).
    Br,
    /// Zstandard (RFC 8878).
    Zstd,
    /// gzip (RFC 1952).
    Gzip,
}

/// How much a request likes each coding. A request that says nothing likes
/// the identity only: it may come from a client that cannot decode.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AcceptEncoding {
    /// Named codings of ours, by weight.
    named: Vec<(Coding, Weight)>,
    identity: Option<Weight>,
    /// `*`: every coding that is not named.
    any: Option<Weight>,
}

/// A quality value in thousandths.
type Weight = u16;

impl Coding {
    /// All codings, in the order of preference.
    pub const ALL: [Coding; 3] = [Coding::Br, Coding::Zstd, Coding::Gzip];

    /// The registered name, as in `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Coding::Br => "br",
            Coding::Zstd => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    /// What a variant's key ends with.
    pub fn suffix(self) -> &'static str {
        match self {
            Coding::Br => ".br",
            Coding::Zstd => ".zst",
            Coding::Gzip => ".gz",
        }
    }

    /// The coding of a registered name, in any case. `x-gzip` is gzip.
    pub fn from_name(name: &str) -> Option<Self> {
        let known = Self::ALL.into_iter().find(|coding| name.eq_ignore_ascii_case(coding.name()));
        known.or_else(|| name.eq_ignore_ascii_case("x-gzip").then_some(Coding::Gzip))
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl AcceptEncoding {
    /// Reads all `Accept-Encoding` fields of a request. A member that is not
    /// well formed is left out.
    pub fn parse<'a>(fields: impl IntoIterator<Item = &'a str>) -> Self {
        let mut accepted = Self::default();
        let members = fields.into_iter().flat_map(|field| field.split(','));
        for (name, weight) in members.take(MEMBERS_MAX).filter_map(member) {
            if name == "*" {
                accepted.any = Some(weight);
            } else if name.eq_ignore_ascii_case("identity") {
                accepted.identity = Some(weight);
            } else if let Some(coding) = Coding::from_name(name) {
                accepted.named.push((coding, weight));
            }
        }
        accepted
    }

    /// The coding to send out of those there are; `None` is the identity,
    /// which is also sent to requests that refuse everything.
    pub fn prefer(&self, available: impl IntoIterator<Item = Coding>) -> Option<Coding> {
        let weighed = available.into_iter().map(|coding| (self.weight(coding), coding));
        let best = weighed.filter(|(weight, _)| *weight > 0);
        // The greatest weight, and among equals the first in our order.
        let best = best.min_by_key(|(weight, coding)| (u16::MAX - weight, *coding));
        best.filter(|(weight, _)| self.identity.unwrap_or(0) <= *weight).map(|(_, coding)| coding)
    }

    fn weight(&self, coding: Coding) -> Weight {
        let named = self.named.iter().find(|(known, _)| *known == coding);
        named.map(|(_, weight)| *weight).or(self.any).unwrap_or(0)
    }
}

/// One member: its name, and its weight, 1 when it has none.
pub(super) fn member(text: &str) -> Option<(&str, Weight)> {
    let mut parts = text.split(';').map(|part| part.trim_matches([' ', '\t']));
    let name = parts.next().filter(|name| !name.is_empty())?;
    let Some(parameter) = parts.next() else { return Some((name, 1000)) };
    let (q, value) = parameter.split_once('=')?;
    if !q.eq_ignore_ascii_case("q") || parts.next().is_some() {
        return None;
    }
    Some((name, quality(value)?))
}

/// `qvalue` of RFC 9110 §12.4.2: 0 to 1 with up to three decimals.
fn quality(text: &str) -> Option<Weight> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = decimals.bytes().all(|b| b.is_ascii_digit());
    if !matches!(whole, "0" | "1") || decimals.len() > 3 || !digits {
        return None;
    }
    let thousandths: Weight = format!("{decimals:0<3}").parse().ok()?;
    let weight = if whole == "1" { 1000 + thousandths } else { thousandths };
    (weight <= 1000).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_liked_coding_wins_and_ours_breaks_ties() {
        let table = [
            ("gzip, deflate, br, zstd", Some(Coding::Br)),
            ("gzip, zstd", Some(Coding::Zstd)),
            ("gzip", Some(Coding::Gzip)),
            ("x-gzip", Some(Coding::Gzip)),
            ("GZIP;Q=0.5 , br ; q=0.4", Some(Coding::Gzip)),
            ("br;q=0, *", Some(Coding::Zstd)),
            ("*", Some(Coding::Br)),
            ("*;q=0", None),
            ("gzip;q=0", None),
            ("", None),
            ("identity", None),
            ("identity;q=1, gzip;q=0.5", None),
            ("gzip, identity", Some(Coding::Gzip)),
            ("br;q=1.001, gzip", Some(Coding::Gzip)),
            ("br;q=0.0001, gzip", Some(Coding::Gzip)),
            ("br;level=3, gzip", Some(Coding::Gzip)),
            ("identity;q=0, *;q=0", None),
            ("deflate", None),
        ];
        for (field, expected) in table {
            assert_eq!(AcceptEncoding::parse([field]).prefer(Coding::ALL), expected, "{field:?}");
        }
    }

    #[test]
    fn only_codings_that_exist_are_chosen() {
        let accepted = AcceptEncoding::parse(["br, gzip;q=0.1"]);
        assert_eq!(accepted.prefer([Coding::Gzip]), Some(Coding::Gzip));
        assert_eq!(accepted.prefer([Coding::Zstd]), None);
        assert_eq!(accepted.prefer([]), None);
    }

    #[test]
    fn several_fields_are_one_list_of_at_most_32_members() {
        assert_eq!(
            AcceptEncoding::parse(["br;q=0", "gzip"]).prefer(Coding::ALL),
            Some(Coding::Gzip)
        );
        let flood = "x,".repeat(MEMBERS_MAX) + "br";
        assert_eq!(AcceptEncoding::parse([flood.as_str()]).prefer(Coding::ALL), None);
    }
}
