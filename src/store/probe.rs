//! Whether a store has conditional writes: tried out, never assumed.

use bytes::Bytes;

use super::{ObjectHeaders, ObjectWrite, PutCondition, StoreError, StoreErrorKind};

/// What is written. It does not matter, but someone may wonder.
const BODY: &[u8] = b"awning tries out here whether this store has conditional writes\n";

/// Writes `key` once or twice on the condition that it is absent, and tells
/// whether the store knows what that means.
///
/// A refusal for the condition ([`StoreErrorKind::Precondition`], 412) proves
/// it; 501 or 400 ([`StoreErrorKind::Rejected`]) says no, and so do two
/// successes: then the store ignores the condition. The key stays, and a
/// second probe of a store that has them is one call. Other failures are
/// returned: they say nothing about conditions.
pub async fn has_conditional_writes(
    store: &dyn ObjectWrite,
    key: &str,
) -> Result<bool, StoreError> {
    for _ in 0..2 {
        let headers = ObjectHeaders::default();
        let put = store.put_if(key, Bytes::from_static(BODY), &headers, PutCondition::Absent);
        match put.await {
            Ok(_) => {}
            Err(error) => match error.kind() {
                StoreErrorKind::Precondition => return Ok(true),
                StoreErrorKind::Rejected => return Ok(false),
                _ => return Err(error),
            },
        }
    }
    Ok(false)
}
