//! Numbers as people read them: a unit, sensible rounding, and "unknown" where nothing was measured.

use node_proto::ids::{Millicredits, NodeId};

use crate::text;

/// Credits without trailing zeros: "0.4 credits", "1 credit".
pub fn credits(amount: Millicredits) -> String {
    let number = amount_only(amount);
    if amount.0.unsigned_abs() == 1000 {
        text::one_credit(&number)
    } else {
        text::credits(&number)
    }
}

/// The number of [`credits`] alone, for tables that name the unit in their head.
pub fn amount_only(amount: Millicredits) -> String {
    let full = amount.to_string();
    let short = full.trim_end_matches('0').trim_end_matches('.');
    short
        .strip_prefix('-')
        .map_or_else(|| short.to_owned(), |digits| format!("−{digits}"))
}

/// What a person types for an amount: "0.4", "0,4", "12". At most three places are heard; nothing below zero is.
pub fn parse_credits(typed: &str) -> Option<Millicredits> {
    let typed = typed.trim();
    let (whole, part) = typed.split_once(['.', ',']).unwrap_or((typed, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && part.is_empty()) || !digits(whole) || !digits(part) {
        return None;
    }
    let thousandths = part.bytes().chain(*b"000").take(3);
    let millicredits = whole.bytes().chain(thousandths).try_fold(0_i64, |sum, digit| {
        sum.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
    });
    millicredits.map(Millicredits)
}

/// A change of balance, its sign always written: "+0.4".
pub fn signed(amount: Millicredits) -> String {
    if amount.0 > 0 {
        format!("+{}", amount_only(amount))
    } else {
        amount_only(amount)
    }
}

/// A duration that was measured: "85 ms", "1.4 s", "3 min".
pub fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h {} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

/// How long ago: "now", "40 s ago", "3 min ago".
pub fn age(ms: u64) -> String {
    match ms {
        0..5_000 => text::JUST_NOW.to_owned(),
        5_000..60_000 => text::ago(&format!("{} s", ms / 1_000)),
        60_000..3_600_000 => text::ago(&format!("{} min", ms / 60_000)),
        3_600_000..86_400_000 => text::ago(&format!("{} h", ms / 3_600_000)),
        _ => text::ago(&format!("{} d", ms / 86_400_000)),
    }
}

/// Bytes in decimal units, as storage is sold: "12 kB", "87 MB", "1.2 GB".
pub fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{} kB", count / 1_000),
        1_000_000..1_000_000_000 => format!("{} MB", count / 1_000_000),
        _ => format!(
            "{}.{} GB",
            count / 1_000_000_000,
            count % 1_000_000_000 / 100_000_000
        ),
    }
}

/// A share of one: "62 %".
pub fn percent(share: f32) -> String {
    format!("{:.0} %", f64::from(share.clamp(0.0, 1.0)) * 100.0)
}

/// A range of shares: "41–93 %".
pub fn percent_range(low: f32, high: f32) -> String {
    let number = |share: f32| f64::from(share.clamp(0.0, 1.0)) * 100.0;
    format!("{:.0}–{:.0} %", number(low), number(high))
}

/// A similarity between −1 and 1: "0.50".
pub fn similarity(cosine: f32) -> String {
    let written = format!("{cosine:.2}");
    if written == "-0.00" {
        "0.00".to_owned()
    } else {
        written.replace('-', "−")
    }
}

/// A dimensionless factor given in parts per million: "×1.25".
pub fn multiplier(ppm: u32) -> String {
    let hundredths = (u64::from(ppm) + 5_000) / 10_000;
    format!("×{}.{:02}", hundredths / 100, hundredths % 100)
}

/// The end of a peer id, which is what differs between two of them: "…x7Kp9Q".
pub fn short_id(id: NodeId) -> String {
    let full = id.to_string();
    format!("…{}", &full[full.len().saturating_sub(6)..])
}

/// The head of a hash.
pub fn short_hash(hash: &impl ToString) -> String {
    let full = hash.to_string();
    full.get(..8)
        .map_or_else(|| full.clone(), |head| format!("{head}…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credits_are_short_and_exact() {
        assert_eq!(credits(Millicredits(400)), "0.4 credits");
        assert_eq!(credits(Millicredits(1_000)), "1 credit");
        assert_eq!(credits(Millicredits(0)), "0 credits");
        assert_eq!(credits(Millicredits(12_005)), "12.005 credits");
        assert_eq!(credits(Millicredits(10_000)), "10 credits");
        assert_eq!(signed(Millicredits(-412)), "−0.412");
        assert_eq!(signed(Millicredits(412)), "+0.412");
    }

    #[test]
    fn amounts_are_read_as_people_type_them() {
        let read = |typed| parse_credits(typed).map(|amount| amount.0);
        assert_eq!(read(" 0.4"), Some(400));
        assert_eq!(read("12,005"), Some(12_005));
        assert_eq!(read("7"), Some(7_000));
        assert_eq!(read(".5"), Some(500));
        assert_eq!(read("1.23456"), Some(1_234));
        for wrong in ["", ".", "-1", "1.2.3", "ten", "99999999999999999999"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations_change_unit_before_they_get_long() {
        assert_eq!(duration(85), "85 ms");
        assert_eq!(duration(1_449), "1.4 s");
        assert_eq!(duration(61_000), "1 min");
        assert_eq!(duration(3_720_000), "1 h 2 min");
        assert_eq!(age(200), "just now");
        assert_eq!(age(40_000), "40 s ago");
    }

    #[test]
    fn bytes_shares_and_factors_round_sensibly() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(90_868_000), "90 MB");
        assert_eq!(bytes(1_073_741_824), "1.0 GB");
        assert_eq!(percent(0.624), "62 %");
        assert_eq!(percent_range(0.41, 1.7), "41–100 %");
        assert_eq!([0.504, -0.07, -0.001].map(similarity), ["0.50", "−0.07", "0.00"]);
        assert_eq!(multiplier(1_254_999), "×1.25");
        assert_eq!(multiplier(1_255_000), "×1.26");
    }

    #[test]
    fn ids_are_named_by_what_differs() {
        let short = short_id(NodeId([7; 32]));
        assert!(NodeId([7; 32]).to_string().ends_with(&short["…".len()..]));
        assert_eq!(short_hash(&"ab".repeat(32)), "abababab…");
    }
}
