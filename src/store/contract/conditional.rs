//! Checks of conditional writes, for stores that have them. One that has none,
//! or that ignores them, passes: the probe has to find out, and does.

use bytes::Bytes;

use super::super::{
    ObjectHeaders, PutCondition, PutReceipt, StoreError, StoreErrorKind, has_conditional_writes,
};
use super::{Contract, Kept, same};

impl Contract<'_> {
    /// Absent and present objects, and validators that are and are not the current one.
    pub async fn conditional_writes(self) -> Kept {
        let probe = self.key("probe");
        let known = has_conditional_writes(self.store, &probe).await?;
        same("the second probe", &has_conditional_writes(self.store, &probe).await?, &known)?;
        if !known {
            return Ok(());
        }
        let (key, failed) = (self.key("conditional"), Err(StoreErrorKind::Precondition));
        let other = PutCondition::Unchanged(format!("\"{}\"", "0".repeat(32)));
        same("a write over nothing", &kind(self.put(&key, "0", other.clone()).await), &failed)?;
        let first = self.put(&key, "1", PutCondition::Absent).await?.etag.unwrap_or_default();
        let again = self.put(&key, "2", PutCondition::Absent).await;
        same("a write over an object", &kind(again), &failed)?;
        same("a write over another", &kind(self.put(&key, "3", other).await), &failed)?;
        self.put(&key, "4", PutCondition::Unchanged(first.clone())).await?;
        let late = self.put(&key, "5", PutCondition::Unchanged(first)).await;
        same("a write over the one before", &kind(late), &failed)?;
        same("the bytes", &self.read(&key).await?, &Bytes::from_static(b"4"))
    }

    async fn put(
        &self,
        key: &str,
        body: &'static str,
        condition: PutCondition,
    ) -> Result<PutReceipt, StoreError> {
        self.store.put_if(key, body.into(), &ObjectHeaders::default(), condition).await
    }
}

fn kind(outcome: Result<PutReceipt, StoreError>) -> Result<(), StoreErrorKind> {
    outcome.map(|_| ()).map_err(|error| error.kind())
}
