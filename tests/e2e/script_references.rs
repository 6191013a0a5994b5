//! Prints the module references that awning finds in scripts, for a comparison
//! with other lexers: one JSON line a file, with offsets in bytes.
//! Usage: script_references, with the paths of the files on stdin.
#![expect(clippy::print_stdout, reason = "it is a command")]

use std::error::Error;
use std::io::{BufRead as _, stdin};
use std::thread;

use awning::rewrite::{ScriptKind, ScriptUse, script_references, script_stack_bytes};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    for path in stdin().lock().lines() {
        let path = path?;
        let source = std::fs::read(&path)?;
        let read = || read(&path, &source);
        let line = thread::scope(|scope| {
            let thread = thread::Builder::new().stack_size(script_stack_bytes(&source));
            thread.spawn_scoped(scope, read).map(|thread| thread.join())
        })?;
        println!("{}", line.map_err(|_| "a reader panicked")?);
    }
    Ok(())
}

fn read(path: &str, source: &[u8]) -> Value {
    let kind = if path.ends_with(".mjs") { ScriptKind::Module } else { ScriptKind::Unknown };
    match script_references(source, kind) {
        Ok(references) => {
            let imports = references.iter().filter_map(|reference| {
                let kind = match reference.use_ {
                    ScriptUse::Import => "static",
                    ScriptUse::DynamicImport => "dynamic",
                    _ => return None,
                };
                let (start, end) = (reference.span.start, reference.span.end);
                Some(json!([kind, start, end, reference.text]))
            });
            json!({ "path": path, "imports": imports.collect::<Vec<_>>() })
        }
        Err(fault) => json!({ "path": path, "fault": fault.to_string(), "offset": fault.offset }),
    }
}
