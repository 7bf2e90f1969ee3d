//! What the fuzz targets run: each takes a stranger's bytes and checks what must hold for all of them.
//!
//! They are compiled for cargo-fuzz and for tests; [`tests`] replays the seeds, so that an ordinary test run notices
//! what a fuzzer would find first.

use std::{cell::RefCell, rc::Rc};

use futures::{executor::block_on, io::Cursor};

use crate::{
    sdp::{self, Agreed},
    signalling::{
        candidate::Candidate,
        codec::{self, Message},
    },
    stream::{
        budget::{Budget, Limits},
        frame::{FRAME_BYTES_MAX, Frame, FrameDecoder, LARGE_FRAME_BYTES_MAX},
        inbox::{Inbox, Windows},
    },
};

/// Small, so that short inputs reach them.
const LIMITS: Limits = Limits {
    streams_max: 1,
    receive_bytes_max: 2_048,
    send_bytes_max: 2_048,
    stream_send_bytes_max: 2_048,
};
const WINDOWS: Windows = Windows {
    send_bytes: 512,
    receive_bytes: 512,
};

/// A signalling stream: what is understood can be written and is then understood in the same way.
pub fn signalling(bytes: &[u8]) {
    let mut stream = Cursor::new(bytes);
    while let Ok(Some(message)) = block_on(codec::read(&mut stream)) {
        let written = message.clone().encode();
        let again = block_on(codec::read(&mut Cursor::new(&written)));
        assert!(matches!(again, Ok(Some(same)) if same == message));
        match message {
            Message::Offer(text) | Message::Answer(text) => description(&text),
            Message::Candidate(json) => candidate(&json),
        }
    }
}

/// A session description.
pub fn sdp(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        description(text);
    }
}

/// A data channel: the same frames come out however the bytes are cut, and an inbox keeps to its limit.
///
/// The first byte says how long the pieces are.
pub fn frames(bytes: &[u8]) {
    let Some((&piece, wire)) = bytes.split_first() else {
        return;
    };
    let pieces = || wire.chunks(usize::from(piece).max(1));
    let whole = decode([wire].into_iter());
    let cut = decode(pieces());
    assert_eq!(whole, cut);

    for windows in [None, Some(WINDOWS)] {
        let budget = Rc::new(RefCell::new(Budget::new(LIMITS)));
        let mut inbox = Inbox::new(budget.clone(), LIMITS.receive_bytes_max, windows);
        let mut buffer = [0; 512];
        for piece in pieces() {
            inbox.receive(piece.len(), |space| space.copy_from_slice(piece));
            let _ = inbox.read(&mut buffer);
            let _ = inbox.grant();
        }
        drop(inbox);
        // Everything was given back.
        assert!(budget.borrow_mut().hold(LIMITS.receive_bytes_max));
    }
}

fn description(text: &str) {
    if sdp::validate(text).is_ok() {
        assert!(text.len() <= sdp::SDP_BYTES_MAX);
        assert_eq!(text.matches("\nm=").count(), 1);
        let sent = sdp::announce(text, 4_096);
        let agreed = Agreed::between(&sent, text);
        assert!((FRAME_BYTES_MAX..=LARGE_FRAME_BYTES_MAX).contains(&agreed.frame_bytes_max));
        if let Some(windows) = agreed.windows {
            assert!(windows.send_bytes > 0 && windows.receive_bytes > 0);
        }
    }
}

fn candidate(json: &str) {
    if let Ok(Some(candidate)) = Candidate::parse(json) {
        let written = candidate.to_json().unwrap_or_default();
        assert!(matches!(Candidate::parse(&written), Ok(Some(same)) if same == candidate));
    }
}

/// Everything that comes out before the first error.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Frame> {
    let mut decoder = FrameDecoder::default();
    let mut frames = Vec::new();
    for piece in pieces {
        decoder.extend_with(piece.len(), |space| space.copy_from_slice(piece));
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return frames,
            }
        }
    }
    frames
}

#[cfg(all(test, not(target_family = "wasm")))]
mod tests {
    use std::{fs, io, path::Path};

    use proptest::{collection::vec, prelude::*, sample::Index};

    type Run = fn(&[u8]);

    const TARGETS: [(&str, Run); 3] = [
        ("signalling", super::signalling),
        ("sdp", super::sdp),
        ("frames", super::frames),
    ];

    fn seeds(target: &str) -> io::Result<Vec<Vec<u8>>> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/seeds")
            .join(target);
        fs::read_dir(dir)?.map(|entry| fs::read(entry?.path())).collect()
    }

    #[test]
    fn the_seeds_hold() {
        for (name, run) in TARGETS {
            let seeds = seeds(name).unwrap();
            assert!(seeds.len() >= 5, "{name}");
            seeds.iter().for_each(|seed| run(seed));
        }
    }

    proptest! {
        // A short run of what cargo-fuzz does for minutes, without its eye for coverage.
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        #[test]
        fn what_becomes_of_the_seeds_holds(
            target in 0..TARGETS.len(),
            seed in any::<Index>(),
            edits in vec((any::<Index>(), any::<u8>()), 0..6),
            (from, to) in (any::<Index>(), any::<Index>()),
            tail in vec(any::<u8>(), 0..40),
        ) {
            let (name, run) = TARGETS[target];
            let mut bytes = seed.get(&seeds(name)?).clone();
            // A part of it once more, in place of what followed.
            let (from, to) = (from.index(bytes.len() + 1), to.index(bytes.len() + 1));
            let repeated = bytes[from..].to_vec();
            bytes.truncate(to);
            bytes.extend(repeated);
            for (place, byte) in edits {
                if !bytes.is_empty() {
                    let place = place.index(bytes.len());
                    bytes[place] = byte;
                }
            }
            bytes.extend(tail);
            run(&bytes);
        }
    }
}
