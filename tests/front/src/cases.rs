//! The ways in which B2 and the network before it fail, by name.
//!
//! Numbers in brackets are those of the catalogue that the tests go through.

use std::time::Duration;

use data_encoding::{BASE64, HEXLOWER};

use crate::call::Call;
use crate::fault::{Change, Fault, Moment};
use crate::reply::Reply;

/// What B2 says when a cap is reached, behind the first words.
const CAPS: &str = "See the Caps & Alerts page to increase your cap.";

/// Makes a fault that needs nothing more to be told.
pub type Make = fn() -> Fault;

/// Every fault that has a name and needs nothing more to be told, for scripts
/// that are written as text.
pub const NAMED: &[(&str, Make)] = &[
    ("pod-busy", pod_busy),
    ("internal", internal),
    ("slow-down", || slow_down(None)),
    ("slow-down-1s", || slow_down(Some("1"))),
    ("too-many-requests", || too_many_requests(None)),
    ("bad-gateway", || edge(502)),
    ("edge-busy", || edge(503)),
    ("gateway-timeout", || edge(504)),
    ("request-timeout", || request_timeout(408)),
    ("storage-cap", storage_cap),
    ("download-cap", download_cap),
    ("transaction-cap", transaction_cap),
    ("not-implemented", not_implemented),
    ("master-key", master_key),
    ("bad-secret", bad_secret),
    ("denied", denied),
    ("not-s3-enabled", not_s3_enabled),
    ("no-such-key", no_such_key),
    ("skewed", skewed),
    ("no-such-upload", no_such_upload),
    ("invalid-part", invalid_part),
    ("error-in-200", error_in_success),
    ("lost-reply", || Fault::ReplyAfter(busy())),
    ("reset", || Fault::Reset(Moment::Head)),
    ("reset-mid-upload", || Fault::Reset(Moment::Body)),
    ("reset-after", || Fault::Reset(Moment::Effect)),
    ("close", || Fault::Close(Moment::Head)),
    ("close-mid-upload", || Fault::Close(Moment::Body)),
    ("close-behind", || Fault::Change(Change::CloseBehind)),
    ("hold", || Fault::Hold(Moment::Head)),
    ("drip", || Fault::Change(Change::Drip(Duration::from_secs(1)))),
    ("drip-body", || Fault::Change(Change::DripBody(Duration::from_secs(1)))),
    ("short", || Fault::Change(Change::CutAfter(5))),
    ("reset-body", || Fault::Change(Change::ResetAfter(5))),
    ("hold-body", || Fault::Change(Change::HoldAfter(5))),
    ("flip", || Fault::Change(Change::Flip(0))),
    ("replay", || Fault::Replay),
];

/// A storage pod has no room (1).
pub fn pod_busy() -> Fault {
    Fault::Reply(busy())
}

/// B2 failed inside (2).
pub fn internal() -> Fault {
    Fault::error(500, "InternalError", "An internal error occurred.  Please retry your upload.")
}

/// Too many calls, with this `Retry-After` (3).
pub fn slow_down(retry_after: Option<&str>) -> Fault {
    let reply = Reply::error(503, "SlowDown", "Please reduce your request rate.");
    Fault::Reply(waiting(reply, retry_after))
}

/// Too many calls, told in the way of the native API (4).
pub fn too_many_requests(retry_after: Option<&str>) -> Fault {
    let reply = Reply::json(429, "too_many_requests", "Too many requests. Please slow down.");
    Fault::Reply(waiting(reply, retry_after))
}

/// The proxy before B2 failed: 502, 503 or 504 (5).
pub fn edge(status: u16) -> Fault {
    Fault::Reply(Reply::html(status))
}

/// The body came too slowly, as 408 or as 400 (6).
pub fn request_timeout(status: u16) -> Fault {
    let message = "Your socket connection to the server was not read from or written to within \
                   the timeout period.";
    Fault::error(status, "RequestTimeout", message)
}

/// No more may be stored (7).
pub fn storage_cap() -> Fault {
    denied_because(&format!("Cannot upload files, storage cap exceeded. {CAPS}"))
}

/// No more may be read (8).
pub fn download_cap() -> Fault {
    let what = "Cannot download file, download bandwidth or transaction (Class B) cap exceeded.";
    denied_because(&format!("{what} {CAPS}"))
}

/// No more may be listed (9).
pub fn transaction_cap() -> Fault {
    denied_because("Transaction cap exceeded, see the Caps & Alerts page to increase your cap")
}

/// What is asked for is not there, such as a conditional write (10).
pub fn not_implemented() -> Fault {
    let message = "A header you provided implies functionality that is not implemented.";
    Fault::error(501, "NotImplemented", message)
}

/// A cluster that does not know checksums (11).
pub fn unsupported_header(name: &str) -> Fault {
    let message = format!("Unsupported header '{name}' received for this API call.");
    Fault::error(400, "InvalidArgument", &message)
}

/// An ACL that is not the bucket's (12).
pub fn unsupported_acl() -> Fault {
    Fault::error(400, "InvalidArgument", "Unsupported value for canned acl 'private'")
}

/// A bucket with object lock wants to be told the MD5 (13).
pub fn missing_md5() -> Fault {
    Fault::error(400, "InvalidRequest", "Missing required header for this request: Content-MD5")
}

/// The master key is no key of the S3 API (14).
pub fn master_key() -> Fault {
    Fault::error(403, "InvalidAccessKeyId", "Malformed Access Key Id")
}

/// A key that was revoked, or is of another cluster (15).
pub fn wrong_cluster(key_id: &str) -> Fault {
    Fault::error(403, "InvalidAccessKeyId", &format!("The key '{key_id}' is not valid"))
}

/// The secret is not the one of the key (16).
pub fn bad_secret() -> Fault {
    Fault::error(403, "SignatureDoesNotMatch", "Signature validation failed")
}

/// A capability is missing, or the key is outside its prefix (17).
pub fn denied() -> Fault {
    denied_because("not entitled")
}

/// A bucket from before the S3 API (18).
pub fn not_s3_enabled() -> Fault {
    denied_because("Not allowed to access bucket because it is not s3-enabled: etalage")
}

/// Nothing is under this key (19).
pub fn no_such_key() -> Fault {
    Fault::error(404, "NoSuchKey", "Key not found")
}

/// An error under a status of success (26).
pub fn error_in_success() -> Fault {
    let message = "An internal error occurred.  Please retry your upload.";
    Fault::error(200, "InternalError", message)
}

/// The upload is not known, or no longer (27).
pub fn no_such_upload() -> Fault {
    let message = "The specified multipart upload does not exist. The upload ID might be \
                   invalid, or the multipart upload might have been aborted or completed.";
    Fault::error(404, "NoSuchUpload", message)
}

/// The store says that it took what was sent, with the right ETag, and forgets
/// it: so a part gets lost (28).
pub fn forgotten(call: &Call) -> Fault {
    let md5 = call.field("content-md5").unwrap_or_default();
    let md5 = BASE64.decode(md5.as_bytes()).unwrap_or_default();
    let etag = format!("\"{}\"", HEXLOWER.encode(&md5));
    Fault::Reply(Reply::xml(200, "").field("ETag", &etag))
}

/// A part was lost (28).
pub fn invalid_part() -> Fault {
    let message = "One or more of the specified parts could not be found. The part might not \
                   have been uploaded, or the specified entity tag might not have matched the \
                   part's entity tag.";
    Fault::error(400, "InvalidPart", message)
}

/// A page of a listing (30). `next` is the token of the page that follows.
pub fn page(prefix: &str, keys: &[&str], next: Option<&str>) -> Fault {
    let entry = |key: &&str| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2026-11-25T00:00:00.000Z</LastModified>\
             <ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>1</Size>\
             <StorageClass>STANDARD</StorageClass></Contents>"
        )
    };
    let contents: String = keys.iter().map(entry).collect();
    let next_token = |token| format!("<NextContinuationToken>{token}</NextContinuationToken>");
    Fault::Reply(Reply::xml(
        200,
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<ListBucketResult \
             xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>etalage</Name>\
             <Prefix>{prefix}</Prefix><KeyCount>{}</KeyCount><MaxKeys>1000</MaxKeys>\
             <IsTruncated>{}</IsTruncated>{}{contents}</ListBucketResult>",
            keys.len(),
            next.is_some(),
            next.map(next_token).unwrap_or_default(),
        ),
    ))
}

/// The client's clock is wrong (32).
pub fn skewed() -> Fault {
    let message = "The difference between the request time and the server's time is too large.";
    Fault::error(403, "RequestTimeTooSkewed", message)
}

fn busy() -> Reply {
    Reply::error(503, "ServiceUnavailable", "no tomes available")
}

fn denied_because(message: &str) -> Fault {
    Fault::error(403, "AccessDenied", message)
}

fn waiting(reply: Reply, retry_after: Option<&str>) -> Reply {
    match retry_after {
        Some(value) => reply.field("Retry-After", value),
        None => reply,
    }
}
