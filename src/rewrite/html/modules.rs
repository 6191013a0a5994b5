//! Pages that run modules: which modules a page runs, whether it can have an
//! import map of ours, and putting that map into it.

use std::collections::BTreeMap;
use std::ops::Range;

use url::Url;

pub use super::super::import_map::ImportMap;

use super::super::import_map::OwnMap;
use super::super::js::ScriptKind;
use super::super::policy::{Fetch, Policies};
use super::super::splice::{Edit, splice};
use super::super::{PublicBase, Reason};
use super::Limits;
use super::tags::{Tag, tags};

/// Bytes of a page in which browsers look for its charset (HTML Standard,
/// "prescan a byte stream to determine its encoding").
const PRESCAN_BYTES: usize = 1024;

/// What of a page's scripts matters to modules.
#[derive(Clone, Debug)]
pub struct PageModules {
    /// What relative URLs of the page, and of its inline scripts, are relative to.
    pub base: Url,
    /// Modules that tags run or preload, or that the page's own import map names.
    pub modules: Vec<Url>,
    /// Those whose URL must stay: by an `integrity` of the author's, or because
    /// an author exempted the tag. They have to keep it everywhere.
    pub pinned: Vec<Url>,
    /// Classic scripts, which may import modules while they run.
    pub classic: Vec<Url>,
    /// Where the inline scripts stand, and what they are.
    pub inline: Vec<(Range<usize>, ScriptKind)>,
    /// `imports` of the page's own import map.
    pub imports: BTreeMap<String, Url>,
    /// Why the page cannot have an import map of ours.
    pub bar: Option<Reason>,
}

/// Looks at the scripts of the page at `page`.
///
/// Modules would become URLs below `public`, which the page's policies may not
/// allow: its own, and the `Content-Security-Policy` of its response, if that
/// is not empty.
pub fn page_modules(
    bytes: &[u8],
    page: &Url,
    public: &PublicBase,
    content_security_policy: &str,
) -> PageModules {
    let mut found = PageModules {
        base: page.clone(),
        modules: Vec::new(),
        pinned: Vec::new(),
        classic: Vec::new(),
        inline: Vec::new(),
        imports: BTreeMap::new(),
        bar: None,
    };
    let safe = super::super::charset_is_safe(None, bytes);
    match tags(bytes, Limits::standard()).filter(|_| safe) {
        Some(tags) => {
            let policies = policies(&tags, content_security_policy);
            found.look_at(bytes, &tags, (page, public), &policies);
        }
        None => found.bar = Some(Reason::Memory),
    }
    found
}

impl PageModules {
    /// Whether it runs scripts at all.
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty() && self.classic.is_empty() && self.inline.is_empty()
    }

    fn look_at(
        &mut self,
        bytes: &[u8],
        tags: &[Tag],
        (page, public): (&Url, &PublicBase),
        policies: &Policies,
    ) {
        let href = tags.iter().find_map(|tag| tag.value("href").filter(|_| tag.name == "base"));
        if let Some(base) = href.and_then(|href| page.join(href).ok())
            && !matches!(base.scheme(), "data" | "javascript")
            && policies.admit_base(&base, page)
        {
            self.base = base;
        }
        for tag in tags {
            match Role::of(tag) {
                Some(Role::Module | Role::Preload) => self.module(tag),
                Some(Role::Classic) => self.script(tag),
                Some(Role::Map) | None => {}
            }
        }
        let own = tags.iter().find(|tag| Role::of(tag) == Some(Role::Map));
        let own = own.map(|tag| own_map(bytes, tag));
        self.bar = self.bar_of(&own, policies, tags, page, public);
        if let Some(Some(own)) = own {
            self.own_map(own);
        }
    }

    fn bar_of(
        &self,
        own: &Option<Option<OwnMap>>,
        policies: &Policies,
        tags: &[Tag],
        page: &Url,
        public: &PublicBase,
    ) -> Option<Reason> {
        let moved = self.base.join(&format!("{}/a.js", public.as_str())).ok()?;
        if self.base.origin() != page.origin() {
            return Some(Reason::Base);
        }
        if policies.bar(&[Fetch::Script], page, &moved, page) {
            return Some(Reason::Policy);
        }
        match own {
            Some(None) => Some(Reason::Syntax),
            Some(Some(_)) => policies.pin().then_some(Reason::Policy),
            None => (!policies.admit_inline_script(nonce(tags))).then_some(Reason::Policy),
        }
    }

    fn module(&mut self, tag: &Tag) {
        let source = if tag.name == "link" { tag.value("href") } else { tag.value("src") };
        match (source, &tag.content) {
            (Some(source), _) => {
                let Ok(url) = self.base.join(source) else { return };
                let credentials = tag.is("crossorigin", "use-credentials");
                if tag.has("integrity") || tag.is_ignored() || credentials {
                    self.pinned.push(url);
                } else {
                    self.modules.push(url);
                }
            }
            (None, Some(content)) => self.inline.push((content.clone(), ScriptKind::Module)),
            (None, None) => {}
        }
    }

    fn script(&mut self, tag: &Tag) {
        match (tag.value("src"), &tag.content) {
            (Some(source), _) => self.classic.extend(self.base.join(source)),
            (None, Some(content)) => self.inline.push((content.clone(), ScriptKind::Unknown)),
            (None, None) => {}
        }
    }

    fn own_map(&mut self, own: OwnMap) {
        let base = self.base.clone();
        let is_url = |text: &&String| super::super::json::is_address(text);
        let resolve = |text: &String| base.join(text).ok();
        self.pinned.extend(own.pinned.iter().filter_map(resolve));
        self.modules.extend(own.scoped.iter().filter(is_url).filter_map(resolve));
        for (specifier, address) in own.imports {
            if let Some(url) = resolve(&address).filter(|_| is_url(&&address)) {
                self.modules.push(url.clone());
                self.imports.insert(specifier, url);
            }
        }
    }
}

/// Puts `map` into a page whose references are replaced already, and
/// `integrity` on the tags of its modules: browsers that see only the map's
/// fetch such a module twice.
pub fn inject_import_map(bytes: &[u8], map: &ImportMap) -> Vec<u8> {
    let Some(tags) = tags(bytes, Limits::standard()).filter(|_| !map.is_empty()) else {
        return bytes.to_vec();
    };
    let mut edits: Vec<Edit> = tags.iter().filter_map(|tag| integrity(tag, map)).collect();
    match tags.iter().find(|tag| Role::of(tag) == Some(Role::Map)) {
        Some(Tag { content: Some(content), .. }) => {
            let text = std::str::from_utf8(&bytes[content.clone()]).ok();
            edits.extend(
                text.and_then(|text| map.added_to(text, content.start)).into_iter().flatten(),
            );
        }
        Some(_) => {}
        None => edits.extend(new_map(&tags, map)),
    }
    edits.sort_by_key(|edit| edit.at.start);
    splice(bytes, 0, &edits)
}

/// What a tag has to do with modules.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    Module,
    Preload,
    Classic,
    Map,
}

impl Role {
    fn of(tag: &Tag) -> Option<Self> {
        let type_ = tag.value("type").unwrap_or_default().trim().to_ascii_lowercase();
        match (tag.name.as_str(), type_.as_str()) {
            ("link", _) => {
                let mut rel = tag.value("rel").unwrap_or_default().split_ascii_whitespace();
                rel.any(|token| token.eq_ignore_ascii_case("modulepreload"))
                    .then_some(Self::Preload)
            }
            ("script", "module") => Some(Self::Module),
            ("script", "importmap") => Some(Self::Map),
            // Browsers with modules skip it.
            ("script", _) if tag.has("nomodule") => None,
            ("script", "" | "text/javascript" | "application/javascript") => Some(Self::Classic),
            _ => None,
        }
    }
}

/// The policies of a response and of the page in it.
fn policies(tags: &[Tag], of_response: &str) -> Policies {
    let mut policies = Policies::default();
    policies.add(of_response);
    for tag in tags.iter().filter(|tag| tag.is("http-equiv", "content-security-policy")) {
        policies.add(tag.value("content").unwrap_or_default());
    }
    policies
}

fn own_map(bytes: &[u8], tag: &Tag) -> Option<OwnMap> {
    OwnMap::read(std::str::from_utf8(&bytes[tag.content.clone()?]).ok()?)
}

/// The nonce of the first module script that has one, if it can be written out again.
fn nonce(tags: &[Tag]) -> Option<&str> {
    let modules = tags.iter().filter(|tag| Role::of(tag) == Some(Role::Module));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"+/-_=".contains(&b);
    modules.filter_map(|tag| tag.value("nonce")).find(|nonce| nonce.bytes().all(plain))
}

fn integrity(tag: &Tag, map: &ImportMap) -> Option<Edit> {
    let url = match Role::of(tag)? {
        Role::Module => tag.value("src")?,
        Role::Preload => tag.value("href")?,
        Role::Classic | Role::Map => return None,
    };
    let integrity = map.integrity.get(url).filter(|_| !tag.has("integrity"))?;
    let cors = if tag.has("crossorigin") { "" } else { " crossorigin=\"anonymous\"" };
    let at = tag.name_end();
    Some(Edit { at: at..at, text: format!(" integrity=\"{integrity}\"{cors}") })
}

/// A map of ours comes before whatever may import, but behind a charset that
/// browsers would no longer look for behind the map.
fn new_map(tags: &[Tag], map: &ImportMap) -> Option<Edit> {
    let first = tags.iter().find(|tag| Role::of(tag).is_some())?;
    let charset = tags.iter().find(|tag| {
        let tells = tag.has("charset") || tag.is("http-equiv", "content-type");
        tag.name == "meta" && tells && tag.end <= PRESCAN_BYTES
    });
    let at = charset.map_or(first.start, |charset| first.start.max(charset.end));
    let nonce = nonce(tags).map(|nonce| format!(" nonce=\"{nonce}\"")).unwrap_or_default();
    let text = format!("<script type=\"importmap\"{nonce}>{}</script>", map.to_json());
    Some(Edit { at: at..at, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "https://shop.nl/winkel/";

    fn look(html: &str) -> PageModules {
        let page = Url::parse(PAGE).unwrap();
        page_modules(html.as_bytes(), &page, &PublicBase::parse("https://cdn.nl").unwrap(), "")
    }

    fn paths(urls: &[Url]) -> Vec<&str> {
        urls.iter().map(Url::path).collect()
    }

    fn map() -> ImportMap {
        let pair = |(a, b): (&str, &str)| (a.to_owned(), b.to_owned());
        ImportMap {
            imports: [("/a.js", "/a.fp.js")].map(pair).into(),
            integrity: [("/a.fp.js", "sha384-x")].map(pair).into(),
        }
    }

    fn inject(html: &str) -> String {
        String::from_utf8(inject_import_map(html.as_bytes(), &map())).unwrap()
    }

    #[test]
    fn the_scripts_of_a_page_are_told_apart() {
        let page = look(
            "<base href=/x/><script src=c.js></script><script type=MODULE src='a.js'></script>\
             <link rel='modulepreload' href=b.js><script type=module>import 'd'</script>\
             <script>e()</script><script type=text/template>f</script><script nomodule src=g.js></script>\
             <template><script type=module src=h.js></script></template>\
             <svg><script type=module href=i.js></script></svg><script type=module src=j.js integrity=x></script>",
        );
        assert_eq!(paths(&page.modules), ["/x/a.js", "/x/b.js"]);
        assert_eq!(paths(&page.classic), ["/x/c.js"]);
        assert_eq!(paths(&page.pinned), ["/x/j.js"]);
        let kinds: Vec<_> = page.inline.iter().map(|(_, kind)| *kind).collect();
        assert_eq!(kinds, [ScriptKind::Module, ScriptKind::Unknown]);
        assert_eq!(page.bar, None);
    }

    #[test]
    fn a_page_has_no_map_of_ours_where_it_would_not_count() {
        let csp = |policy: &str, rest: &str| {
            format!("<meta http-equiv=content-security-policy content=\"{policy}\">{rest}")
        };
        let module = "<script type=module src=a.js></script>";
        let with_nonce = "<script type=module nonce=AbC src=a.js></script>";
        let own = "<script type=importmap>{\"imports\":{\"a\":\"/a.js\"}}</script>";
        let table = [
            (module.to_owned(), None),
            (csp("script-src 'self' https://cdn.nl 'unsafe-inline'", module), None),
            (csp("script-src 'self' https://cdn.nl", module), Some(Reason::Policy)),
            (csp("script-src 'self' 'unsafe-inline'", module), Some(Reason::Policy)),
            (csp("script-src https: 'sha256-x='", module), Some(Reason::Policy)),
            (csp("script-src https: 'nonce-AbC'", module), Some(Reason::Policy)),
            (csp("script-src https: 'nonce-AbC'", with_nonce), None),
            (csp("script-src https: 'sha256-x='", own), Some(Reason::Policy)),
            (csp("script-src https: 'nonce-AbC'", own), None),
            ("<script type=importmap>{\"imports\":[]}</script>".into(), Some(Reason::Syntax)),
            (format!("<base href=//elders.nl/>{module}"), Some(Reason::Base)),
        ];
        for (html, bar) in table {
            assert_eq!(look(&html).bar, bar, "{html}");
        }
    }

    #[test]
    fn a_pages_own_map_names_modules_and_pins_some() {
        let page = look(
            "<script type=importmap>{\"imports\":{\"a\":\"/a.js\",\"b\":\"bare\"},\
             \"scopes\":{\"/x/\":{\"c\":\"./c.js\"}},\"integrity\":{\"/d.js\":\"x\"}}</script>",
        );
        assert_eq!(paths(&page.modules), ["/winkel/c.js", "/a.js"]);
        assert_eq!(paths(&page.pinned), ["/d.js"]);
        assert_eq!(page.imports.keys().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn the_map_stands_before_what_imports_and_behind_the_charset() {
        let json = map().to_json();
        let ours = format!("<script type=\"importmap\">{json}</script>");
        let table = [
            (
                "<meta charset=utf-8><p><script src=x></script><script type=module src=y></script>",
                format!("<meta charset=utf-8><p>{ours}<script src=x></script><script type=module src=y></script>"),
            ),
            (
                "<link rel=modulepreload href=/a.fp.js><meta charset=utf-8>",
                format!(
                    "<link integrity=\"sha384-x\" crossorigin=\"anonymous\" rel=modulepreload href=/a.fp.js><meta charset=utf-8>{ours}"
                ),
            ),
            ("<p>no scripts", "<p>no scripts".to_owned()),
            (
                "<script type=module nonce=AbC src=/a.fp.js crossorigin></script>",
                format!(
                    "<script type=\"importmap\" nonce=\"AbC\">{json}</script><script integrity=\"sha384-x\" type=module nonce=AbC src=/a.fp.js crossorigin></script>"
                ),
            ),
            (
                "<script type=importmap>{ \"imports\" : {\"b\":\"/b\"}}</script><script type=module src=/a.fp.js integrity=own></script>",
                "<script type=importmap>{\"integrity\":{\"/a.fp.js\":\"sha384-x\"}, \"imports\" : {\"/a.js\":\"/a.fp.js\",\"b\":\"/b\"}}</script><script type=module src=/a.fp.js integrity=own></script>".to_owned(),
            ),
        ];
        for (html, expected) in table {
            assert_eq!(inject(html), expected);
        }
        let late =
            format!("<script src=x></script><!--{}--><meta charset=utf-8>", "x".repeat(1024));
        assert_eq!(inject(&late), format!("{ours}{late}"), "browsers do not look there");
    }
}
