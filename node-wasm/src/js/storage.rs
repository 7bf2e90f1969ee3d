//! Files that others keep, from JavaScript.

use js_sys::Uint8Array;
use node_proto::ids::{Hash, Millicredits};
use node_proto::service::Scope;
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::convert::{error, to_js};
use super::input::{self, INVALID};
use super::{KnowledgeNode, command_error};
use crate::error::StorageError;
use crate::storage::{StoreOptions, Ticket};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Options {
    copies: Option<u32>,
    hours: Option<u32>,
    slice_hours: Option<u32>,
    price_max: Option<Millicredits>,
    scope: Option<Scope>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct From {
    from: Option<String>,
}

#[derive(Serialize)]
struct Stored {
    blob: Hash,
    ticket: String,
}

#[wasm_bindgen]
impl KnowledgeNode {
    /// Encrypts a file and has it kept by others.
    #[wasm_bindgen(skip_typescript)]
    pub async fn store(&self, file: Uint8Array, options: JsValue) -> Result<JsValue, JsValue> {
        let handle = self.handle()?;
        let options: Options = input::read(options, INVALID)?;
        let default = StoreOptions::default();
        let options = StoreOptions {
            copies: options.copies.unwrap_or(default.copies),
            hours: options.hours.unwrap_or(default.hours),
            slice_hours: options.slice_hours.unwrap_or(default.slice_hours),
            price_max: options.price_max,
            scope: options.scope.unwrap_or(default.scope),
        };
        let ticket = handle.store(&file, options).await.map_err(storage_error)?;
        to_js(&Stored {
            blob: ticket.blob,
            ticket: ticket.text(),
        })
    }

    /// Brings a file back.
    #[wasm_bindgen(skip_typescript)]
    pub async fn retrieve(&self, ticket: String, options: JsValue) -> Result<Uint8Array, JsValue> {
        let handle = self.handle()?;
        let ticket = Ticket::parse(&ticket).map_err(storage_error)?;
        let From { from } = input::read(options, INVALID)?;
        let from = from.as_deref().map(input::peer).transpose()?;
        handle.retrieve(&ticket, from).await.map_err(storage_error)
    }

    /// Files that others keep.
    #[wasm_bindgen(skip_typescript)]
    pub fn stored(&self) -> Result<JsValue, JsValue> {
        to_js(&self.handle()?.stored())
    }

    /// Asks everyone who keeps a file now.
    #[wasm_bindgen(skip_typescript)]
    pub fn prolong(&self, blob: &str) -> Result<(), JsValue> {
        let blob = name(blob)?;
        self.handle()?.prolong(blob).map_err(command_error)
    }

    /// Has a file kept no more.
    #[wasm_bindgen(skip_typescript)]
    pub fn release(&self, blob: &str) -> Result<(), JsValue> {
        let blob = name(blob)?;
        self.handle()?.release(blob).map_err(command_error)
    }
}

fn name(blob: &str) -> Result<Hash, JsValue> {
    blob.parse::<Hash>().map_err(|reason| error(INVALID, &reason))
}

fn storage_error(reason: StorageError) -> JsValue {
    error(reason.code(), &reason)
}
