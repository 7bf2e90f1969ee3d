//! When each half of a stream is open, over or broken.
//!
//! ```text
//! read:   Open ──FIN received──▶ Finished        write:  Open ──FIN sent──▶ Finishing ──FIN_ACK received──▶ Finished
//!           │                                              │                    │
//!           ├──STOP_SENDING sent──▶ Stopped                ├──STOP_SENDING received──▶ Stopped
//!           └──RESET, channel gone──▶ Reset                └──RESET, channel gone──▶ Reset
//! ```
//!
//! A `RESET` ends both halves, as in js-libp2p and go-libp2p. Every `FIN` is answered by a `FIN_ACK`, even after the
//! reader has lost interest, because the writer waits for it before it lets the channel go.
//!
//! The last words to a remote that has left are written into the void, not refused: it would not have heard them had they
//! been sent a moment earlier either. Where a dialler opens streams without waiting for the protocol to be agreed on
//! (`V1Lazy`), sends what it has to say and leaves, the listener's agreement is such a word, and refusing it would cost the
//! listener all that it was sent.

use std::io;

use super::frame::Flag;

/// What a stream takes for a remote that no longer listens. An agreement on a protocol is shorter; an answer worth
/// knowing to be lost is longer.
const UNHEARD_BYTES_MAX: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Read {
    #[default]
    Open,
    Finished,
    Stopped,
    Reset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Write {
    #[default]
    Open,
    Finishing,
    Finished,
    Stopped,
    Reset,
}

/// Both halves of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct State {
    read: Read,
    write: Write,
    unheard_bytes: usize,
}

impl State {
    /// Takes note of a received flag and says which one to answer with.
    pub(crate) fn on_flag(&mut self, flag: Flag) -> Option<Flag> {
        match flag {
            Flag::Fin => {
                if self.read == Read::Open || self.read == Read::Stopped {
                    self.read = Read::Finished;
                }
                return Some(Flag::FinAck);
            }
            Flag::StopSending if self.write == Write::Open => self.write = Write::Stopped,
            Flag::FinAck if self.write == Write::Finishing => self.write = Write::Finished,
            Flag::Reset => self.break_off(),
            Flag::StopSending | Flag::FinAck => {}
        }
        None
    }

    /// The channel is gone, or the remote broke the rules: what was not finished is lost.
    pub(crate) fn break_off(&mut self) {
        if self.read == Read::Open {
            self.read = Read::Reset;
        }
        if matches!(self.write, Write::Open | Write::Finishing) {
            self.write = Write::Reset;
        }
    }

    /// Whether received data is still wanted.
    pub(crate) fn wants_data(&self) -> bool {
        self.read == Read::Open
    }

    /// What a reader gets when no data is left: `None` to wait, `Ok` for the end of the stream.
    pub(crate) fn read_end(&self) -> Option<io::Result<()>> {
        match self.read {
            Read::Open => None,
            Read::Finished | Read::Stopped => Some(Ok(())),
            Read::Reset => Some(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }

    /// Whether data may be written.
    pub(crate) fn check_write(&self) -> io::Result<()> {
        match self.write {
            Write::Open => Ok(()),
            Write::Finishing | Write::Finished | Write::Stopped => Err(io::ErrorKind::BrokenPipe.into()),
            Write::Reset => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    /// Whether the remote has left in peace: it told so, or the channel is gone after all that it had to say.
    pub(crate) fn is_unheard(&self) -> bool {
        matches!(
            (self.read, self.write),
            (_, Write::Stopped) | (Read::Finished, Write::Reset)
        )
    }

    /// Takes this many bytes for a remote that has left, or says that they are too many.
    pub(crate) fn swallow(&mut self, bytes: usize) -> io::Result<()> {
        self.unheard_bytes = self.unheard_bytes.saturating_add(bytes);
        if self.unheard_bytes > UNHEARD_BYTES_MAX {
            return self.check_write();
        }
        Ok(())
    }

    /// Ends the writing half; returns the flag to send, if one is needed.
    pub(crate) fn finish(&mut self) -> io::Result<Option<Flag>> {
        match self.write {
            // Even a remote that stopped reading is told, so that it can let the channel go.
            Write::Open | Write::Stopped => {
                self.write = Write::Finishing;
                Ok(Some(Flag::Fin))
            }
            Write::Finishing | Write::Finished => Ok(None),
            Write::Reset => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    /// The owner dropped the stream; returns the flag to send, if one is needed.
    pub(crate) fn abandon(&mut self) -> Option<Flag> {
        match (self.read, self.write) {
            (_, Write::Open | Write::Stopped) => {
                self.break_off();
                self.write = Write::Reset;
                Some(Flag::Reset)
            }
            (Read::Open, Write::Finishing | Write::Finished) => {
                self.read = Read::Stopped;
                Some(Flag::StopSending)
            }
            _ => None,
        }
    }

    /// Whether an abandoned stream has nothing left to wait for.
    pub(crate) fn is_over(&self) -> bool {
        self.write != Write::Finishing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_close_independently() {
        let mut state = State::default();
        assert_eq!(state.finish().unwrap(), Some(Flag::Fin));
        assert_eq!(state.check_write().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(state.wants_data() && !state.is_over());
        assert_eq!(state.on_flag(Flag::FinAck), None);
        assert!(state.is_over());
        assert_eq!(state.on_flag(Flag::Fin), Some(Flag::FinAck));
        assert!(state.read_end().unwrap().is_ok());
        assert_eq!(state.finish().unwrap(), None);
        assert_eq!(state.abandon(), None);
    }

    #[test]
    fn reset_ends_both_halves() {
        let mut state = State::default();
        assert_eq!(state.on_flag(Flag::Reset), None);
        assert_eq!(
            state.read_end().unwrap().unwrap_err().kind(),
            io::ErrorKind::ConnectionReset
        );
        assert_eq!(
            state.check_write().unwrap_err().kind(),
            io::ErrorKind::ConnectionReset
        );
        assert!(state.finish().is_err());
        assert_eq!(state.abandon(), None);
    }

    #[test]
    fn a_loss_after_the_end_of_the_stream_loses_nothing() {
        let mut state = State::default();
        state.on_flag(Flag::Fin);
        state.break_off();
        assert!(state.read_end().unwrap().is_ok());
    }

    #[test]
    fn stop_sending_ends_writes_and_still_acknowledges() {
        let mut state = State::default();
        state.on_flag(Flag::StopSending);
        assert_eq!(state.check_write().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(state.finish().unwrap(), Some(Flag::Fin));
        let mut stopped = State::default();
        stopped.finish().unwrap();
        assert_eq!(stopped.abandon(), Some(Flag::StopSending));
        assert_eq!(stopped.on_flag(Flag::Fin), Some(Flag::FinAck));
    }

    #[test]
    fn last_words_to_a_remote_that_left_are_swallowed_but_no_answer_is() {
        let mut stopped = State::default();
        stopped.on_flag(Flag::StopSending);
        let mut gone = State::default();
        gone.on_flag(Flag::Fin);
        gone.break_off();
        for mut state in [stopped, gone] {
            assert!(state.is_unheard());
            assert!(state.swallow(UNHEARD_BYTES_MAX).is_ok());
            assert!(state.swallow(1).is_err());
        }
        let mut broken = State::default();
        broken.on_flag(Flag::Reset);
        assert!(!broken.is_unheard());
    }

    #[test]
    fn an_unfinished_stream_is_reset_when_dropped() {
        let mut state = State::default();
        assert_eq!(state.abandon(), Some(Flag::Reset));
        assert!(state.is_over());
    }
}

#[cfg(all(test, not(target_family = "wasm")))]
mod properties {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Flag(Flag),
        Finish,
        Abandon,
        Lose,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            prop::sample::select(vec![Flag::Fin, Flag::StopSending, Flag::Reset, Flag::FinAck])
                .prop_map(Step::Flag),
            Just(Step::Finish),
            Just(Step::Abandon),
            Just(Step::Lose),
        ]
    }

    proptest! {
        #[test]
        fn what_ended_stays_ended(steps in prop::collection::vec(step(), 0..20)) {
            let mut state = State::default();
            for step in steps {
                let before = state;
                match step {
                    Step::Flag(flag) => {
                        let reply = state.on_flag(flag);
                        prop_assert_eq!(reply.is_some(), flag == Flag::Fin);
                    }
                    Step::Finish => drop(state.finish()),
                    Step::Abandon => drop(state.abandon()),
                    Step::Lose => state.break_off(),
                }
                prop_assert!(before.wants_data() || !state.wants_data());
                prop_assert!(before.check_write().is_ok() || state.check_write().is_err());
            }
        }
    }
}
