//! The part of CBOR (RFC 8949) that outcomes and messages are written in: whole numbers, bytes, text and lists, each in its shortest
//! form and in no other, so that what is the same has the same bytes.
//!
//! By hand and not derived, because a page carries it: derived readers of the same types have five times the code.

const NUMBER: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const LIST: u8 = 4;

/// Writes.
#[derive(Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn number(&mut self, number: u64) {
        self.head(NUMBER, number);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.string(BYTES, bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.string(TEXT, text.as_bytes());
    }

    /// So many items follow.
    pub(crate) fn list(&mut self, items: u64) {
        self.head(LIST, items);
    }

    /// A case of an enum, whose fields follow.
    pub(crate) fn case(&mut self, case: u64, fields: u64) {
        self.list(2);
        self.number(case);
        self.list(fields);
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }

    fn string(&mut self, kind: u8, bytes: &[u8]) {
        self.head(kind, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn head(&mut self, kind: u8, value: u64) {
        let (info, length) = match value {
            // Less than 24.
            0..24 => (value as u8, 0),
            24..0x100 => (24, 1),
            0x100..0x1_0000 => (25, 2),
            0x1_0000..0x1_0000_0000 => (26, 4),
            _ => (27, 8),
        };
        self.0.push(kind << 5 | info);
        self.0.extend_from_slice(&value.to_be_bytes()[8 - length..]);
    }
}

/// Reads. Each function gives nothing where something else stands.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn number(&mut self) -> Option<u64> {
        self.head(NUMBER)
    }

    pub(crate) fn bytes(&mut self) -> Option<Vec<u8>> {
        self.string(BYTES).map(<[u8]>::to_vec)
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        str::from_utf8(self.string(TEXT)?).ok().map(str::to_owned)
    }

    pub(crate) fn list(&mut self, items: u64) -> Option<()> {
        (self.head(LIST)? == items).then_some(())
    }

    /// A case of an enum, whose list of fields follows.
    pub(crate) fn case(&mut self) -> Option<u64> {
        self.list(2)?;
        self.number()
    }

    /// Gives what was read, if that was all.
    pub(crate) fn finish<T>(self, read: T) -> Option<T> {
        self.0.is_empty().then_some(read)
    }

    fn string(&mut self, kind: u8) -> Option<&'a [u8]> {
        let length = usize::try_from(self.head(kind)?).ok()?;
        let (string, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(string)
    }

    fn head(&mut self, kind: u8) -> Option<u64> {
        let (&first, rest) = self.0.split_first()?;
        let info = first & 31;
        if first >> 5 != kind || info > 27 {
            return None;
        }
        if info < 24 {
            self.0 = rest;
            return Some(info.into());
        }
        let length = 1_usize << (info - 24);
        let (digits, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        let value = digits
            .iter()
            .fold(0, |value, &digit| value << 8 | u64::from(digit));
        let shorter = if length == 1 {
            value < 24
        } else {
            value >> (length * 4) == 0
        };
        (!shorter).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_form() {
        // From RFC 8949, appendix A.
        let known: [(u64, &[u8]); 8] = [
            (0, &[0x00]),
            (23, &[0x17]),
            (24, &[0x18, 24]),
            (255, &[0x18, 255]),
            (1_000, &[0x19, 0x03, 0xe8]),
            (1_000_000, &[0x1a, 0x00, 0x0f, 0x42, 0x40]),
            (
                1_000_000_000_000,
                &[0x1b, 0x00, 0x00, 0x00, 0xe8, 0xd4, 0xa5, 0x10, 0x00],
            ),
            (u64::MAX, &[0x1b, 255, 255, 255, 255, 255, 255, 255, 255]),
        ];
        for (number, bytes) in known {
            let mut writer = Writer::default();
            writer.number(number);
            assert_eq!(writer.finish(), bytes);
            let mut reader = Reader(bytes);
            assert_eq!(reader.number(), Some(number));
            assert_eq!(reader.finish(()), Some(()));
            assert_eq!(Reader(&bytes[..bytes.len() - 1]).number(), None);
        }
        let longer: [&[u8]; 5] = [
            &[0x18, 23],
            &[0x19, 0, 255],
            &[0x1a, 0, 0, 255, 255],
            &[0x1b, 0, 0, 0, 0, 255, 255, 255, 255],
            &[0x1f],
        ];
        for bytes in longer {
            assert_eq!(Reader(bytes).number(), None, "{bytes:?}");
        }
    }

    #[test]
    fn lengths_are_compared_with_what_is_there() {
        assert_eq!(Reader(&[0x42, 1, 2]).bytes(), Some(vec![1, 2]));
        assert_eq!(Reader(&[0x43, 1, 2]).bytes(), None);
        assert_eq!(
            Reader(&[0x5b, 255, 255, 255, 255, 255, 255, 255, 255]).bytes(),
            None
        );
        assert_eq!(Reader(&[0x61, 0xff]).text(), None);
        assert_eq!(Reader(&[0x61, b'a']).text().as_deref(), Some("a"));
    }
}
