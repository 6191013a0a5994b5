//! HEAD at the edge: the fields of GET, the length among them, and no body.

use awning::shield::GatedRequest;
use awning::shield::body::{RequestBody, full};
use awning::shield::config::Serve;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::harness::edge::{Edge, config, edge};
use crate::harness::wire::Wire;

async fn greeting() -> Edge {
    edge(config(Serve::Assets), |_: GatedRequest, _: RequestBody| async {
        Response::new(full("hello"))
    })
    .await
}

#[tokio::test]
async fn nothing_stands_between_an_answer_to_head_and_the_next_one() {
    let edge = greeting().await;
    let mut wire = Wire::connect(edge.public).await;
    wire.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let head = wire.answer("HEAD").await;
    assert_eq!((head.status, head.field("content-length")), (200, Some("5")));
    let get = wire.answer("GET").await;
    assert_eq!((get.status, get.text()), (200, "hello"));
}

#[tokio::test]
async fn the_answer_to_head_has_no_body_over_http2_either() {
    let edge = greeting().await;
    let io = TokioIo::new(TcpStream::connect(edge.public).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let request = Request::head("http://a/").body(Empty::<Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.headers()["content-length"], "5");
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
}
