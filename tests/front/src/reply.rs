//! Replies in the exact bytes of Backblaze B2.

use std::fmt::Write as _;

use crate::random::mixed;

/// What B2 puts into every reply of its own, besides the two ids.
const DRESS: [(&str, &str); 3] = [
    ("Cache-Control", "max-age=0, no-cache, no-store"),
    ("Strict-Transport-Security", "max-age=63072000"),
    ("Keep-Alive", "timeout=5"),
];

/// A reply that the front sends in place of the bucket's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    status: u16,
    reason: String,
    media_type: &'static str,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    /// Whether it comes from B2 itself, and not from a proxy before it.
    dressed: bool,
}

impl Reply {
    /// An error of the S3 API. `message` is written as people read it: `&` is
    /// escaped here.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let message = message.replace('&', "&amp;").replace('<', "&lt;");
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<Error>\n    \
             <Code>{code}</Code>\n    <Message>{message}</Message>\n</Error>\n"
        );
        Self::xml(status, body)
    }

    /// An XML document of the S3 API.
    pub fn xml(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::of_store(status, "application/xml", body.into())
    }

    /// An error in the form of B2's native API.
    pub fn json(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "code": code, "message": message, "status": status });
        Self::of_store(status, "application/json;charset=utf-8", body.to_string().into_bytes())
    }

    /// An error of the proxy before B2, which knows nothing of S3.
    pub fn html(status: u16) -> Self {
        let title = format!("{status} {}", reason(status));
        let body = format!(
            "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1>\
             </center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
        );
        Self { dressed: false, ..Self::of_store(status, "text/html", body.into_bytes()) }
    }

    /// With another reason phrase; B2 also sends none at all.
    pub fn reason(mut self, reason: &str) -> Self {
        reason.clone_into(&mut self.reason);
        self
    }

    /// With a header field.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The bytes on the wire, as the reply to the call of this number.
    pub fn to_bytes(&self, method: &str, number: u64) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\nServer: nginx\r\n", self.status, self.reason);
        let mut add = |name: &str, value: &str| {
            let _ = write!(head, "{name}: {value}\r\n");
        };
        add("Content-Type", self.media_type);
        add("Content-Length", &self.body.len().to_string());
        add("Connection", "keep-alive");
        if self.dressed {
            add("x-amz-request-id", &format!("{:016x}", mixed(&[b"id"], number)));
            add("x-amz-id-2", &second_id(number));
            DRESS.iter().for_each(|(name, value)| add(name, value));
        }
        self.fields.iter().for_each(|(name, value)| add(name, value));
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if method != "HEAD" {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }

    fn of_store(status: u16, media_type: &'static str, body: Vec<u8>) -> Self {
        let reason = reason(status).to_owned();
        Self { status, reason, media_type, fields: Vec::new(), body, dressed: true }
    }
}

/// 24 characters that look like base64, as B2's second id does.
fn second_id(number: u64) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |at: u64| {
        let index = (mixed(&[b"id-2", &at.to_le_bytes()], number) % 64) as usize;
        char::from(ALPHABET[index])
    };
    (0..24).map(letter).collect()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        412 => "Precondition Failed",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_length_that_b2_announced() {
        // A client logged this very error of the real service as 200 bytes long.
        let message = "Unsupported header 'x-amz-checksum-sha256' received for this API call.";
        let reply = Reply::error(400, "InvalidArgument", message);
        assert_eq!(reply.body().len(), 200);
        let text = String::from_utf8(reply.reason("").to_bytes("GET", 1)).unwrap();
        let head = text.split("\r\n\r\n").next().unwrap();
        assert!(head.starts_with("HTTP/1.1 400 \r\nServer: nginx\r\n"), "{head}");
        for line in [
            "Content-Length: 200",
            "Cache-Control: max-age=0, no-cache, no-store",
            "Content-Type: application/xml",
            "Strict-Transport-Security: max-age=63072000",
            "Keep-Alive: timeout=5",
            "Connection: keep-alive",
        ] {
            assert!(head.lines().any(|found| found == line), "{line} in {head}");
        }
    }

    #[test]
    fn a_head_request_gets_no_body_and_its_length_all_the_same() {
        let reply = Reply::error(503, "SlowDown", "slower & slower");
        let text = String::from_utf8(reply.to_bytes("HEAD", 1)).unwrap();
        assert!(text.ends_with("\r\n\r\n"), "{text}");
        assert!(text.contains(&format!("Content-Length: {}\r\n", reply.body().len())), "{text}");
        assert!(String::from_utf8_lossy(reply.body()).contains("slower &amp; slower"));
    }

    #[test]
    fn the_proxy_before_b2_speaks_html_and_knows_no_ids() {
        let text = String::from_utf8(Reply::html(502).to_bytes("GET", 1)).unwrap();
        assert!(text.contains("<center><h1>502 Bad Gateway</h1></center>"), "{text}");
        assert!(!text.contains("x-amz"), "{text}");
    }
}
