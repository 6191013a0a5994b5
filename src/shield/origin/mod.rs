//! Where the shield fetches from: the bucket, and the upstreams of storefronts.

pub mod storefront;
