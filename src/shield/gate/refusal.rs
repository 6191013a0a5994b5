//! Why the gate refuses a request, and the answer that says so.
//!
//! Answers never repeat what the client sent.

use http::header::CONNECTION;
use http::{HeaderValue, Response, StatusCode, Version};

use crate::semantics::cache_status::CacheStatus;
use crate::shield::body::ResponseBody;
use crate::shield::respond::neutral;

/// Why a request was refused before any site saw it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// No `Host` field (RFC 9112 §3.2), not even in HTTP/1.0.
    HostMissing,
    /// More than one `Host` field.
    HostRepeated,
    /// A `Host`, or a trusted `X-Forwarded-Host`, that is not a host and port.
    HostMalformed,
    /// A target in absolute form, or `:authority`, that names another host than `Host`.
    HostDiffers,
    /// A target in authority or asterisk form, or with another scheme than HTTP.
    TargetForm,
    /// A path that begins with two slashes, which browsers read as a host.
    PathOfHost,
    /// A path or query with bytes that no correct client sends raw.
    TargetMalformed,
    /// A path to an asset that encodes a slash, a backslash or NUL.
    PathEncoded,
    /// `Connection` names a field that must reach the origin.
    ConnectionOption,
    /// A transfer coding other than exactly one `chunked`.
    TransferEncoding,
    /// More than one statement of the body's length.
    BodyLength,
    /// A body where none is accepted.
    BodyUnwelcome,
    /// An expectation other than `100-continue` (RFC 9110 §10.1.1).
    Expectation,
    /// More header fields, or a longer head, than the limits allow.
    HeadTooLarge,
    /// A method that no site may ever see.
    MethodForbidden,
    /// A method that is not written in capitals, or is too long.
    MethodUnknown,
    /// A head whose lines, names or values break the grammar (RFC 9112 §2.2 and §5).
    HeadMalformed,
    /// Another version than HTTP/1.0, 1.1 and 2.
    Version,
    /// `Host` names another host than the TLS handshake did (RFC 9110 §15.5.20).
    NameDiffers,
    /// The request went through this shield before (RFC 8586).
    Loop,
}

impl Refusal {
    /// The status of the answer.
    pub fn status(self) -> StatusCode {
        match self {
            Refusal::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Refusal::MethodForbidden => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::MethodUnknown => StatusCode::NOT_IMPLEMENTED,
            Refusal::Expectation => StatusCode::EXPECTATION_FAILED,
            Refusal::Loop => StatusCode::LOOP_DETECTED,
            Refusal::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Refusal::NameDiffers => StatusCode::MISDIRECTED_REQUEST,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The word for it in metrics and in `Cache-Status`.
    pub fn reason(self) -> &'static str {
        match self {
            Refusal::HostMissing => "host-missing",
            Refusal::HostRepeated => "host-repeated",
            Refusal::HostMalformed => "host-malformed",
            Refusal::HostDiffers => "host-differs",
            Refusal::TargetForm => "target-form",
            Refusal::PathOfHost => "path-of-host",
            Refusal::TargetMalformed => "target-malformed",
            Refusal::PathEncoded => "path-encoded",
            Refusal::ConnectionOption => "connection-option",
            Refusal::TransferEncoding => "transfer-encoding",
            Refusal::BodyLength => "body-length",
            Refusal::BodyUnwelcome => "body-unwelcome",
            Refusal::Expectation => "expectation",
            Refusal::HeadTooLarge => "head-too-large",
            Refusal::MethodForbidden => "method-forbidden",
            Refusal::MethodUnknown => "method-unknown",
            Refusal::Loop => "loop",
            Refusal::HeadMalformed => "head-malformed",
            Refusal::Version => "version",
            Refusal::NameDiffers => "name-differs",
        }
    }

    /// Whether what follows on the connection can no longer be trusted to be
    /// the next request.
    fn leaves_framing_in_doubt(self) -> bool {
        !matches!(
            self,
            Refusal::MethodForbidden
                | Refusal::MethodUnknown
                | Refusal::Loop
                | Refusal::NameDiffers
        )
    }

    /// The answer. `version` is the request's: HTTP/2 knows no `Connection`.
    pub fn response(self, version: Version) -> Response<ResponseBody> {
        let mut response = neutral(self.status(), &CacheStatus::generated(self.reason()));
        if self.leaves_framing_in_doubt() && version < Version::HTTP_2 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
