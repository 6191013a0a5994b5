//! S3 stores; the only place that names the AWS SDK.
