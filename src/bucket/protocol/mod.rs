//! S3 over the directory: which operations there are, and who may call them.
//!
//! The `s3s` core parses, verifies signatures (header and presigned) and
//! writes XML. Refuses, as B2 does: requests without a SigV4 signature,
//! conditional writes, ACLs other than `private`, and tags.

mod access;
mod condition;
mod listing;
mod multipart;
mod objects;
mod receive;
mod vocabulary;

use std::fmt;
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::dto::*;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{HttpRequest, HttpResponse, S3, S3Request, S3Response, S3Result};

use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

use super::Credentials;
use super::calls::Counter;
use super::directory::Directory;
pub(super) use access::Counted;
use access::{Access, Keys, has_wrong_region};

/// Most bytes of a request in XML: a thousand keys to delete, and some air.
const XML_BYTES_MAX: usize = 4 * 1024 * 1024;
const FORM_BYTES_MAX: usize = 64 * 1024;

/// Clients print it with errors; there is no log that it would lead to.
const REQUEST_ID: HeaderValue = HeaderValue::from_static("0000000000000000");

/// Tells a client which region to sign for. The core would refuse it in a way
/// that no client can mend. Text and elements are those of Amazon S3.
const WRONG_REGION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
    <Error><Code>AuthorizationHeaderMalformed</Code>\
    <Message>The authorization header is malformed; the region is wrong; \
    expecting 'us-east-1'</Message><Region>us-east-1</Region></Error>";

/// Answers S3 requests.
#[derive(Clone)]
pub(super) struct Protocol {
    core: S3Service,
}

/// The operations, as the core calls them.
struct Operations {
    directory: Arc<Directory>,
}

type Answer<T> = S3Result<S3Response<T>>;

impl Protocol {
    pub(super) fn new(
        directory: Arc<Directory>,
        credentials: Credentials,
        calls: Arc<Counter>,
    ) -> Self {
        let mut config = S3Config::default();
        config.xml_max_body_size = XML_BYTES_MAX;
        // B2 has no uploads by form; the core would read them into memory.
        config.post_object_max_file_size = 0;
        config.form_max_fields_size = FORM_BYTES_MAX;
        let mut builder = S3ServiceBuilder::new(Operations { directory });
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        builder.set_auth(Keys(credentials));
        builder.set_access(Access(calls));
        Self { core: builder.build() }
    }

    pub(super) async fn answer(&self, request: HttpRequest) -> HttpResponse {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        if has_wrong_region(request.headers()) {
            tracing::debug!(%method, path, "a request to the bucket is signed for no region");
            return wrong_region();
        }
        // The core logs every refusal as an error, with the whole answer.
        let answer = self.core.call(request).with_subscriber(NoSubscriber::new());
        let mut response = answer.await.unwrap_or_else(|_| {
            let mut response = Response::new(s3s::Body::empty());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        });
        let status = response.status().as_u16();
        if status == 500 {
            tracing::error!(%method, path, "the bucket failed to answer");
        } else {
            tracing::debug!(%method, path, status, "the bucket answered");
        }
        response.headers_mut().entry("x-amz-request-id").or_insert(REQUEST_ID);
        response
    }
}

fn wrong_region() -> HttpResponse {
    let mut response = Response::new(s3s::Body::from(WRONG_REGION.to_owned()));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    headers.insert("x-amz-request-id", REQUEST_ID);
    response
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Protocol").finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl S3 for Operations {
    async fn get_object(&self, req: S3Request<GetObjectInput>) -> Answer<GetObjectOutput> {
        objects::get(&self.directory, req.input).await
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> Answer<HeadObjectOutput> {
        objects::head(&self.directory, req.input).await
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
        objects::put(&self.directory, req).await
    }

    async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> Answer<CopyObjectOutput> {
        objects::copy(&self.directory, req).await
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> Answer<DeleteObjectOutput> {
        objects::delete(&self.directory, req.input).await
    }

    async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> Answer<DeleteObjectsOutput> {
        objects::delete_many(&self.directory, req.input).await
    }

    async fn list_objects(&self, req: S3Request<ListObjectsInput>) -> Answer<ListObjectsOutput> {
        listing::objects(&self.directory, req.input)
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> Answer<ListObjectsV2Output> {
        listing::objects_v2(&self.directory, req.input)
    }

    async fn list_object_versions(
        &self,
        req: S3Request<ListObjectVersionsInput>,
    ) -> Answer<ListObjectVersionsOutput> {
        listing::versions(&self.directory, req.input)
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> Answer<ListBucketsOutput> {
        Ok(listing::buckets(&self.directory))
    }

    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> Answer<CreateBucketOutput> {
        listing::create_bucket(&self.directory, req.input).await
    }

    /// Every bucket is there: names come into being when they are first used.
    async fn head_bucket(&self, _: S3Request<HeadBucketInput>) -> Answer<HeadBucketOutput> {
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn get_bucket_location(
        &self,
        req: S3Request<GetBucketLocationInput>,
    ) -> Answer<GetBucketLocationOutput> {
        Ok(S3Response::new(listing::location(req.region)))
    }

    async fn get_bucket_versioning(
        &self,
        _: S3Request<GetBucketVersioningInput>,
    ) -> Answer<GetBucketVersioningOutput> {
        let status = BucketVersioningStatus::from_static(BucketVersioningStatus::ENABLED);
        let output = GetBucketVersioningOutput { status: Some(status), mfa_delete: None };
        Ok(S3Response::new(output))
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> Answer<CreateMultipartUploadOutput> {
        multipart::create(&self.directory, req).await
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> Answer<UploadPartOutput> {
        multipart::upload_part(&self.directory, req).await
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> Answer<CompleteMultipartUploadOutput> {
        multipart::complete(&self.directory, req).await
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> Answer<AbortMultipartUploadOutput> {
        multipart::abort(&self.directory, req.input).await
    }

    async fn list_parts(&self, req: S3Request<ListPartsInput>) -> Answer<ListPartsOutput> {
        multipart::list_parts(&self.directory, req.input)
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> Answer<ListMultipartUploadsOutput> {
        multipart::list_uploads(&self.directory, req.input)
    }
}
