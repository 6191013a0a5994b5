//! Checks of uploads in parts.

use bytes::{Bytes, BytesMut};

use super::super::{GetRequest, ObjectHeaders, PART_BYTES_MIN, Part, StoreErrorKind};
use super::{Breach, Contract, Kept, headers, holds, same};

/// Two parts: the smallest that S3 takes, and a short last one.
fn bodies() -> [Bytes; 2] {
    let first = (0..PART_BYTES_MIN).map(|at| (at % 249) as u8).collect();
    [first, Bytes::from_static(b"the end")]
}

fn joined(bodies: &[Bytes]) -> Bytes {
    let mut whole = BytesMut::new();
    bodies.iter().for_each(|body| whole.extend_from_slice(body));
    whole.freeze()
}

impl Contract<'_> {
    /// Sent out of order, one of them twice; listed, completed, read.
    pub async fn parts(self) -> Kept {
        let (key, bodies) = (self.key("parts"), bodies());
        let upload = self.store.begin_upload(&key, &headers()).await?;
        let second = self.store.put_part(&key, &upload, 2, bodies[1].clone()).await?;
        self.store.put_part(&key, &upload, 1, Bytes::from_static(b"not this")).await?;
        let first = self.store.put_part(&key, &upload, 1, bodies[0].clone()).await?;
        let parts = vec![first, second];
        same("the parts", &self.store.list_parts(&key, &upload).await?, &parts)?;
        self.fails(&key, GetRequest::default(), StoreErrorKind::NotFound).await?;

        let receipt = self.store.complete_upload(&key, &upload, &parts).await?;
        let whole = joined(&bodies);
        let head = self.store.head(&key).await?;
        self.check_head(&head, &receipt, &whole, &headers())?;
        let read = self.get(&key, GetRequest::default()).await?.collect(&key, whole.len()).await?;
        holds(read == whole, "the bytes of an object that arrived in parts are others")
    }

    /// Completing with a part that never arrived, or that is another.
    pub async fn missing_parts(self) -> Kept {
        let (key, [first, second]) = (self.key("missing-parts"), bodies());
        let upload = self.store.begin_upload(&key, &ObjectHeaders::default()).await?;
        let first = self.store.put_part(&key, &upload, 1, first).await?;
        let etag = format!("\"{}\"", "0".repeat(32));
        let never = Part { number: 2, size: second.len() as u64, etag };
        let chosen = [first.clone(), never.clone()];
        self.complete_fails(&key, &upload, &chosen, StoreErrorKind::PartMissing).await?;
        self.store.put_part(&key, &upload, 2, second).await?;
        self.complete_fails(&key, &upload, &chosen, StoreErrorKind::PartMissing).await?;
        // It is still there, and whoever knows better can go on.
        let parts = self.store.list_parts(&key, &upload).await?;
        same("the parts", &parts.len(), &2)?;
        self.store.complete_upload(&key, &upload, &parts).await?;
        Ok(())
    }

    /// Completed and aborted uploads are not found any more.
    pub async fn ended_uploads(self) -> Kept {
        let (key, body) = (self.key("ended"), Bytes::from_static(b"short"));
        let completed = self.store.begin_upload(&key, &ObjectHeaders::default()).await?;
        let part = self.store.put_part(&key, &completed, 1, body.clone()).await?;
        self.store.complete_upload(&key, &completed, std::slice::from_ref(&part)).await?;
        let aborted = self.store.begin_upload(&key, &ObjectHeaders::default()).await?;
        self.store.put_part(&key, &aborted, 1, body.clone()).await?;
        self.store.abort_upload(&key, &aborted).await?;
        for upload in [&completed, &aborted] {
            let (gone, parts) = (StoreErrorKind::NotFound, std::slice::from_ref(&part));
            self.complete_fails(&key, upload, parts, gone).await?;
            let sent = self.store.put_part(&key, upload, 1, body.clone()).await;
            same("a part", &sent.map_err(|error| error.kind()), &Err(gone))?;
            let listed = self.store.list_parts(&key, upload).await;
            same("the parts", &listed.map_err(|error| error.kind()), &Err(gone))?;
            self.store.abort_upload(&key, upload).await?;
        }
        let object = self.get(&key, GetRequest::default()).await?;
        same("the bytes", &object.collect(&key, 100).await?, &body)
    }

    /// By prefix, in the order of their keys, and behind one of them.
    pub async fn unfinished_uploads(self) -> Kept {
        let prefix = self.key("unfinished/");
        let mut names = Vec::new();
        for key in ["b", "a", "c"].map(|name| format!("{prefix}{name}")) {
            names.push(self.store.begin_upload(&key, &ObjectHeaders::default()).await?);
        }
        let other = self.key("unfinished-not");
        let another = self.store.begin_upload(&other, &ObjectHeaders::default()).await?;

        let page = self.store.list_uploads(&prefix, None).await?;
        holds(!page.more, "more uploads are announced than there are")?;
        let listed: Vec<_> = page.uploads.iter().map(|one| one.upload.clone()).collect();
        same("the uploads", &listed, &[1, 0, 2].map(|at: usize| names[at].clone()).to_vec())?;
        let keys: Vec<_> = page.uploads.iter().map(|one| one.key.clone()).collect();
        same("the keys", &keys, &["a", "b", "c"].map(|name| format!("{prefix}{name}")).to_vec())?;
        let behind = self.store.list_uploads(&prefix, page.uploads.first()).await?;
        same("the uploads behind one", &behind.uploads, &page.uploads[1..].to_vec())?;

        for one in &page.uploads {
            self.store.abort_upload(&one.key, &one.upload).await?;
        }
        self.store.abort_upload(&other, &another).await?;
        let left = self.store.list_uploads(&prefix, None).await?.uploads;
        same("the uploads that are left", &left, &Vec::new())
    }

    async fn complete_fails(
        &self,
        key: &str,
        upload: &str,
        parts: &[Part],
        kind: StoreErrorKind,
    ) -> Kept {
        match self.store.complete_upload(key, upload, parts).await {
            Err(error) => same("the kind of the failure", &error.kind(), &kind),
            Ok(_) => Err(Breach::Answer(format!("`{key}` was completed: {kind}"))),
        }
    }
}
