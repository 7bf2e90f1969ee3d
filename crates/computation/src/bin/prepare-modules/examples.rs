//! What is said of each module of `modules/`, and what it is tried with.

use std::fmt::Write as _;

use serde::{Serialize, Serializer, ser::SerializeMap as _};

/// A module as people see it.
pub(crate) struct Example {
    /// Its package in `modules/`.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// One sentence.
    pub(crate) about: &'static str,
    pub(crate) sample: fn() -> Input,
}

/// An input as JSON can hold it: `{"text": …}` or `{"hex": …}`.
pub(crate) enum Input {
    Text(String),
    Bytes(Vec<u8>),
}

/// In the order in which a page lists them.
pub(crate) const EXAMPLES: &[Example] = &[
    Example {
        name: "words",
        title: "Word statistics",
        about: "Counts the characters, lines, sentences and words of a text, and lists which words and pairs of words come most often.",
        sample: || Input::Text(TEXT.into()),
    },
    Example {
        name: "shrink",
        title: "Smaller picture",
        about: "Makes a picture smaller: each new pixel is the average of the area that it covers.",
        sample: || Input::Bytes(picture()),
    },
    Example {
        name: "factors",
        title: "Prime factors",
        about: "Takes each number of a range apart into its prime factors.",
        sample: || Input::Bytes(range()),
    },
];

const TEXT: &str = "A device that computes for others is paid for what it used, and not for how long it took. The fuel of a \
    computation is counted by the module itself: each instruction has its price, and every machine counts the same. So two \
    devices that never met can be compared, byte by byte and unit by unit. If they don't agree, one of them is wrong.\n\
    Wer rechnet, der zählt: Äpfel und Birnen, Wörter und Sätze — 3 Äpfel, 2 Birnen und 1 Satz?\n";

/// Sides that are no multiples of the new ones, so that pixels are shared and floats do their work.
fn picture() -> Vec<u8> {
    let (from, to) = ((24_u32, 16_u32), (7_u32, 5_u32));
    let sizes = [from.0, from.1, to.0, to.1];
    let mut picture: Vec<u8> = sizes.into_iter().flat_map(u32::to_le_bytes).collect();
    for y in 0..from.1 {
        for x in 0..from.0 {
            // Ramps, a pattern, and opacity that falls to the right.
            let pixel = [x * 10, y * 15, (x * 7 + y * 13) % 256, 255 - x * 9];
            picture.extend(pixel.map(|value| u8::try_from(value).unwrap_or(u8::MAX)));
        }
    }
    picture
}

/// Long enough to measure a device's speed by, and over in a blink on a fast one.
fn range() -> Vec<u8> {
    [1_000_000_000_000_u64, 1_000]
        .into_iter()
        .flat_map(u64::to_le_bytes)
        .collect()
}

impl Input {
    /// As the module gets it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Bytes(bytes) => bytes.clone(),
        }
    }
}

impl Serialize for Input {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Text(text) => map.serialize_entry("text", text)?,
            Self::Bytes(bytes) => map.serialize_entry("hex", &hex(bytes))?,
        }
        map.end()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
