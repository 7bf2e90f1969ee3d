//! QR codes, for the page's invitations.

use fast_qr::convert::Builder as _;
use fast_qr::convert::svg::SvgBuilder;
use fast_qr::qr::QRBuilder;
use wasm_bindgen::prelude::*;

/// Light modules around the code.
const MARGIN: usize = 3;

/// A text as the SVG image of a QR code; nothing if it is too long for one.
#[wasm_bindgen(js_name = qrCode)]
#[must_use]
pub fn qr_code(text: &str) -> Option<String> {
    let code = QRBuilder::new(text.as_bytes()).build().ok()?;
    Some(SvgBuilder::default().margin(MARGIN).to_str(&code))
}
