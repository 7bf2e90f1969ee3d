//! Downloading one file piece by piece, never more of it than was announced.

use bytes::{Bytes, BytesMut};
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStreamDefaultReader, Response};

use super::{global, text_of};
use crate::chunks::CHUNK_BYTES;
use crate::protocol::EngineError;

/// A download under way.
pub(super) struct Download {
    url: String,
    reader: ReadableStreamDefaultReader,
    buffer: BytesMut,
    left: u64,
}

impl Download {
    pub(super) async fn start(url: String, bytes: u64) -> Result<Self, EngineError> {
        let refuse = |reason: String| EngineError::Download(format!("{url}: {reason}"));
        let response = JsFuture::from(global().fetch_with_str(&url))
            .await
            .map_err(|_| refuse("the server cannot be reached".to_owned()))?;
        let response: Response = response.unchecked_into();
        if !response.ok() {
            return Err(refuse(format!("the server answered {}", response.status())));
        }
        let body = response
            .body()
            .ok_or_else(|| refuse("the answer is empty".to_owned()))?;
        let reader = ReadableStreamDefaultReader::new(&body).map_err(|error| refuse(text_of(&error)))?;
        Ok(Self {
            url,
            reader,
            buffer: BytesMut::new(),
            left: bytes,
        })
    }

    /// The next piece of [`CHUNK_BYTES`] (the last may be shorter), or `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, EngineError> {
        while self.buffer.len() < CHUNK_BYTES && self.left > 0 {
            let Some(part) = self.read().await? else {
                return Err(self.refuse(format!("it ended {} bytes too early", self.left)));
            };
            let length = u64::from(part.length());
            if length > self.left {
                return Err(self.refuse("it is longer than announced".to_owned()));
            }
            self.left -= length;
            let start = self.buffer.len();
            self.buffer.resize(start + part.length() as usize, 0);
            part.copy_to(&mut self.buffer[start..]);
        }
        if self.buffer.is_empty() {
            if self.read().await?.is_some_and(|part| part.length() > 0) {
                return Err(self.refuse("it is longer than announced".to_owned()));
            }
            return Ok(None);
        }
        // A copy, so that a piece does not keep alive what the network gave beyond it.
        let piece = self.buffer.split_to(self.buffer.len().min(CHUNK_BYTES));
        Ok(Some(Bytes::copy_from_slice(&piece)))
    }

    async fn read(&self) -> Result<Option<Uint8Array>, EngineError> {
        let broken = |_: JsValue| self.refuse("the connection broke off".to_owned());
        let result = JsFuture::from(self.reader.read()).await.map_err(broken)?;
        let done = Reflect::get(&result, &JsValue::from_str("done"))
            .map_err(broken)?
            .is_truthy();
        let value = Reflect::get(&result, &JsValue::from_str("value")).map_err(broken)?;
        Ok((!done).then(|| value.unchecked_into()))
    }

    fn refuse(&self, reason: String) -> EngineError {
        EngineError::Download(format!("{}: {reason}", self.url))
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        // Stops the transfer of a file that is refused; the outcome does not matter to anyone.
        drop(self.reader.cancel());
    }
}
