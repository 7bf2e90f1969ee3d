//! The prime factors of every number of a range.
//!
//! Input: the first number and how many, as little-endian 64-bit numbers. Output: UTF-8, one number a line, `91 = 7 * 13`. Small factors are
//! found by division, large ones by Pollard's rho method in Brent's form (BIT 20, 1980), and primes are known by the Miller-Rabin
//! test with the bases that are sufficient for 64 bits (Sorenson and Webster, 2015).

use std::fmt::Write;

/// Numbers of one range: more belong into more inputs, which other machines can take.
const COUNT_MAX: u64 = 100_000;
/// Factors up to this one are found by division.
const SMALL: u64 = 1_000;

guest::entry!(|input| {
    let number = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes);
    let halves = input
        .split_at_checked(8)
        .map(|(first, count)| (number(first), number(count)));
    let Some((Ok(first), Ok(count))) = halves else {
        return Err("two numbers of eight bytes are needed".into());
    };
    if count > COUNT_MAX {
        return Err(format!("{count} numbers: at most {COUNT_MAX} are taken"));
    }
    let end = first
        .checked_add(count)
        .filter(|_| first > 0)
        .ok_or("the numbers go from 1 to 2^64 - 1")?;
    let mut out = String::new();
    for number in first..end {
        let texts: Vec<String> = factors(number).iter().map(u64::to_string).collect();
        // Writing to a string does not fail.
        let _ = writeln!(out, "{number} = {}", texts.join(" * "));
    }
    Ok(out.into_bytes())
});

/// In ascending order; 1 has itself.
fn factors(number: u64) -> Vec<u64> {
    let mut found = Vec::new();
    let mut rest = number;
    let mut divisor = 2;
    while divisor <= SMALL && divisor * divisor <= rest {
        while rest.is_multiple_of(divisor) {
            found.push(divisor);
            rest /= divisor;
        }
        divisor += 1 + divisor % 2;
    }
    let mut open = vec![rest];
    while let Some(part) = open.pop() {
        if part == 1 {
            continue;
        }
        // Without a factor up to SMALL, whatever is below its square is prime.
        if part < SMALL * SMALL || is_prime(part) {
            found.push(part);
        } else {
            let factor = (1..).find_map(|step| split(part, step)).unwrap_or(part);
            open.extend([factor, part / factor]);
        }
    }
    if found.is_empty() {
        found.push(number);
    }
    found.sort_unstable();
    found
}

fn is_prime(number: u64) -> bool {
    let odd = (number - 1) >> (number - 1).trailing_zeros();
    [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37]
        .into_iter()
        .all(|base| {
            let mut exponent = odd;
            let mut power = raise(base, exponent, number);
            while exponent != number - 1 && power != 1 && power != number - 1 {
                power = times(power, power, number);
                exponent <<= 1;
            }
            power == number - 1 || exponent & 1 == 1
        })
}

/// A proper factor of a composite number, if this walk finds one.
fn split(number: u64, step: u64) -> Option<u64> {
    // Less than the modulus.
    let next = |x: u64| ((u128::from(times(x, x, number)) + u128::from(step)) % u128::from(number)) as u64;
    let (mut slow, mut fast) = (2, 2);
    loop {
        slow = next(slow);
        fast = next(next(fast));
        match greatest_common_divisor(slow.abs_diff(fast), number) {
            1 => {}
            divisor if divisor == number => return None,
            divisor => return Some(divisor),
        }
    }
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn times(a: u64, b: u64, modulus: u64) -> u64 {
    // Less than the modulus.
    (u128::from(a) * u128::from(b) % u128::from(modulus)) as u64
}

fn raise(base: u64, mut exponent: u64, modulus: u64) -> u64 {
    let (mut result, mut square) = (1, base % modulus);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = times(result, square, modulus);
        }
        square = times(square, square, modulus);
        exponent >>= 1;
    }
    result
}
