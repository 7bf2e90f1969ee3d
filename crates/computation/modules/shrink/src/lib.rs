//! A smaller picture: each of its pixels is the average of the area that it covers.
//!
//! Input: width, height, new width, new height as little-endian 32-bit numbers, then the picture as rows of RGBA bytes. Output: the
//! new picture as rows of RGBA bytes. Colours are weighed by their opacity, so that what is transparent lends no colour.

guest::entry!(|input| {
    let (size, pixels) = input.split_at_checked(16).ok_or("the picture has no size")?;
    let mut numbers = size.chunks_exact(4).map(|bytes| {
        bytes
            .iter()
            .rev()
            .fold(0, |number, &byte| number << 8 | usize::from(byte))
    });
    let mut next = || numbers.next().unwrap_or(0);
    let (from, to) = ((next(), next()), (next(), next()));
    for side in [from.0, from.1, to.0, to.1] {
        if !(1..=SIDE_MAX).contains(&side) {
            return Err(format!("a side of {side} pixels: 1 to {SIDE_MAX} are possible"));
        }
    }
    if to.0 > from.0 || to.1 > from.1 {
        return Err("the new picture is larger than the picture".into());
    }
    if pixels.len() != from.0 * from.1 * 4 {
        let needed = from.0 * from.1 * 4;
        return Err(format!(
            "{needed} bytes of pixels belong to this size, and there are {}",
            pixels.len()
        ));
    }
    Ok(shrink(pixels, from, to))
});

/// The longest side: its square is within 32 bits.
const SIDE_MAX: usize = 16_384;

fn shrink(pixels: &[u8], from: (usize, usize), to: (usize, usize)) -> Vec<u8> {
    let columns: Vec<_> = (0..to.0).map(|x| shares(x, from.0, to.0)).collect();
    let mut out = Vec::with_capacity(to.0 * to.1 * 4);
    for y in 0..to.1 {
        let rows = shares(y, from.1, to.1);
        for columns in &columns {
            let mut sum = [0_f32; 4];
            let mut area = 0_f32;
            for &(row, high) in &rows {
                for &(column, wide) in columns {
                    let at = (row * from.0 + column) * 4;
                    let Some(&[red, green, blue, alpha]) =
                        pixels.get(at..at + 4).and_then(|it| it.first_chunk())
                    else {
                        continue;
                    };
                    let share = high * wide;
                    let opaque = share * f32::from(alpha);
                    sum[0] += opaque * f32::from(red);
                    sum[1] += opaque * f32::from(green);
                    sum[2] += opaque * f32::from(blue);
                    sum[3] += opaque;
                    area += share;
                }
            }
            let colour = |sum: f32, weight: f32| {
                if weight > 0.0 {
                    (sum / weight + 0.5) as u8
                } else {
                    0
                }
            };
            out.extend([
                colour(sum[0], sum[3]),
                colour(sum[1], sum[3]),
                colour(sum[2], sum[3]),
                colour(sum[3], area),
            ]);
        }
    }
    out
}

/// The pixels that a new pixel covers along one side, and how much of each.
fn shares(index: usize, from: usize, to: usize) -> Vec<(usize, f32)> {
    // In units of which a pixel has `to` and a new one has `from`.
    let (start, end) = (index * from, (index + 1) * from);
    (start / to..end.div_ceil(to))
        .map(|pixel| {
            let covered = end.min((pixel + 1) * to) - start.max(pixel * to);
            (pixel, covered as f32 / to as f32)
        })
        .collect()
}
