//! Reading one file from a URL of the page, piece by piece.

use bytes::Bytes;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::Response;

use super::global;
use crate::pieces::Pieces;
use crate::protocol::EngineError;

/// A file that is being read.
pub(super) struct Download {
    url: String,
    pieces: Pieces,
}

impl Download {
    pub(super) async fn start(url: String, bytes: u64) -> Result<Self, EngineError> {
        let response = JsFuture::from(global().fetch_with_str(&url)).await;
        let response = response.map_err(|_| refuse(&url, "it cannot be reached"))?;
        let response: Response = response.unchecked_into();
        let pieces = Pieces::of(&response, 0, bytes).map_err(|reason| refuse(&url, &reason))?;
        Ok(Self { url, pieces })
    }

    /// The next piece, or `None` at the end, which is where it was announced.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, EngineError> {
        let Self { url, pieces } = self;
        let refuse = |reason: String| refuse(url, &reason);
        let piece = pieces.next().await.map_err(refuse)?;
        if piece.is_none() && pieces.goes_on().await.map_err(refuse)? {
            return Err(refuse("it is longer than announced".to_owned()));
        }
        Ok(piece.map(Bytes::from))
    }
}

fn refuse(url: &str, reason: &str) -> EngineError {
    EngineError::Download(format!("{url}: {reason}"))
}
