//! What answers the requests of a listener: axum's `Router` for operators, and
//! for visitors the gate itself, because a router before it would only cost.

use std::net::IpAddr;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::shield::body::{RequestBody, ResponseBody};

/// Answers requests, each by a clone of its own.
pub trait Answering: Clone + Send + Sync + 'static {
    /// Answers a request of `peer`. It never fails: errors are responses.
    fn answer(
        self,
        request: Request<RequestBody>,
        peer: IpAddr,
    ) -> impl Future<Output = Response<ResponseBody>> + Send;
}

impl Answering for Router {
    async fn answer(self, request: Request<RequestBody>, _: IpAddr) -> Response<ResponseBody> {
        let Ok(response) = self.oneshot(request.map(Body::new)).await;
        response.map(|body| body.map_err(Into::into).boxed_unsync())
    }
}
