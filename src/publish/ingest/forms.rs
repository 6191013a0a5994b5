//! The manifests of build tools, as JSON. Pure.
//!
//! Which tool wrote one is told by its shape, because half of them are called
//! `manifest.json`. A form that is not known says nothing.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What a manifest says, in its own words.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Written {
    /// Files that the build made.
    pub(super) outputs: Vec<Output>,
    /// The chunks of Vite and the entrypoints of webpack, by key.
    pub(super) chunks: BTreeMap<String, ViteChunk>,
}

/// A file that a build made.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Output {
    /// What templates call it.
    pub(super) logical: Option<String>,
    /// Its name, as the manifest writes it: below the manifest, or a URL.
    pub(super) file: String,
}

/// A chunk with the names of files as Vite writes them.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct ViteChunk {
    pub(super) assets: Vec<String>,
    pub(super) css: Vec<String>,
    pub(super) dynamic_imports: Vec<String>,
    pub(super) file: String,
    pub(super) imports: Vec<String>,
    pub(super) is_dynamic_entry: bool,
    pub(super) is_entry: bool,
    pub(super) name: Option<String>,
    /// Files of chunks that it imports, where the tool knows no keys.
    pub(super) scripts: Vec<String>,
    pub(super) src: Option<String>,
}

/// Reads a manifest; `None` when it is no JSON object.
pub(super) fn read(bytes: &[u8]) -> Option<Written> {
    let Ok(Value::Object(manifest)) = serde_json::from_slice(bytes) else { return None };
    let mut written = Written::default();
    let object = |name: &str| manifest.get(name).and_then(Value::as_object);
    if let (Some(paths), Some(_)) = (object("paths"), manifest.get("version")) {
        // Django's staticfiles.json
        written.pairs(paths);
    } else if let (Some(files), Some(assets)) = (object("files"), object("assets")) {
        // Sprockets, which keeps older generations among its files
        written.pairs(assets);
        let file = |name: &String| Output { logical: None, file: name.clone() };
        written.outputs.extend(files.keys().map(file));
    } else {
        manifest.iter().for_each(|(name, value)| written.member(name, value));
    }
    Some(written)
}

impl Written {
    fn pairs(&mut self, pairs: &Map<String, Value>) {
        for (logical, file) in pairs {
            self.output(Some(logical), file);
        }
    }

    fn member(&mut self, name: &str, value: &Value) {
        let Value::Object(fields) = value else { return self.output(Some(name), value) };
        if fields.get("file").is_some_and(Value::is_string) {
            self.chunk(name, fields);
        } else if let Some(file) = fields.get("digested_path").or_else(|| fields.get("src")) {
            // Propshaft; webpack-assets-manifest with integrity
            self.output(Some(name), file);
        } else if name == "entrypoints" {
            fields.iter().for_each(|(name, entrypoint)| self.entrypoint(name, entrypoint));
        }
    }

    /// Encore's `{"js": [], "css": []}`, or webpack's `{"assets": {"js": [], "css": []},
    /// "preload": {"js": []}}`. The last script is the entry's own; those before
    /// it are what it needs.
    fn entrypoint(&mut self, name: &str, entrypoint: &Value) {
        let lists = entrypoint.get("assets").unwrap_or(entrypoint);
        let list = |lists: &Value, kind: &str| texts(lists.get(kind));
        let (mut scripts, css) = (list(lists, "js"), list(lists, "css"));
        let preload = entrypoint.get("preload").and_then(Value::as_object);
        let assets: Vec<String> =
            preload.into_iter().flat_map(Map::values).flat_map(|list| texts(Some(list))).collect();
        for file in scripts.iter().chain(&css).chain(&assets) {
            self.outputs.push(Output { logical: None, file: file.clone() });
        }
        let Some(file) = scripts.pop() else { return };
        let (called, is_entry) = (Some(name.to_owned()), true);
        let chunk = ViteChunk {
            assets,
            css,
            file,
            is_entry,
            name: called,
            scripts,
            ..ViteChunk::default()
        };
        self.chunks.insert(name.to_owned(), chunk);
    }

    fn chunk(&mut self, key: &str, fields: &Map<String, Value>) {
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        let list = |name: &str| texts(fields.get(name));
        let flag = |name: &str| fields.get(name).and_then(Value::as_bool).unwrap_or_default();
        let chunk = ViteChunk {
            assets: list("assets"),
            css: list("css"),
            dynamic_imports: list("dynamicImports"),
            file: text("file").unwrap_or_default(),
            imports: list("imports"),
            is_dynamic_entry: flag("isDynamicEntry"),
            is_entry: flag("isEntry"),
            name: text("name"),
            scripts: Vec::new(),
            src: text("src"),
        };
        let loaded = chunk.css.iter().chain(&chunk.assets);
        let loaded = loaded.map(|file| Output { logical: None, file: file.clone() });
        self.outputs.extend(loaded);
        self.outputs.push(Output { logical: Some(key.to_owned()), file: chunk.file.clone() });
        self.chunks.insert(key.to_owned(), chunk);
    }

    fn output(&mut self, logical: Option<&str>, file: &Value) {
        if let Some(file) = file.as_str() {
            let (logical, file) = (logical.map(str::to_owned), file.to_owned());
            self.outputs.push(Output { logical, file });
        }
    }
}

/// The strings of a list; none where it is no list.
fn texts(list: Option<&Value>) -> Vec<String> {
    let values = list.and_then(Value::as_array).into_iter().flatten();
    values.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `logical>file` of every output.
    fn outputs(text: &str) -> Vec<String> {
        let written = read(text.as_bytes()).unwrap();
        let show = |output: &Output| {
            format!("{}>{}", output.logical.as_deref().unwrap_or_default(), output.file)
        };
        written.outputs.iter().map(show).collect()
    }

    #[test]
    fn every_tools_manifest_tells_its_outputs() {
        let table: &[(&str, &[&str])] = &[
            (
                r#"{"paths":{"a.css":"a.9a9f5f18de69.css"},"version":"1.1","hash":"3d3d623243b5"}"#,
                &["a.css>a.9a9f5f18de69.css"],
            ),
            (
                r#"{"application.css":{"digested_path":"application-6d58c9e6.css","integrity":null},"b.js":"b-1234567.js"}"#,
                &["application.css>application-6d58c9e6.css", "b.js>b-1234567.js"],
            ),
            (
                r#"{"files":{"app-aaaaaaa1.js":{"logical_path":"app.js"},"app-bbbbbbb2.js":{}},"assets":{"app.js":"app-bbbbbbb2.js"}}"#,
                &["app.js>app-bbbbbbb2.js", ">app-aaaaaaa1.js", ">app-bbbbbbb2.js"],
            ),
            (
                r#"{"main.js":"main-9c68a1b2.js","x.js":{"src":"x-9c68a1b2.js","integrity":"sha256-x"},"entrypoints":{"main":{"assets":{"js":["main-9c68a1b2.js"]}}}}"#,
                &[">main-9c68a1b2.js", "main.js>main-9c68a1b2.js", "x.js>x-9c68a1b2.js"],
            ),
            (
                r#"{"entrypoints":{"app":{"js":["/build/app.9c68a1b2.js"],"css":[]}},"integrity":{"/build/app.9c68a1b2.js":"sha384-x"}}"#,
                &[">/build/app.9c68a1b2.js"],
            ),
            (r#"{"/js/app.js":"/js/app.js?id=0441ad4f"}"#, &["/js/app.js>/js/app.js?id=0441ad4f"]),
            (r#"{"name":"Shop","icons":[{"src":"a.png"}]}"#, &["name>Shop"]),
            ("{}", &[]),
        ];
        for (text, expected) in table {
            assert_eq!(outputs(text), *expected, "{text}");
        }
        for text in ["", "[]", "null", "{"] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_vite_chunk_is_read_whole() {
        let text = r#"{"src/main.ts":{"file":"assets/main-BsQK3x9d.js","name":"main","src":"src/main.ts","isEntry":true,
            "imports":["_shared-B7PI925R.js"],"dynamicImports":["src/late.ts"],"css":["assets/main-B82i24dw.css"],"assets":["assets/a-DiwrgTda.svg"]}}"#;
        let written = read(text.as_bytes()).unwrap();
        let expected = ViteChunk {
            assets: vec!["assets/a-DiwrgTda.svg".into()],
            css: vec!["assets/main-B82i24dw.css".into()],
            dynamic_imports: vec!["src/late.ts".into()],
            file: "assets/main-BsQK3x9d.js".into(),
            imports: vec!["_shared-B7PI925R.js".into()],
            is_dynamic_entry: false,
            is_entry: true,
            name: Some("main".into()),
            scripts: Vec::new(),
            src: Some("src/main.ts".into()),
        };
        assert_eq!(written.chunks["src/main.ts"], expected);
        assert_eq!(written.outputs.len(), 3);
    }

    #[test]
    fn an_entrypoint_is_a_chunk_of_its_last_script() {
        let text = r#"{"entrypoints":{"app":{"assets":{"js":["runtime.0a1b2c3d.js","app.9c68a1b2.js"],"css":["app.1a1b2c3d.css"]},
            "preload":{"js":["late.2a1b2c3d.js"]}},"style":{"css":["a.css"]}}}"#;
        let written = read(text.as_bytes()).unwrap();
        let expected = ViteChunk {
            assets: vec!["late.2a1b2c3d.js".into()],
            css: vec!["app.1a1b2c3d.css".into()],
            file: "app.9c68a1b2.js".into(),
            is_entry: true,
            name: Some("app".into()),
            scripts: vec!["runtime.0a1b2c3d.js".into()],
            ..ViteChunk::default()
        };
        assert_eq!(written.chunks, BTreeMap::from([("app".to_owned(), expected)]));
        assert_eq!(written.outputs.len(), 5);
    }
}
