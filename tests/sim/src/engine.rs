//! Engines of the simulated world: a model that everyone can compute, and the ways of not computing it.
//!
//! An embedding is drawn from a hash of its text, so the right answer is known without a reference and a wrong one has
//! nothing to do with it. It takes as long as the device's true speed says.

use node_proto::{ModelId, Probe, WorkOutput};

use crate::rng::{Rng, mix};

/// The one model of the simulated world.
pub const MODEL: ModelId = ModelId([42; 32]);
/// Length of its embeddings: two unrelated ones reach a cosine of 0.99 in fewer than one of a million cases.
pub const DIMENSION: usize = 8;
/// Known answers that buyers have.
const PROBES: usize = 32;

/// Which results an engine gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Honesty {
    /// Right ones.
    Right,
    /// Wrong ones.
    AlwaysWrong,
    /// A wrong one in so many of a million activities.
    SometimesWrong {
        /// Parts per million.
        ppm: u32,
    },
    /// Right ones until it has a record, wrong ones from then on.
    WrongAfter {
        /// How many right ones come first.
        activities: u32,
    },
    /// Wrong ones, the same as everyone else of the coalition gives.
    Colluding,
    /// Right ones but for a single row of each: what a known answer among many texts is likely to miss.
    WrongRow,
    /// Right ones for the known answers that it recognises, wrong ones for everything else; each the same as everyone else of
    /// the coalition gives, or of its own.
    Recognises {
        /// How many of a million known answers it has seen before.
        ppm: u32,
        /// Whether all such engines give the same wrong ones.
        colluding: bool,
    },
}

impl Honesty {
    /// Whether the next activity will be computed rightly, after so many before it.
    pub fn is_right(self, rng: &mut Rng, before: u32) -> bool {
        match self {
            Self::Right => true,
            Self::AlwaysWrong | Self::Colluding | Self::WrongRow | Self::Recognises { .. } => false,
            Self::SometimesWrong { ppm } => !rng.chance_ppm(ppm),
            Self::WrongAfter { activities } => before < activities,
        }
    }

    /// What distinguishes this engine's wrong results from others'.
    fn salt(self, host: u32) -> u64 {
        match self {
            Self::Colluding | Self::Recognises { colluding: true, .. } => u64::MAX,
            _ => u64::from(host) + 1,
        }
    }
}

/// What an engine of `host` gives for the texts.
pub fn compute(texts: &[String], right: bool, honesty: Honesty, host: u32) -> WorkOutput {
    let salt = if right { 0 } else { honesty.salt(host) };
    // A place that depends on the batch alone, so that it falls on a known answer as often as on any other text.
    let place = texts.first().map_or(0, |text| mix(hash(text, salt)));
    let wrong_row = (place % texts.len().max(1) as u64) as usize;
    let salted = |row: usize, text: &str| match honesty {
        Honesty::WrongRow if row != wrong_row => 0,
        Honesty::Recognises { ppm, .. } if is_recognised(text, ppm) => 0,
        _ => salt,
    };
    let rows = texts.iter().enumerate();
    WorkOutput::Embeddings {
        dimension: DIMENSION as u32,
        values: rows
            .flat_map(|(row, text)| embedding(text, salted(row, text)))
            .collect(),
        backend: "cpu".to_owned(),
    }
}

/// Whether a text is one of so many of a million known answers.
fn is_recognised(text: &str, ppm: u32) -> bool {
    asked(text).is_none() && mix(hash(text, 1)) % 1_000_000 < ppm.into()
}

/// Whether the values are the right ones for the texts.
pub fn is_right(texts: &[String], output: &WorkOutput) -> bool {
    let WorkOutput::Embeddings { values, .. } = output else {
        return false;
    };
    let expected = texts.iter().flat_map(|text| embedding(text, 0));
    values.len() == texts.len() * DIMENSION && expected.zip(values).all(|(a, b)| a == *b)
}

/// A text of a request, `width` bytes long, that says who asks.
pub fn text(asker: u32, request: usize, item: u64, width: usize) -> String {
    format!("{:.<width$}", format!("{asker} asks {request}, {item} "))
}

/// Who asks with these texts, as far as they say.
pub fn asker_of(texts: &[String]) -> Option<u32> {
    texts.iter().find_map(|text| Some(asked(text)?.0))
}

/// Who asks with this text, and in which of its requests; `None` for known answers.
pub fn asked(text: &str) -> Option<(u32, u32)> {
    let (asker, rest) = text.split_once(" asks ")?;
    let (request, _) = rest.split_once(',')?;
    Some((asker.parse().ok()?, request.parse().ok()?))
}

/// Known answers; `false_ones` are what a slanderer checks with, so that honest results look wrong to its node.
pub fn probes(false_ones: bool) -> Vec<Probe> {
    (0..PROBES)
        .map(|number| format!("known answer {number}: what every reference gives"))
        .map(|text| Probe {
            embedding: embedding(&text, u64::from(false_ones) * 7).to_vec(),
            text,
        })
        .collect()
}

/// Small integers as floats, so that every machine has the same bits.
fn embedding(text: &str, salt: u64) -> [f32; DIMENSION] {
    let bits = mix(hash(text, salt)).to_le_bytes();
    bits.map(|byte| f32::from(i16::from(byte) - 128) + 0.5)
}

fn hash(text: &str, salt: u64) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325 ^ salt, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Vec<String> {
        vec!["one".to_owned(), "two".to_owned()]
    }

    #[test]
    fn right_results_agree_and_wrong_ones_do_not() {
        let right = compute(&texts(), true, Honesty::Right, 1);
        let wrong = compute(&texts(), false, Honesty::AlwaysWrong, 1);
        assert!(is_right(&texts(), &right) && !is_right(&texts(), &wrong));
        assert_ne!(wrong, compute(&texts(), false, Honesty::AlwaysWrong, 2));
        let (a, b) = (Honesty::Colluding, Honesty::Colluding);
        assert_eq!(compute(&texts(), false, a, 1), compute(&texts(), false, b, 2));
    }

    #[test]
    fn a_single_row_may_be_wrong() {
        let texts: Vec<String> = (0..9).map(|item| text(1, 2, item, 48)).collect();
        let values = |right| match compute(&texts, right, Honesty::WrongRow, 1) {
            WorkOutput::Embeddings { values, .. } => values,
            _ => panic!("texts were given"),
        };
        let (right, wrong) = (values(true), values(false));
        let rows = right.chunks(DIMENSION).zip(wrong.chunks(DIMENSION));
        assert_eq!(rows.filter(|(a, b)| a != b).count(), 1);
    }

    #[test]
    fn whoever_recognises_known_answers_gives_them_rightly() {
        let known: Vec<String> = probes(false).into_iter().map(|probe| probe.text).collect();
        let cheat = |ppm, texts: &[String]| {
            let honesty = Honesty::Recognises { ppm, colluding: true };
            is_right(texts, &compute(texts, false, honesty, 1))
        };
        assert!(cheat(1_000_000, &known) && !cheat(0, &known) && !cheat(1_000_000, &[text(1, 2, 3, 48)]));
        let some = known.iter().filter(|text| is_recognised(text, 250_000)).count();
        assert!((1..known.len() / 2).contains(&some), "{some}");
    }

    #[test]
    fn texts_say_who_asks() {
        let texts = [String::from("known answer 7"), text(31, 4, 1, 48)];
        assert_eq!((asker_of(&texts), asker_of(&texts[..1])), (Some(31), None));
        assert_eq!((asked(&texts[1]), asked(&texts[0])), (Some((31, 4)), None));
        assert_eq!(texts[1].len(), 48);
    }

    #[test]
    fn a_record_is_built_before_it_is_spent() {
        let mut rng = Rng::new(1, "test", 0);
        let honesty = Honesty::WrongAfter { activities: 20 };
        assert!(honesty.is_right(&mut rng, 19) && !honesty.is_right(&mut rng, 20));
    }
}
