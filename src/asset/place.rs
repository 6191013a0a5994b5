//! What a key of the bucket is to awning. Keys that it does not know are
//! foreign: they are nobody's to touch.

use super::KeyLayout;

/// Longest name of an intent, a list or a probe.
const NAME_BYTES_MAX: usize = 128;

/// What lies under a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place<'k> {
    /// An object of an asset.
    Object,
    /// The manifest of the release with this name.
    Manifest(&'k str),
    /// The head of this channel.
    Head(&'k str),
    /// A record of this channel, with its number.
    Record(&'k str, u64),
    /// What a publish is about to store.
    Intent,
    /// What a collection has condemned, by the name of the list.
    List(&'k str),
    /// A sign that the list of this name is being carried out.
    Sweeping(&'k str),
    /// What was written to try the store.
    Probe,
    /// Not awning's.
    Foreign,
}

impl KeyLayout {
    /// What the key is for.
    pub fn place<'k>(&self, key: &'k str) -> Place<'k> {
        self.known_place(key).unwrap_or(Place::Foreign)
    }

    /// What the keys of all objects begin with.
    pub fn objects(&self) -> String {
        format!("{}a/", self.prefix())
    }

    /// What all other keys of awning begin with.
    pub fn own(&self) -> String {
        format!("{}.awning/", self.prefix())
    }

    /// The key of an intent; an empty name gives what all of them begin with,
    /// without the ending.
    pub fn intent(&self, name: &str) -> String {
        format!("{}.awning/intents/{name}.json", self.prefix())
    }

    /// What the keys of lists of condemned objects begin with.
    pub fn lists(&self) -> String {
        format!("{}.awning/gc/", self.prefix())
    }

    /// The key of a list of condemned objects.
    pub fn list(&self, name: &str) -> String {
        format!("{}{name}.json", self.lists())
    }

    /// The key of the sign that a list is being carried out.
    pub fn sweeping(&self, name: &str) -> String {
        format!("{}{name}.sweeping", self.lists())
    }

    fn known_place<'k>(&self, key: &'k str) -> Option<Place<'k>> {
        let key = key.strip_prefix(self.prefix())?;
        if key.strip_prefix("a/").is_some_and(|name| !name.is_empty()) {
            return Some(Place::Object);
        }
        let (directory, rest) = key.strip_prefix(".awning/")?.split_once('/')?;
        match directory {
            "releases" => {
                rest.strip_suffix(".json").filter(|name| is_name(name)).map(Place::Manifest)
            }
            "channels" => self.channel_place(rest),
            "intents" => {
                rest.strip_suffix(".json").filter(|name| is_name(name)).map(|_| Place::Intent)
            }
            "gc" => match rest.rsplit_once('.')? {
                (name, "json") if is_name(name) => Some(Place::List(name)),
                (name, "sweeping") if is_name(name) => Some(Place::Sweeping(name)),
                _ => None,
            },
            "probe" => is_name(rest).then_some(Place::Probe),
            _ => None,
        }
    }

    fn channel_place<'k>(&self, rest: &'k str) -> Option<Place<'k>> {
        let (channel, name) = rest.split_once('/')?;
        if name == "head.json" {
            return Some(Place::Head(channel));
        }
        let key = format!("{}.awning/channels/{rest}", self.prefix());
        let seq = self.record_seq(channel, &key)?;
        Some(Place::Record(channel, seq))
    }
}

fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_layout_is_known_and_no_other() {
        let layout = KeyLayout::under("shop");
        let record = layout.record("production", 7, "n");
        for (key, place) in [
            ("shop/a/css/app.x.css".to_owned(), Place::Object),
            (layout.manifest("ab12"), Place::Manifest("ab12")),
            (layout.head("production"), Place::Head("production")),
            (record.clone(), Place::Record("production", 7)),
            (layout.intent("i"), Place::Intent),
            (layout.list("l"), Place::List("l")),
            (layout.sweeping("l"), Place::Sweeping("l")),
            (layout.probe("clock"), Place::Probe),
        ] {
            assert_eq!(layout.place(&key), place, "{key}");
            assert_eq!(KeyLayout::under("other").place(&key), Place::Foreign, "{key}");
        }
        for key in [
            "shop/a/",
            "shop/index.html",
            "a/css/app.css",
            "shop/.awning/README",
            "shop/.awning/releases/ab12.txt",
            "shop/.awning/releases/a/b.json",
            "shop/.awning/channels/production/other.json",
            "shop/.awning/channels/production/log/7-n.json",
            "shop/.awning/later/x.json",
            &record.replace("shop/", "shop/x/"),
        ] {
            assert_eq!(layout.place(key), Place::Foreign, "{key}");
        }
    }
}
