//! A bare axum server: answers that were read at its start, by path, with
//! `axum::serve` and nothing else. What awning loses against it is the price of
//! being a cache that bounds what clients can do.
//!
//! Usage: `awning-bare DIRECTORY`. Each `NAME.head` there is a path on its first
//! line and a header field on each other one; `NAME.body` is what is sent.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is sent, by path.
type Answers = HashMap<String, (HeaderMap, Bytes)>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).ok_or("usage: awning-bare DIRECTORY")?;
    let answers = Arc::new(read(Path::new(&directory))?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    #[expect(clippy::print_stdout, reason = "whoever started it reads the address here")]
    {
        println!("http://{}", listener.local_addr()?);
    }
    let listener = listener.tap_io(|stream| {
        // A socket that refuses is slower, not wrong.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, Router::new().fallback(answer).with_state(answers)).await?;
    Ok(())
}

/// The query is not looked at, so that every URL with another one is a miss for
/// a cache in front.
async fn answer(State(answers): State<Arc<Answers>>, uri: Uri) -> Response {
    match answers.get(uri.path()) {
        Some((headers, body)) => (headers.clone(), body.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn read(directory: &Path) -> Result<Answers, Box<dyn Error>> {
    let mut answers = Answers::new();
    for file in fs::read_dir(directory)? {
        let file = file?.path();
        if file.extension().is_none_or(|extension| extension != "head") {
            continue;
        }
        let head = fs::read_to_string(&file)?;
        let mut lines = head.lines();
        let path = lines.next().ok_or("a head names no path")?.to_owned();
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").ok_or("a field has no value")?;
            headers.append(HeaderName::try_from(name)?, HeaderValue::from_str(value)?);
        }
        answers.insert(path, (headers, fs::read(file.with_extension("body"))?.into()));
    }
    Ok(answers)
}
