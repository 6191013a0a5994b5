//! One request as S3 understands it: operation, key and class.

use percent_encoding::percent_decode_str;

use crate::wire::Head;

/// A request that reached the front.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Call {
    /// The method.
    pub method: String,
    /// The path as it was sent: bucket and key.
    pub path: String,
    /// The key, decoded; empty for a call on the bucket itself.
    pub key: String,
    /// The query as it was sent.
    pub query: String,
    /// The operation by its S3 name: `PutObject`.
    pub operation: &'static str,
    /// Header fields, names in lower case.
    pub fields: Vec<(String, String)>,
    /// The connection that it came on, by the order in which they were opened
    /// since the front began.
    pub connection: u64,
}

/// A B2 transaction class.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Class {
    /// Writing and deleting.
    A,
    /// Reading an object or what is known of it.
    B,
    /// Listing, copying, and everything about buckets.
    C,
}

impl Call {
    pub(crate) fn of(head: &Head, connection: u64) -> Self {
        let (path, query) = head.target.split_once('?').unwrap_or((&head.target, ""));
        let key = path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key);
        let mut call = Self {
            method: head.method.clone(),
            path: path.to_owned(),
            key: percent_decode_str(key).decode_utf8_lossy().into_owned(),
            query: query.to_owned(),
            operation: "",
            fields: head.fields.clone(),
            connection,
        };
        call.operation = call.named();
        call
    }

    /// The value of a header field; the name in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Whether the query has a parameter of this name.
    pub fn has_query(&self, name: &str) -> bool {
        self.query.split('&').any(|part| part.split('=').next() == Some(name))
    }

    /// The class that Backblaze puts the call in.
    pub fn class(&self) -> Class {
        Class::of(self.operation)
    }

    fn named(&self) -> &'static str {
        let has = |name| self.has_query(name);
        match (self.method.as_str(), self.key.is_empty()) {
            ("PUT", false) if has("uploadId") => "UploadPart",
            ("PUT", false) if self.field("x-amz-copy-source").is_some() => "CopyObject",
            ("PUT", false) => "PutObject",
            ("POST", false) if has("uploads") => "CreateMultipartUpload",
            ("POST", false) if has("uploadId") => "CompleteMultipartUpload",
            ("POST", true) if has("delete") => "DeleteObjects",
            ("DELETE", false) if has("uploadId") => "AbortMultipartUpload",
            ("DELETE", false) => "DeleteObject",
            ("GET", false) if has("uploadId") => "ListParts",
            ("GET", false) => "GetObject",
            ("HEAD", false) => "HeadObject",
            _ => self.named_for_bucket(),
        }
    }

    fn named_for_bucket(&self) -> &'static str {
        let has = |name| self.has_query(name);
        match self.method.as_str() {
            "GET" if self.path == "/" => "ListBuckets",
            "GET" if has("list-type") => "ListObjectsV2",
            "GET" if has("versions") => "ListObjectVersions",
            "GET" if has("uploads") => "ListMultipartUploads",
            "GET" if has("lifecycle") => "GetBucketLifecycleConfiguration",
            "GET" if has("cors") => "GetBucketCors",
            "GET" if has("versioning") => "GetBucketVersioning",
            "GET" if has("location") => "GetBucketLocation",
            "GET" => "ListObjects",
            "HEAD" => "HeadBucket",
            "PUT" => "CreateBucket",
            "DELETE" => "DeleteBucket",
            _ => "Unknown",
        }
    }
}

impl Class {
    /// The class of an S3 operation.
    pub fn of(operation: &str) -> Self {
        match operation {
            "AbortMultipartUpload"
            | "CompleteMultipartUpload"
            | "CreateMultipartUpload"
            | "DeleteObject"
            | "DeleteObjects"
            | "PutObject"
            | "UploadPart" => Class::A,
            "GetObject" | "HeadObject" => Class::B,
            _ => Class::C,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_known_by_method_path_and_query() {
        for (method, target, operation, key, class) in [
            ("PUT", "/b/a/x.css?x-id=PutObject", "PutObject", "a/x.css", Class::A),
            ("PUT", "/b/k?partNumber=1&uploadId=u", "UploadPart", "k", Class::A),
            ("POST", "/b/k?uploads", "CreateMultipartUpload", "k", Class::A),
            ("POST", "/b/k?uploadId=u", "CompleteMultipartUpload", "k", Class::A),
            ("DELETE", "/b/k?uploadId=u", "AbortMultipartUpload", "k", Class::A),
            ("DELETE", "/b/k?versionId=v", "DeleteObject", "k", Class::A),
            ("POST", "/b?delete", "DeleteObjects", "", Class::A),
            ("GET", "/b/a%20b", "GetObject", "a b", Class::B),
            ("HEAD", "/b/k", "HeadObject", "k", Class::B),
            ("GET", "/b/k?uploadId=u", "ListParts", "k", Class::C),
            ("GET", "/b/?list-type=2&prefix=p", "ListObjectsV2", "", Class::C),
            ("GET", "/b?versions", "ListObjectVersions", "", Class::C),
            ("GET", "/b?lifecycle", "GetBucketLifecycleConfiguration", "", Class::C),
            ("HEAD", "/b", "HeadBucket", "", Class::C),
            ("GET", "/", "ListBuckets", "", Class::C),
            ("BREW", "/b", "Unknown", "", Class::C),
        ] {
            let call = Call::of(&Head::request(method, target), 1);
            assert_eq!((call.operation, call.key.as_str()), (operation, key), "{method} {target}");
            assert_eq!(call.class(), class, "{operation}");
        }
    }
}
