//! A site's list of its own modules, `/modules/modules.json`, as `prepare-modules` writes it.

use js_sys::{Array, JSON, Reflect};
use wasm_bindgen::{JsCast, JsValue};

use crate::RULES_VERSION;

/// Modules of a list; more are not looked at.
const LISTED_MAX: usize = 64;

/// What the site says of its modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue {
    /// In the order in which a page lists them.
    pub modules: Vec<Listed>,
}

/// A module of the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its file is `/modules/<name>.wasm`.
    pub name: String,
    /// For people.
    pub title: String,
    /// A sentence for people.
    pub about: String,
    /// An SPDX expression.
    pub license: String,
    /// Of the module.
    pub bytes: u64,
    /// The module's content.
    pub blob: blob::Name,
    /// An input to try it with.
    pub sample: Vec<u8>,
    /// Whether the sample is text, and the output with it.
    pub is_text: bool,
    /// What the sample's output is, on every machine.
    pub output: blob::Name,
    /// Units of fuel that the sample takes, on every machine.
    pub fuel: u64,
}

impl Catalogue {
    /// Reads `modules.json`. None if it is something else, or for other rules than this build's.
    #[must_use]
    pub fn read(json: &str) -> Option<Self> {
        let list = JSON::parse(json).ok()?;
        if number(&list, "rules")? != u64::from(RULES_VERSION) {
            return None;
        }
        let modules: Array = property(&list, "modules")?.dyn_into().ok()?;
        let modules = modules.iter().take(LISTED_MAX);
        let modules = modules.map(|entry| Listed::read(&entry)).collect::<Option<_>>()?;
        Some(Self { modules })
    }
}

impl Listed {
    fn read(entry: &JsValue) -> Option<Self> {
        let (sample, answer) = (property(entry, "sample")?, property(entry, "answer")?);
        let as_text = text(&sample, "text");
        let is_text = as_text.is_some();
        let sample = match as_text {
            Some(sample) => sample.into_bytes(),
            None => bytes_of(&text(&sample, "hex")?)?,
        };
        Some(Self {
            name: text(entry, "name")?,
            title: text(entry, "title")?,
            about: text(entry, "about")?,
            license: text(entry, "license")?,
            bytes: number(entry, "bytes")?,
            blob: blob::from_cid(&text(entry, "cid")?).ok()?,
            sample,
            is_text,
            output: blob::from_cid(&text(&answer, "output_cid")?).ok()?,
            fuel: number(&answer, "fuel")?,
        })
    }
}

fn text(object: &JsValue, name: &str) -> Option<String> {
    property(object, name)?.as_string()
}

/// A whole number.
fn number(object: &JsValue, name: &str) -> Option<u64> {
    let number = property(object, name)?.as_f64()?;
    // Below 2^53 a float is exact.
    ((0.0..9.0e15).contains(&number) && number.fract() == 0.0).then_some(number as u64)
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let pairs = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::try_from(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?).ok();
    pairs.map(byte).collect()
}

/// A property that may be missing or `null`.
fn property(object: &JsValue, name: &str) -> Option<JsValue> {
    let value = Reflect::get(object, &name.into()).ok()?;
    (!value.is_undefined() && !value.is_null()).then_some(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const LIST: &str = r#"{ "rules": 1, "modules": [{
        "name": "m", "title": "T", "about": "A.", "license": "MIT", "bytes": 8,
        "cid": "bafkr4ifpcne3t5pzugtkaqcn5i3nzskjtpfslsnnyejlpte2spfoihzsmi",
        "sample": { "hex": "00ff" },
        "answer": { "output_bytes": 1, "output_cid": "bafkr4ifpcne3t5pzugtkaqcn5i3nzskjtpfslsnnyejlpte2spfoihzsmi", "fuel": 7 }
    }] }"#;

    #[test]
    fn a_list_is_read_as_the_site_writes_it() {
        let list = Catalogue::read(LIST).unwrap();
        let [module] = &list.modules[..] else {
            panic!("{list:?}");
        };
        assert_eq!((&*module.name, &*module.title, module.bytes), ("m", "T", 8));
        assert_eq!((&module.sample[..], module.is_text), (&[0, 255][..], false));
        assert_eq!((module.fuel, module.output), (7, blob::name_of(b"")));
        let text = LIST.replace(r#""hex": "00ff""#, r#""text": "hé""#);
        let list = Catalogue::read(&text).unwrap();
        assert_eq!(list.modules[0].sample, "hé".as_bytes());
        assert!(list.modules[0].is_text);
    }

    #[test]
    fn what_is_no_such_list_is_not_read() {
        for (from, to) in [
            (r#""rules": 1"#, r#""rules": 2"#),
            (r#""00ff""#, r#""00f""#),
            (r#""00ff""#, r#""0g""#),
            (r#""fuel": 7"#, r#""fuel": -7"#),
            (r#""fuel": 7"#, r#""fuel": 0.5"#),
            (r#""name": "m","#, ""),
            (r#""cid": "b"#, r#""cid": "c"#),
            ("{", "["),
        ] {
            assert_eq!(Catalogue::read(&LIST.replace(from, to)), None, "{from} as {to}");
        }
    }
}
