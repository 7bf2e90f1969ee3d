//! The example modules: their outputs are compared with computations of another kind, and their outcomes with V8's.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![cfg(not(target_arch = "wasm32"))]

mod common;

use std::collections::HashMap;
use std::fmt::Write as _;

use computation::{Ending, Failure, Instrumented, Limits, Outcome, Prepared};

use crate::common::{in_v8, module, upfront};

const FUEL: u64 = 1 << 32;

/// Runs a module on this crate's interpreter, once more on it, and on V8 through Node.js, and compares the outcomes. Then it runs with
/// one unit too few, and with what lets it come half as far.
fn everywhere(name: &str, input: &[u8]) -> Outcome {
    let module = module(name);
    let limits = Limits::default();
    let prepared = Prepared::new(&module, limits).unwrap();
    let outcome = prepared.run(input, FUEL);
    assert!(outcome.agrees_with(&Prepared::new(&module, limits).unwrap().run(input, FUEL)));
    let used = outcome.fuel_used;
    let upfront = upfront(&Instrumented::new(&module, &limits).unwrap(), input);
    let fuels = [FUEL, used, used - 1, upfront + (used - upfront) / 2];
    let v8 = in_v8(&module, input, &fuels);
    for (fuel, seen) in fuels.into_iter().zip(v8) {
        let here = prepared.run(input, fuel);
        assert_eq!(here, seen, "with {fuel} units");
        assert_eq!(fuel < used, here.ending == Ending::Failed(Failure::OutOfFuel));
        assert_eq!(here.fuel_used, fuel.min(used));
    }
    outcome
}

fn output(outcome: Outcome) -> Vec<u8> {
    match outcome.ending {
        Ending::Output(bytes) => bytes,
        Ending::Failed(failure) => panic!("{failure}"),
    }
}

fn refusal(outcome: Outcome) -> String {
    match outcome.ending {
        Ending::Failed(Failure::Refused(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn words_counts_what_a_text_consists_of() {
    let text =
        "The cat saw the dog. The dog's cat — the cat! — didn't see the Dog?\nÄpfel und äpfel; 42 und 42.\n";
    let found = String::from_utf8(output(everywhere("words", text.as_bytes()))).unwrap();
    let fact = |name: &str| {
        let line = found
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}\t")));
        line.unwrap().parse::<usize>().unwrap()
    };
    assert_eq!(fact("characters"), text.chars().count());
    assert_eq!((fact("lines"), fact("sentences"), fact("words")), (2, 4, 20));
    // Counted by another rule: blanks first, and no ordered map.
    let mut counts: HashMap<String, usize> = HashMap::new();
    for word in text.split_whitespace() {
        let word = word.to_lowercase();
        let word = word.trim_matches(|letter: char| !letter.is_alphanumeric());
        if !word.is_empty() {
            *counts.entry(word.into()).or_default() += 1;
        }
    }
    assert_eq!(fact("distinct words"), counts.len());
    let listed: Vec<(usize, &str)> = found
        .lines()
        .filter_map(|line| line.strip_prefix("word\t"))
        .map(|line| line.split_once('\t').unwrap())
        .map(|(number, word)| (number.parse().unwrap(), word))
        .collect();
    let mut expected: Vec<(usize, &str)> = counts
        .iter()
        .map(|(word, number)| (*number, word.as_str()))
        .collect();
    expected.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    assert_eq!(listed, expected[..expected.len().min(20)]);
    // "the dog" twice; never across the end of a sentence.
    assert!(found.contains("pair\t2\tthe dog\n"), "{found}");
    assert!(!found.contains("dog the\n"), "{found}");
}

#[test]
fn words_refuses_what_is_no_text() {
    let why = refusal(everywhere("words", b"fine \xff\xfe"));
    assert_eq!(why, "this is no text in UTF-8 from byte 5 on");
}

fn picture(from: (u32, u32), to: (u32, u32), pixels: impl Iterator<Item = u8>) -> Vec<u8> {
    let size = [from.0, from.1, to.0, to.1].map(u32::to_le_bytes).concat();
    size.into_iter()
        .chain(pixels.take((from.0 * from.1 * 4) as usize))
        .collect()
}

/// Bytes that look like noise: a linear congruential generator (Knuth's MMIX).
fn noise(seed: u64) -> impl Iterator<Item = u8> {
    std::iter::successors(Some(seed), |x| {
        Some(
            x.wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407),
        )
    })
    .map(|x| (x >> 56) as u8)
}

#[test]
fn shrink_averages_areas() {
    let (from, to) = ((97_u32, 61_u32), (20_u32, 13_u32));
    let input = picture(from, to, noise(1));
    let pixels = &input[16..];
    let small = output(everywhere("shrink", &input));
    assert_eq!(small.len(), (to.0 * to.1 * 4) as usize);
    // By integers: the picture made larger so that every new pixel covers whole ones.
    let mut furthest = 0;
    for y in 0..to.1 {
        for x in 0..to.0 {
            let (mut colour, mut opaque) = ([0_u64; 3], 0_u64);
            for v in y * from.1..(y + 1) * from.1 {
                for u in x * from.0..(x + 1) * from.0 {
                    let at = ((v / to.1 * from.0 + u / to.0) * 4) as usize;
                    let alpha = u64::from(pixels[at + 3]);
                    opaque += alpha;
                    for channel in 0..3 {
                        colour[channel] += alpha * u64::from(pixels[at + channel]);
                    }
                }
            }
            let area = u64::from(from.0 * from.1);
            let exact = [colour[0], colour[1], colour[2]].map(|sum| (2 * sum + opaque) / (2 * opaque));
            let exact = [exact[0], exact[1], exact[2], (2 * opaque + area) / (2 * area)];
            let at = ((y * to.0 + x) * 4) as usize;
            for (ours, exact) in small[at..at + 4].iter().zip(exact) {
                furthest = furthest.max(u64::from(*ours).abs_diff(exact));
            }
        }
    }
    // Singles may round one way where integers round the other.
    assert!(furthest <= 1, "{furthest}");
}

#[test]
fn shrink_leaves_a_picture_of_the_same_size_and_a_plain_one_as_they_are() {
    let opaque = noise(2)
        .enumerate()
        .map(|(index, byte)| if index % 4 == 3 { 255 } else { byte });
    let same = picture((16, 9), (16, 9), opaque);
    assert_eq!(output(everywhere("shrink", &same)), same[16..]);
    let plain = picture((30, 30), (7, 11), [10, 200, 30, 128].into_iter().cycle());
    assert_eq!(
        output(everywhere("shrink", &plain)),
        [10, 200, 30, 128].repeat(77)
    );
    let clear = picture((5, 5), (2, 2), [9, 9, 9, 0].into_iter().cycle());
    assert_eq!(output(everywhere("shrink", &clear)), [0; 16]);
}

#[test]
fn shrink_says_what_is_wrong_with_a_picture() {
    let why = |input: &[u8]| refusal(everywhere("shrink", input));
    assert_eq!(why(b"short"), "the picture has no size");
    assert_eq!(
        why(&picture((0, 1), (1, 1), noise(3))),
        "a side of 0 pixels: 1 to 16384 are possible"
    );
    assert_eq!(
        why(&picture((1, 1), (2, 1), noise(3))),
        "the new picture is larger than the picture"
    );
    let mut cut = picture((4, 4), (2, 2), noise(3));
    cut.pop();
    assert_eq!(
        why(&cut),
        "64 bytes of pixels belong to this size, and there are 63"
    );
}

fn range(first: u64, count: u64) -> Vec<u8> {
    [first.to_le_bytes(), count.to_le_bytes()].concat()
}

#[test]
fn factors_are_those_of_a_sieve() {
    let count = 5_000;
    let found = output(everywhere("factors", &range(1, count)));
    // The smallest factor of every number.
    let mut smallest: Vec<u64> = (0..=count).collect();
    for divisor in 2..=count {
        for multiple in (divisor..=count).step_by(divisor as usize) {
            smallest[multiple as usize] = smallest[multiple as usize].min(divisor);
        }
    }
    let mut expected = String::from("1 = 1\n");
    for number in 2..=count {
        let (mut rest, mut factors) = (number, Vec::new());
        while rest > 1 {
            factors.push(smallest[rest as usize].to_string());
            rest /= smallest[rest as usize];
        }
        writeln!(expected, "{number} = {}", factors.join(" * ")).unwrap();
    }
    assert_eq!(String::from_utf8(found).unwrap(), expected);
}

#[test]
fn factors_of_large_numbers_are_found() {
    let line = |number: u64| String::from_utf8(output(everywhere("factors", &range(number, 1)))).unwrap();
    // Products of primes near 2^31 and 2^32, a square, the largest prime below 2^64, and 2^64 - 1 less one.
    assert_eq!(
        line(2_147_483_647 * 4_294_967_291),
        format!(
            "{} = 2147483647 * 4294967291\n",
            2_147_483_647_u64 * 4_294_967_291
        )
    );
    assert_eq!(line(1_000_003 * 1_000_003), "1000006000009 = 1000003 * 1000003\n");
    assert_eq!(
        line(18_446_744_073_709_551_557),
        "18446744073709551557 = 18446744073709551557\n"
    );
    let product = line(18_446_744_073_709_551_613);
    let (number, factors) = product.trim().split_once(" = ").unwrap();
    let multiplied: u128 = factors
        .split(" * ")
        .map(|it| it.parse::<u128>().unwrap())
        .product();
    assert_eq!(multiplied, number.parse().unwrap());
}

#[test]
fn factors_refuses_ranges_that_it_cannot_take() {
    let why = |input: &[u8]| refusal(everywhere("factors", input));
    assert_eq!(why(&[0; 15]), "two numbers of eight bytes are needed");
    assert_eq!(why(&range(0, 1)), "the numbers go from 1 to 2^64 - 1");
    assert_eq!(why(&range(u64::MAX, 2)), "the numbers go from 1 to 2^64 - 1");
    assert_eq!(
        why(&range(1, 100_001)),
        "100001 numbers: at most 100000 are taken"
    );
}
