//! Reading scripts, and the scripts of pages, for what they refer to.

use std::collections::BTreeSet;

use url::Url;

use super::super::collect::{Found, dangling};
use super::super::deep::with_stack;
use super::super::document::UrlSpace;
use super::super::problem::{Kind, Problem};
use super::{Facts, Import, Page, Script, barred};
use crate::asset::{AssetPath, media};
use crate::rewrite::{
    PageModules, ScriptKind, ScriptReference, ScriptUse, Site, has_only_cache_busters,
    page_modules, position, script_references, script_stack_bytes,
};

/// A document that is read.
struct Reader<'a> {
    path: &'a AssetPath,
    bytes: &'a [u8],
    space: &'a UrlSpace,
    known: &'a BTreeSet<&'a AssetPath>,
    found: Found,
}

/// Collects the references of a script. One that does not parse has none, and
/// is reported.
pub(in super::super) fn script(
    path: &AssetPath,
    bytes: &[u8],
    space: &UrlSpace,
    known: &BTreeSet<&AssetPath>,
) -> Found {
    let mut reader = Reader { path, bytes, space, known, found: Found::default() };
    let base = space.page(path);
    let mut script = reader.script(bytes, 0, kind(path), &base);
    reader.found.assets = std::mem::take(&mut script.refs);
    script.refs = reader.found.assets.clone();
    script.refs.extend(script.imports.iter().map(|import| import.asset.clone()));
    reader.found.modules = Some(Facts::Script(script));
    reader.found
}

/// Adds to `found`, the references of the tags of a page, what its scripts
/// refer to.
pub(in super::super) fn html(
    path: &AssetPath,
    bytes: &[u8],
    space: &UrlSpace,
    known: &BTreeSet<&AssetPath>,
    found: Found,
) -> Found {
    let at = space.page(path);
    let scripts = page_modules(bytes, &at, space.public(), space.policy(path));
    if scripts.is_empty() {
        return found;
    }
    let mut reader = Reader { path, bytes, space, known, found };
    let page = reader.page(scripts);
    let runs_modules = !page.modules.is_empty() || !page.inline.imports.is_empty();
    if let Some(reason) = page.bar.filter(|_| runs_modules) {
        reader.found.problems.push(barred(path, reason));
    }
    reader.found.modules = Some(Facts::Page(Box::new(page)));
    reader.found
}

/// How the script at `path` is parsed.
pub(in super::super) fn kind(path: &AssetPath) -> ScriptKind {
    match path.split_extension().1 {
        Some("mjs") => ScriptKind::Module,
        _ => ScriptKind::Unknown,
    }
}

fn is_url_specifier(text: &str) -> bool {
    ["/", "./", "../"].iter().any(|start| text.starts_with(start))
}

impl Reader<'_> {
    fn page(&mut self, scripts: PageModules) -> Page {
        let mut inline = Script::default();
        for (at, kind) in scripts.inline {
            let read = self.script(&self.bytes[at.clone()], at.start, kind, &scripts.base);
            inline.imports.extend(read.imports);
            inline.bare.extend(read.bare);
            inline.apart.extend(read.apart);
        }
        let assets = |urls: &[Url]| -> BTreeSet<AssetPath> {
            let named = urls.iter().filter_map(|url| self.space.asset(url));
            named.filter(|asset| self.known.contains(asset)).collect()
        };
        let known = |url: &Url| self.space.asset(url).filter(|asset| self.known.contains(asset));
        let taken = scripts.imports.iter().filter_map(|(specifier, address)| {
            let url = is_url_specifier(specifier).then(|| scripts.base.join(specifier).ok())??;
            Some((known(&url)?, known(address)?))
        });
        let mut refs = self.found.assets.clone();
        refs.extend(inline.imports.iter().map(|import| import.asset.clone()));
        Page {
            modules: assets(&scripts.modules),
            pinned: assets(&scripts.pinned),
            classic: assets(&scripts.classic),
            taken: taken.collect(),
            base: scripts.base,
            own: scripts.imports,
            bar: scripts.bar,
            inline,
            refs,
        }
    }

    /// Reads a script that begins at `offset` of the document. Its `refs` are
    /// what its bytes will name whatever becomes of its imports.
    fn script(&mut self, source: &[u8], offset: usize, kind: ScriptKind, base: &Url) -> Script {
        let mut script = Script::default();
        let read = with_stack(script_stack_bytes(source), || script_references(source, kind));
        match read {
            Some(Ok(references)) => {
                for reference in references {
                    self.reference(&reference, offset, base, &mut script);
                }
            }
            Some(Err(fault)) => {
                let message = format!("published unread: {fault}");
                self.report(offset + fault.offset, message, Kind::Unparsed);
            }
            None => {
                let message = "published unread: it may nest too deeply".to_owned();
                self.report(offset, message, Kind::Unparsed);
            }
        }
        script
    }

    fn reference(
        &mut self,
        reference: &ScriptReference,
        offset: usize,
        base: &Url,
        script: &mut Script,
    ) {
        let ScriptReference { span, text, use_ } = reference;
        if !reference.is_address() {
            script.bare.insert(text.clone());
            return;
        }
        let Ok(url) = base.join(text) else { return };
        let Some(asset) = self.space.asset(&url) else { return };
        if !self.known.contains(&asset) {
            let is_map = *use_ == ScriptUse::SourceMap;
            let site = if is_map { Site::SourceMap } else { Site::Module };
            let place = position(self.bytes, offset + span.start);
            return self.found.problems.push(dangling(self.path, place, text, site));
        }
        let media = media::content_type(&asset);
        let leads = self.space.leads(self.space.kept(self.path).as_ref(), text, &asset);
        // What keeps its query keeps its whole URL.
        let stays = !has_only_cache_busters(&url);
        match use_ {
            _ if stays => {}
            ScriptUse::Import | ScriptUse::DynamicImport | ScriptUse::Resolve => {
                // With a fragment it is another module.
                if url.fragment().is_none() {
                    script.strays =
                        script.strays.take().or_else(|| (!leads).then(|| asset.clone()));
                    script.imports.push(Import { text: text.clone(), asset });
                }
            }
            ScriptUse::Asset if media::is_html(&media) => {}
            ScriptUse::Asset | ScriptUse::Worker(_) => {
                if media::is_script(&media) {
                    script.apart.insert(asset.clone());
                }
                let hold = &mut self.found.hold;
                hold.misses = hold.misses.take().or_else(|| (!leads).then(|| asset.clone()));
                hold.needs.insert(asset.clone());
                script.refs.insert(asset);
            }
            ScriptUse::SourceMap => drop(script.refs.insert(asset)),
        }
    }

    fn report(&mut self, offset: usize, message: String, kind: Kind) {
        let (line, column) = position(self.bytes, offset);
        let problem = Problem::warning(self.path, message).of(kind);
        self.found.problems.push(problem.at(line, column));
    }
}
