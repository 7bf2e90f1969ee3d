//! The body of an answer, piece by piece, never more of it than was announced.

use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStreamDefaultReader, Response};

use crate::shelf::CHUNK_BYTES;

/// A body that is being read.
pub struct Pieces {
    reader: ReadableStreamDefaultReader,
    buffer: Vec<u8>,
    /// Bytes before those that are wanted.
    skip: u64,
    left: u64,
}

impl Pieces {
    /// So many bytes of an answer, after skipping some.
    ///
    /// # Errors
    /// If the server refused, or the answer has no body. All errors of this type are for people.
    pub fn of(response: &Response, skip: u64, bytes: u64) -> Result<Self, String> {
        let body = response.body().ok_or("the answer is empty")?;
        if !response.ok() {
            // Else it counts as under way until it is forgotten.
            drop(body.cancel());
            return Err(format!("the server answered {}", response.status()));
        }
        let reader = ReadableStreamDefaultReader::new(&body).map_err(|_| "the answer cannot be read")?;
        let buffer = Vec::new();
        let left = bytes;
        Ok(Self {
            reader,
            buffer,
            skip,
            left,
        })
    }

    /// The next piece of [`CHUNK_BYTES`] (the last may be shorter), or `None` at the end of what was wanted.
    ///
    /// # Errors
    /// If the connection breaks off or the answer ends too early.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        let wanted = CHUNK_BYTES.min(usize::try_from(self.left).unwrap_or(CHUNK_BYTES));
        if wanted == 0 {
            return Ok(None);
        }
        while self.buffer.len() < wanted {
            let Some(part) = self.read().await? else {
                let missing = self.left - self.buffer.len() as u64;
                return Err(format!("it ended {missing} bytes too early"));
            };
            // A part of a stream is shorter than 4 GB.
            let skipped = u32::try_from(self.skip).unwrap_or(u32::MAX).min(part.length());
            self.skip -= u64::from(skipped);
            let part = part.subarray(skipped, part.length());
            let start = self.buffer.len();
            self.buffer.resize(start + part.length() as usize, 0);
            part.copy_to(&mut self.buffer[start..]);
        }
        let rest = self.buffer.split_off(wanted);
        self.left -= wanted as u64;
        Ok(Some(std::mem::replace(&mut self.buffer, rest)))
    }

    /// Whether there is more than was wanted. Only after the last piece.
    ///
    /// # Errors
    /// As of [`next`](Self::next).
    pub async fn goes_on(&mut self) -> Result<bool, String> {
        Ok(!self.buffer.is_empty() || self.read().await?.is_some_and(|part| part.length() > 0))
    }

    async fn read(&self) -> Result<Option<Uint8Array>, String> {
        let broken = |_: JsValue| "the connection broke off".to_owned();
        let result = JsFuture::from(self.reader.read()).await.map_err(broken)?;
        let done = Reflect::get(&result, &JsValue::from_str("done")).map_err(broken)?;
        let value = Reflect::get(&result, &JsValue::from_str("value")).map_err(broken)?;
        Ok((!done.is_truthy()).then(|| value.unchecked_into()))
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        // Stops the transfer of what is not wanted any more; the outcome does not matter to anyone.
        drop(self.reader.cancel());
    }
}
