//! `cargo bench -p library`: how long a question takes among 50,000 passages, and how long hostile texts are cut.
//!
//! Both go through the public interface. Vectors are random here, which makes no difference to the time of looking at all of
//! them; how well they are found is measured on real text, by `examples/corpus.rs`.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../../node-proto/benches/report/mod.rs"]
mod report;

use std::time::{Duration, Instant};

use library::cut::cut;
use library::{Kind, Library, Limits, ModelId, NewDocument, Provenance, Scope, Write};
use report::Report;

const MODEL: ModelId = [1; 32];
const DIMENSION: usize = 384;
const DOCUMENTS: usize = 100;
const DOCUMENT_PASSAGES: usize = 500;
const RUNS: u64 = 200;

fn main() {
    let passages = DOCUMENTS * DOCUMENT_PASSAGES;
    let mut random = Random(1);
    let mut library = filled(&mut random);
    let pieces = library.take_writes();
    let sizes = |prefix| -> usize {
        let values = pieces.iter().filter_map(|write| match write {
            Write::Put { key, value } if key[0] == prefix => Some(value.len()),
            _ => None,
        });
        values.sum()
    };
    println!(
        "{passages} passages: {} bytes of documents, {} of text, {} of vectors to keep",
        sizes(b'd'),
        sizes(b't'),
        sizes(b'v')
    );
    let mut times: Vec<Duration> = (0..report::runs(RUNS))
        .map(|_| ask(&library, &mut random))
        .collect();
    Report {
        what: format!("the ten nearest of {passages} passages"),
        percent: 50,
        bound: Duration::from_millis(50),
    }
    .print(&mut times);
    let mut times: Vec<Duration> = hostile()
        .iter()
        .map(|(kind, text)| time_cut(*kind, text))
        .collect();
    Report {
        what: "cut 4 MiB of text made to be slow".to_owned(),
        percent: 100,
        // Four times what the slowest takes on an idle core: a text that takes more than its share of time is seen all the same.
        bound: Duration::from_secs(3),
    }
    .print(&mut times);
}

fn filled(random: &mut Random) -> Library {
    let mut library = Library::new(Limits::default()).unwrap();
    library.open_model(MODEL, DIMENSION).unwrap();
    for document in 0..DOCUMENTS {
        let paragraph =
            |number: usize| format!("Document {document}, {number}. {}", "And it goes on. ".repeat(40));
        let text = (0..DOCUMENT_PASSAGES)
            .map(paragraph)
            .collect::<Vec<_>>()
            .join("\n\n");
        let provenance = Provenance {
            scope: Scope::Anyone,
            ..Provenance::default()
        };
        let kind = Kind::Plain;
        library
            .add(NewDocument {
                kind,
                text: &text,
                provenance,
            })
            .unwrap();
    }
    for passage in library.waiting(&MODEL, None, usize::MAX) {
        library.put_vector(&MODEL, passage, &random.vector()).unwrap();
    }
    library
}

fn ask(library: &Library, random: &mut Random) -> Duration {
    let question = random.vector();
    let began = Instant::now();
    let hits = library.search(&MODEL, &question, 10, Scope::Group).unwrap();
    let took = began.elapsed();
    assert_eq!(hits.len(), 10);
    took
}

/// Texts in which one thing that a cutter looks for is never found, or always, up to the limit.
fn hostile() -> Vec<(Kind, String)> {
    let bytes_max = Limits::default().text_bytes_max;
    let pieces = [
        "<",
        "</",
        "<!--",
        "<a '",
        "<a =\"",
        "<svg>",
        "<script></scrip",
        "&",
        "&#",
        "&#1",
        "<p>",
        "<pre>",
        "<li>a",
        "<tr><td>a",
        "`",
        "# a\n",
        "#",
        "- a\n",
        "a.",
        "a. ",
        ". a",
        "a\n---\n",
        "```\n",
        "\n",
        " ",
        "\u{301}",
        "\u{200d}",
        "a",
        "<h1>a<p>b",
    ];
    let kinds = [Kind::Plain, Kind::Markdown, Kind::Html];
    let texts = pieces.iter().flat_map(|piece| {
        let text = piece.repeat(bytes_max / piece.len());
        kinds.map(|kind| (kind, text.clone()))
    });
    texts.collect()
}

fn time_cut(kind: Kind, text: &str) -> Duration {
    let began = Instant::now();
    let cut = cut(kind, text, &Limits::default());
    let took = began.elapsed();
    if took > Duration::from_millis(300) {
        println!(
            "{took:?} for {kind:?} of {:?}… ({:?})",
            &text[..text.floor_char_boundary(12)],
            cut.is_ok()
        );
    }
    took
}

/// A linear congruential generator (Knuth's MMIX constants).
struct Random(u64);

impl Random {
    fn vector(&mut self) -> Vec<f32> {
        (0..DIMENSION).map(|_| self.next()).collect()
    }

    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}
