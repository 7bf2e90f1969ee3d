//! Operators that sample images at computed places.

use super::call::{Call, Outcome, floats, one, size, sizes};
use super::place::{strides, walk, work};
use super::resize::cubic;
use crate::tensor::{Tensor, elements};

/// GridSample has no attribute for its cubic kernel: the document fixes it.
const CUBIC: f32 = -0.75;

/// GridSample: reads an image at places that a second tensor gives in −1…1.
pub(super) fn grid_sample(call: &Call<'_>) -> Outcome {
    let (input, grid) = (call.input(0)?, call.input(1)?);
    let [batch, channels, spatial @ ..] = input.dims() else {
        return Err("it needs an image with channels".into());
    };
    let [grid_batch, out @ .., depth] = grid.dims() else {
        return Err("its grid has no places".into());
    };
    let count = spatial.len();
    if grid_batch != batch || *depth != count || out.len() != count || count == 0 || spatial.contains(&0) {
        return Err("its grid does not fit its image".into());
    }
    let sampler = Sampler {
        mode: match call.text("mode", "linear") {
            "linear" | "bilinear" => Mode::Linear,
            "cubic" | "bicubic" => Mode::Cubic,
            "nearest" => Mode::Nearest,
            other => return Err(format!("mode {other:?}").into()),
        },
        padding: match call.text("padding_mode", "zeros") {
            "zeros" => Padding::Zeros,
            "border" => Padding::Border,
            "reflection" => Padding::Reflection,
            other => return Err(format!("padding_mode {other:?}").into()),
        },
        aligned: call.flag("align_corners", false),
    };
    let dims = [&[*batch, *channels], out].concat();
    // At most four taps along each axis.
    work(&[&dims[..], &vec![4; count]].concat())?;
    let mut result = vec![0.0; elements(&dims)?];
    let (values, places) = (floats(input)?, floats(grid)?);
    let (own, area, positions): (_, usize, usize) =
        (strides(spatial), spatial.iter().product(), out.iter().product());
    for image in 0..*batch {
        for position in 0..positions {
            let given = &places[(image * positions + position) * count..][..count];
            // The grid names the last axis first.
            let taps: Vec<Vec<(Option<usize>, f32)>> = (0..count)
                .map(|at| sampler.taps(given[count - 1 - at], spatial[at]))
                .collect();
            let widths: Vec<usize> = taps.iter().map(Vec::len).collect();
            for channel in 0..*channels {
                let start = (image * channels + channel) * area;
                let mut sum = 0.0_f64;
                walk(&widths, |index| {
                    let mut weight = 1.0_f64;
                    let place = (0..count).try_fold(0, |place, at| {
                        let (row, factor) = taps[at][index[at]];
                        weight *= f64::from(factor);
                        row.map(|row| place + row * own[at])
                    });
                    if let Some(place) = place {
                        sum += weight * f64::from(values[start + place]);
                    }
                });
                result[(image * channels + channel) * positions + position] = sum as f32;
            }
        }
    }
    one(Tensor::floats(&dims, result))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Linear,
    Cubic,
    Nearest,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Padding {
    Zeros,
    Border,
    Reflection,
}

struct Sampler {
    mode: Mode,
    padding: Padding,
    aligned: bool,
}

impl Sampler {
    /// The rows that a place in −1…1 reads along an axis; `None` reads zero.
    fn taps(&self, given: f32, size: usize) -> Vec<(Option<usize>, f32)> {
        let length = size as f32;
        let place = if self.aligned {
            (given + 1.0) / 2.0 * (length - 1.0)
        } else {
            ((given + 1.0) * length - 1.0) / 2.0
        };
        let place = if self.mode == Mode::Nearest {
            place.round_ties_even()
        } else {
            place
        };
        // For linear reading the place itself is folded back, for cubic reading each row that it touches.
        let place = if self.mode == Mode::Cubic {
            place
        } else {
            self.folded(place, length)
        };
        let whole = place.floor();
        let fraction = place - whole;
        let row = |offset: f32| {
            let row = self.folded(whole + offset, length);
            (row >= 0.0 && row < length).then_some(row as usize)
        };
        match self.mode {
            Mode::Nearest => vec![(row(0.0), 1.0)],
            Mode::Linear => vec![(row(0.0), 1.0 - fraction), (row(1.0), fraction)],
            Mode::Cubic => [-1.0, 0.0, 1.0, 2.0]
                .map(|at| (row(at), cubic(fraction - at, CUBIC)))
                .to_vec(),
        }
    }

    fn folded(&self, place: f32, length: f32) -> f32 {
        match self.padding {
            Padding::Zeros => place,
            Padding::Border => place.clamp(0.0, length - 1.0),
            Padding::Reflection => {
                let (low, high) = if self.aligned {
                    (0.0, length - 1.0)
                } else {
                    (-0.5, length - 0.5)
                };
                let range = high - low;
                if range <= 0.0 {
                    return 0.0;
                }
                let round = (place - low).rem_euclid(2.0 * range);
                let inside = if round > range { 2.0 * range - round } else { round } + low;
                inside.clamp(0.0, length - 1.0)
            }
        }
    }
}

/// AffineGrid: the places that an affine map gives to the cells of an image.
pub(super) fn affine_grid(call: &Call<'_>) -> Outcome {
    let theta = call.input(0)?;
    let wanted = sizes(call.integers(1)?)?;
    let [batch, _, spatial @ ..] = &wanted[..] else {
        return Err("its size has no axes".into());
    };
    let count = spatial.len();
    if theta.dims() != [*batch, count, count + 1] || count == 0 {
        return Err("its maps do not fit its size".into());
    }
    let aligned = call.flag("align_corners", false);
    let dims = [&[*batch], spatial, &[count]].concat();
    let mut values = Vec::with_capacity(elements(&dims)?);
    let maps = floats(theta)?;
    let place = |row: usize, size: usize| -> f32 {
        let (row, length) = (row as f32, size as f32);
        if aligned {
            if size > 1 {
                -1.0 + 2.0 * row / (length - 1.0)
            } else {
                0.0
            }
        } else {
            (2.0 * row + 1.0) / length - 1.0
        }
    };
    for image in 0..*batch {
        walk(spatial, |index| {
            for out in 0..count {
                let map = &maps[(image * count + out) * (count + 1)..][..=count];
                // Places name the last axis first.
                let sum: f32 = (0..count)
                    .map(|at| map[at] * place(index[count - 1 - at], spatial[count - 1 - at]))
                    .sum();
                values.push(sum + map[count]);
            }
        });
    }
    one(Tensor::floats(&dims, values))
}

/// RoiAlign: the average or maximum of points inside the cells of regions.
pub(super) fn roi_align(call: &Call<'_>) -> Outcome {
    let (input, rois, batches) = (call.input(0)?, call.input(1)?, call.integers(2)?);
    let (&[images, channels, height, width], &[count, 4]) = (input.dims(), rois.dims()) else {
        return Err("its image or regions have the wrong shape".into());
    };
    if batches.len() != count || height == 0 || width == 0 {
        return Err("it has not one image for each region".into());
    }
    let (rows, columns) = (
        size(call.int("output_height", 1))?,
        size(call.int("output_width", 1))?,
    );
    let ratio = size(call.int("sampling_ratio", 0))?;
    let scale = call.float("spatial_scale", 1.0);
    let shift = match call.text(
        "coordinate_transformation_mode",
        if call.opset() < 16 {
            "output_half_pixel"
        } else {
            "half_pixel"
        },
    ) {
        "half_pixel" => 0.5,
        _ => 0.0,
    };
    let average = call.text("mode", "avg") == "avg";
    let dims = [count, channels, rows, columns];
    let mut values = vec![0.0_f32; elements(&dims)?];
    let (pixels, regions) = (floats(input)?, floats(rois)?);
    for region in 0..count {
        let image = super::call::axis(batches[region], images)?;
        let edges: Vec<f32> = regions[region * 4..][..4]
            .iter()
            .map(|x| x * scale - shift)
            .collect();
        let least = if shift == 0.0 { 1.0 } else { f32::MIN };
        let (w, h) = ((edges[2] - edges[0]).max(least), (edges[3] - edges[1]).max(least));
        let (cell_w, cell_h) = (w / columns as f32, h / rows as f32);
        let grid = |cell: f32| {
            if ratio > 0 {
                ratio
            } else {
                cell.ceil().clamp(1.0, 1024.0) as usize
            }
        };
        let (points_y, points_x) = (grid(cell_h), grid(cell_w));
        work(&[count, channels, rows, columns, points_y, points_x])?;
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            for channel in 0..channels {
                let plane = &pixels[(image * channels + channel) * height * width..][..height * width];
                let points = (0..points_y)
                    .flat_map(|y| (0..points_x).map(move |x| (y, x)))
                    .map(|(y, x)| {
                        let py = edges[1] + cell_h * (row as f32 + (y as f32 + 0.5) / points_y as f32);
                        let px = edges[0] + cell_w * (column as f32 + (x as f32 + 0.5) / points_x as f32);
                        corners(py, px, height, width).map(|(place, weight)| weight * plane[place])
                    });
                let total = (points_y * points_x) as f32;
                let value = if average {
                    points.map(|parts| parts.iter().sum::<f32>()).sum::<f32>() / total
                } else {
                    points.flatten().fold(f32::NEG_INFINITY, f32::max)
                };
                values[((region * channels + channel) * rows + row) * columns + column] = value;
            }
        }
    }
    one(Tensor::floats(&dims, values))
}

/// The four pixels around a point and their weights; outside the image all weights are 0.
fn corners(y: f32, x: f32, height: usize, width: usize) -> [(usize, f32); 4] {
    let outside = y < -1.0 || y > height as f32 || x < -1.0 || x > width as f32;
    if outside || y.is_nan() || x.is_nan() {
        return [(0, 0.0); 4];
    }
    let axis = |at: f32, size: usize| -> (usize, usize, f32) {
        let at = at.max(0.0);
        let low = at as usize;
        if low + 1 >= size {
            (size - 1, size - 1, 0.0)
        } else {
            (low, low + 1, at - low as f32)
        }
    };
    let ((top, bottom, fy), (left, right, fx)) = (axis(y, height), axis(x, width));
    [
        (top * width + left, (1.0 - fy) * (1.0 - fx)),
        (top * width + right, (1.0 - fy) * fx),
        (bottom * width + left, fy * (1.0 - fx)),
        (bottom * width + right, fy * fx),
    ]
}
