//! Replies to reads as they went by, to be told again when they are out of date.

use std::collections::HashMap;

/// Largest reply that is kept, in bytes.
pub(crate) const REPLY_BYTES_MAX: usize = 1 << 20;

/// Most bytes that are kept. Beyond that nothing new is.
const BYTES_MAX: usize = 64 << 20;

/// The last reply to a read of each path.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    replies: HashMap<String, Vec<u8>>,
    bytes: usize,
}

impl Memory {
    pub(crate) fn keep(&mut self, path: &str, reply: Vec<u8>) {
        let freed = self.replies.get(path).map_or(0, Vec::len);
        let bytes = self.bytes - freed + reply.len();
        if bytes <= BYTES_MAX {
            self.bytes = bytes;
            self.replies.insert(path.to_owned(), reply);
        }
    }

    pub(crate) fn recall(&self, path: &str) -> Option<Vec<u8>> {
        self.replies.get(path).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded() {
        let mut memory = Memory::default();
        for number in 0..100 {
            memory.keep(&number.to_string(), vec![0; REPLY_BYTES_MAX]);
        }
        assert_eq!(memory.replies.len(), 64);
        memory.keep("0", b"newer".to_vec());
        assert_eq!(memory.recall("0").unwrap(), b"newer");
        assert_eq!(memory.recall("99"), None);
    }
}
