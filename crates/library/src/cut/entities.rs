//! HTML's character references, as far as texts use them.
//!
//! Numbers are all understood, per [HTML, 13.2.5.80]; of the 2,231 names those for Western letters, punctuation, arrows and
//! common signs. Unknown names stay as they are written.
//!
//! [HTML, 13.2.5.80]: https://html.spec.whatwg.org/multipage/parsing.html#numeric-character-reference-end-state

/// Longest name that is looked at, bytes.
const NAME_BYTES_MAX: usize = 8;

/// Reads a reference at the start of a text that begins with `&`: its letter, and how many bytes it takes.
pub(super) fn decode(text: &str) -> Option<(char, usize)> {
    let rest = text.strip_prefix('&')?;
    if let Some(number) = rest.strip_prefix('#') {
        let (digits, radix, before) = match number.strip_prefix(['x', 'X']) {
            Some(digits) => (digits, 16, 3),
            None => (number, 10, 2),
        };
        return numeric(digits, radix).map(|(letter, length)| (letter, before + length));
    }
    let end = rest
        .bytes()
        .take(NAME_BYTES_MAX + 1)
        .position(|byte| !byte.is_ascii_alphanumeric())?;
    // Without its semicolon a name is one only to browsers, and an address's "&copy=1" is none.
    if rest.as_bytes()[end] != b';' {
        return None;
    }
    let name = &rest[..end];
    let place = NAMES.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
    Some((NAMES[place].1, end + 2))
}

/// The letter with a number, and how many bytes the digits and the semicolon take.
fn numeric(digits: &str, radix: u32) -> Option<(char, usize)> {
    let count = digits
        .bytes()
        .take_while(|byte| char::from(*byte).is_digit(radix))
        .count();
    if count == 0 {
        return None;
    }
    let ends = usize::from(digits.as_bytes().get(count) == Some(&b';'));
    let number = u32::from_str_radix(&digits[..count], radix).unwrap_or(u32::MAX);
    let letter = match number {
        0 => char::REPLACEMENT_CHARACTER,
        0x80..=0x9f => WINDOWS_1252[(number - 0x80) as usize],
        _ => char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER),
    };
    Some((letter, count + ends))
}

/// What numbers from 0x80 to 0x9f mean, since pages were long written by programs that meant Windows' letters.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// In the order of their bytes.
#[rustfmt::skip]
const NAMES: &[(&str, char)] = &[
    ("AElig", 'Æ'), ("Aacute", 'Á'), ("Acirc", 'Â'), ("Agrave", 'À'), ("Alpha", 'Α'), ("Aring", 'Å'), ("Atilde", 'Ã'),
    ("Auml", 'Ä'), ("Beta", 'Β'), ("Ccedil", 'Ç'), ("Delta", 'Δ'), ("ETH", 'Ð'), ("Eacute", 'É'), ("Ecirc", 'Ê'),
    ("Egrave", 'È'), ("Euml", 'Ë'), ("Gamma", 'Γ'), ("Iacute", 'Í'), ("Icirc", 'Î'), ("Igrave", 'Ì'), ("Iuml", 'Ï'),
    ("Lambda", 'Λ'), ("Ntilde", 'Ñ'), ("OElig", 'Œ'), ("Oacute", 'Ó'), ("Ocirc", 'Ô'), ("Ograve", 'Ò'), ("Omega", 'Ω'),
    ("Oslash", 'Ø'), ("Otilde", 'Õ'), ("Ouml", 'Ö'), ("Phi", 'Φ'), ("Pi", 'Π'), ("Psi", 'Ψ'), ("Scaron", 'Š'),
    ("Sigma", 'Σ'), ("THORN", 'Þ'), ("Theta", 'Θ'), ("Uacute", 'Ú'), ("Ucirc", 'Û'), ("Ugrave", 'Ù'), ("Uuml", 'Ü'),
    ("Yacute", 'Ý'), ("Yuml", 'Ÿ'), ("aacute", 'á'), ("acirc", 'â'), ("acute", '´'), ("aelig", 'æ'), ("agrave", 'à'),
    ("alpha", 'α'), ("amp", '&'), ("and", '∧'), ("apos", '\''), ("aring", 'å'), ("asymp", '≈'), ("atilde", 'ã'),
    ("auml", 'ä'), ("bdquo", '„'), ("beta", 'β'), ("bull", '•'), ("cap", '∩'), ("ccedil", 'ç'), ("cedil", '¸'),
    ("cent", '¢'), ("check", '✓'), ("chi", 'χ'), ("circ", 'ˆ'), ("copy", '©'), ("cup", '∪'), ("curren", '¤'),
    ("dArr", '⇓'), ("dagger", '†'), ("darr", '↓'), ("deg", '°'), ("delta", 'δ'), ("divide", '÷'), ("eacute", 'é'),
    ("ecirc", 'ê'), ("egrave", 'è'), ("empty", '∅'), ("emsp", '\u{2003}'), ("ensp", '\u{2002}'), ("epsilon", 'ε'),
    ("equiv", '≡'), ("eta", 'η'), ("eth", 'ð'), ("euml", 'ë'), ("euro", '€'), ("exist", '∃'), ("fnof", 'ƒ'),
    ("forall", '∀'), ("frac12", '½'), ("frac14", '¼'), ("frac34", '¾'), ("gamma", 'γ'), ("ge", '≥'), ("gt", '>'),
    ("hArr", '⇔'), ("harr", '↔'), ("hearts", '♥'), ("hellip", '…'), ("iacute", 'í'), ("icirc", 'î'), ("iexcl", '¡'),
    ("igrave", 'ì'), ("infin", '∞'), ("int", '∫'), ("iota", 'ι'), ("iquest", '¿'), ("isin", '∈'), ("iuml", 'ï'),
    ("kappa", 'κ'), ("lArr", '⇐'), ("lambda", 'λ'), ("laquo", '«'), ("larr", '←'), ("lceil", '⌈'), ("ldquo", '“'),
    ("le", '≤'), ("lfloor", '⌊'), ("loz", '◊'), ("lrm", '\u{200e}'), ("lsaquo", '‹'), ("lsquo", '‘'), ("lt", '<'),
    ("macr", '¯'), ("mdash", '—'), ("micro", 'µ'), ("middot", '·'), ("minus", '−'), ("mu", 'μ'), ("nabla", '∇'),
    ("nbsp", '\u{a0}'), ("ndash", '–'), ("ne", '≠'), ("ni", '∋'), ("not", '¬'), ("notin", '∉'), ("ntilde", 'ñ'),
    ("nu", 'ν'), ("oacute", 'ó'), ("ocirc", 'ô'), ("oelig", 'œ'), ("ograve", 'ò'), ("omega", 'ω'), ("oplus", '⊕'),
    ("or", '∨'), ("ordf", 'ª'), ("ordm", 'º'), ("oslash", 'ø'), ("otilde", 'õ'), ("otimes", '⊗'), ("ouml", 'ö'),
    ("para", '¶'), ("part", '∂'), ("permil", '‰'), ("perp", '⊥'), ("phi", 'φ'), ("pi", 'π'), ("plusmn", '±'),
    ("pound", '£'), ("prime", '′'), ("prod", '∏'), ("prop", '∝'), ("psi", 'ψ'), ("quot", '"'), ("rArr", '⇒'),
    ("radic", '√'), ("raquo", '»'), ("rarr", '→'), ("rceil", '⌉'), ("rdquo", '”'), ("reg", '®'), ("rfloor", '⌋'),
    ("rho", 'ρ'), ("rlm", '\u{200f}'), ("rsaquo", '›'), ("rsquo", '’'), ("sbquo", '‚'), ("scaron", 'š'), ("sdot", '⋅'),
    ("sect", '§'), ("shy", '\u{ad}'), ("sigma", 'σ'), ("sigmaf", 'ς'), ("sim", '∼'), ("sub", '⊂'), ("sube", '⊆'),
    ("sum", '∑'), ("sup", '⊃'), ("sup1", '¹'), ("sup2", '²'), ("sup3", '³'), ("supe", '⊇'), ("szlig", 'ß'),
    ("tau", 'τ'), ("theta", 'θ'), ("thinsp", '\u{2009}'), ("thorn", 'þ'), ("tilde", '˜'), ("times", '×'),
    ("trade", '™'), ("uArr", '⇑'), ("uacute", 'ú'), ("uarr", '↑'), ("ucirc", 'û'), ("ugrave", 'ù'), ("uml", '¨'),
    ("upsilon", 'υ'), ("uuml", 'ü'), ("xi", 'ξ'), ("yacute", 'ý'), ("yen", '¥'), ("yuml", 'ÿ'), ("zeta", 'ζ'),
    ("zwj", '\u{200d}'), ("zwnj", '\u{200c}'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_become_letters() {
        assert_eq!(decode("&amp;x"), Some(('&', 5)));
        assert_eq!(decode("&Auml;"), Some(('Ä', 6)));
        assert_eq!(decode("&#8212; "), Some(('—', 7)));
        assert_eq!(decode("&#x1F600;"), Some(('😀', 9)));
        assert_eq!(decode("&#150;"), Some(('–', 6)));
        // Numbers end without a semicolon, too.
        assert_eq!(decode("&#65 "), Some(('A', 4)));
    }

    #[test]
    fn what_is_none_stays() {
        for text in [
            "&",
            "&;",
            "&amp",
            "&copy=1",
            "&nosuchthing;",
            "&#;",
            "&#x;",
            "& b;",
            "&é;",
        ] {
            assert_eq!(decode(text), None, "{text}");
        }
        for text in ["&#0;", "&#xD800;", "&#99999999999999999999;"] {
            assert_eq!(decode(text), Some(('\u{fffd}', text.len())), "{text}");
        }
    }

    #[test]
    fn names_are_in_order_and_within_their_length() {
        assert!(NAMES.is_sorted_by(|a, b| a.0 < b.0));
        assert!(NAMES.iter().all(|(name, _)| name.len() <= NAME_BYTES_MAX));
    }
}
