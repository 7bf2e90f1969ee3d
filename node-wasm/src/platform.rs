//! The browser's small services, each behind a function that says what may be missing.

use js_sys::{Array, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Response, Window};

use crate::error::StartError;

/// The page. A node runs on a page's main thread: workers have no WebRTC.
pub(crate) fn window() -> Result<Window, StartError> {
    web_sys::window()
        .ok_or_else(|| StartError::Unsupported("it must be started by a page, not by a worker".to_owned()))
}

/// Random bytes from the browser.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], StartError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|_| StartError::Unsupported("it gives no random numbers".to_owned()))?;
    Ok(bytes)
}

/// A random number for spreading retries; a browser without randomness gets no spread.
pub(crate) fn dice() -> u32 {
    random().map(u32::from_le_bytes).unwrap_or_default()
}

/// Milliseconds since the page's time origin.
pub(crate) fn monotone_ms() -> f64 {
    web_sys::window()
        .and_then(|window| window.performance())
        .map_or_else(js_sys::Date::now, |clock| clock.now())
}

/// Whether the browser believes that there is a network; it is sure only of "no".
pub(crate) fn online() -> bool {
    web_sys::window().is_none_or(|window| window.navigator().on_line())
}

/// The origin of this page.
pub(crate) fn page_origin() -> Result<String, StartError> {
    Ok(window()?.origin())
}

/// A property that may be missing or `null`.
pub(crate) fn property(object: &JsValue, name: &str) -> Option<JsValue> {
    let value = Reflect::get(object, &JsValue::from_str(name)).ok()?;
    (!value.is_undefined() && !value.is_null()).then_some(value)
}

/// What a thrown value says.
pub(crate) fn text_of(error: &JsValue) -> String {
    let object = error.dyn_ref::<js_sys::Error>();
    let text = object
        .map(|error| String::from(error.to_string()))
        .or_else(|| error.as_string());
    text.unwrap_or_else(|| format!("{error:?}"))
        .chars()
        .take(300)
        .collect()
}

/// Fetches a small text file past the browser's cache.
///
/// `bytes_max` is checked against the announced length before the body is read, and against the body.
pub(crate) async fn fetch_text(url: &str, bytes_max: usize) -> Result<String, String> {
    let window = window().map_err(|error| error.to_string())?;
    let init = web_sys::RequestInit::new();
    init.set_cache(web_sys::RequestCache::NoCache);
    let response = JsFuture::from(window.fetch_with_str_and_init(url, &init))
        .await
        .map_err(|_| format!("{url} does not answer"))?;
    let response: Response = response
        .dyn_into()
        .map_err(|_| "the answer is of an unknown kind".to_owned())?;
    if !response.ok() {
        discard(&response);
        return Err(format!("{url} answers with status {}", response.status()));
    }
    let announced = response.headers().get("content-length").ok().flatten();
    if announced
        .and_then(|length| length.parse::<usize>().ok())
        .is_some_and(|length| length > bytes_max)
    {
        discard(&response);
        return Err(format!("{url} is longer than {bytes_max} bytes"));
    }
    let body = response.text().map_err(|error| text_of(&error))?;
    let body = JsFuture::from(body).await.map_err(|error| text_of(&error))?;
    let text = body.as_string().ok_or_else(|| format!("{url} is not text"))?;
    if text.len() > bytes_max {
        return Err(format!("{url} is longer than {bytes_max} bytes"));
    }
    Ok(text)
}

/// Gives up an answer that is not read. A browser counts it as under way until then, and with a few of them it puts off what is
/// less urgent, such as looking for a new version of the page.
fn discard(response: &Response) {
    if let Some(body) = response.body() {
        // The outcome does not matter to anyone.
        drop(body.cancel());
    }
}

/// Asks for a file, or for a range of it; what never changes may come from the browser's own cache.
pub(crate) async fn fetch_range(url: &str, range: Option<&str>) -> Result<Response, String> {
    let window = window().map_err(|error| error.to_string())?;
    let init = web_sys::RequestInit::new();
    if let Some(range) = range {
        let headers = web_sys::Headers::new().map_err(|error| text_of(&error))?;
        headers.set("range", range).map_err(|error| text_of(&error))?;
        init.set_headers(&headers);
        // Ranges are kept by this node, not by the browser as well.
        init.set_cache(web_sys::RequestCache::NoStore);
    }
    let response = JsFuture::from(window.fetch_with_str_and_init(url, &init)).await;
    let response = response.map_err(|_| "it does not answer".to_owned())?;
    response
        .dyn_into()
        .map_err(|_| "the answer is of an unknown kind".to_owned())
}

/// Fetches a small file.
pub(crate) async fn fetch_bytes(url: &str, bytes_max: usize) -> Result<Vec<u8>, String> {
    let response = fetch_range(url, None).await?;
    if !response.ok() {
        discard(&response);
        return Err(format!("it answers with status {}", response.status()));
    }
    let body = response.array_buffer().map_err(|error| text_of(&error))?;
    let body = JsFuture::from(body)
        .await
        .map_err(|_| "the connection broke off".to_owned())?;
    let bytes = js_sys::Uint8Array::new(&body);
    if bytes.length() as usize > bytes_max {
        return Err(format!("it is longer than {bytes_max} bytes"));
    }
    Ok(bytes.to_vec())
}

/// A JavaScript array of strings.
pub(crate) fn strings<'a>(texts: impl IntoIterator<Item = &'a str>) -> Array {
    texts.into_iter().map(JsValue::from_str).collect()
}
