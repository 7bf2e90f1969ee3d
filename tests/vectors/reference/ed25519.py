"""Ed25519 (RFC 8032), checked strictly: no small-order points, no signature that is not in its one form. For checking
vectors, not for secrets: it takes no care of timing."""

import hashlib

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def recover_x(y, sign):
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    return P - x if x & 1 != sign else x


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(factor, point):
    product = (0, 1, 1, 0)
    while factor:
        if factor & 1:
            product = add(product, point)
        point, factor = add(point, point), factor >> 1
    return product


def same(p, q):
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


def read_point(data):
    number = int.from_bytes(data, "little")
    y, sign = number & (1 << 255) - 1, number >> 255
    x = recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


def write_point(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = (recover_x(BASE_Y, 0), BASE_Y, 1, recover_x(BASE_Y, 0) * BASE_Y % P)
NEUTRAL = (0, 1, 1, 0)


def hash_number(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little")


def expand(secret):
    digest = hashlib.sha512(secret).digest()
    scalar = int.from_bytes(digest[:32], "little") & (1 << 254) - 8 | 1 << 254
    return scalar, digest[32:]


def public_key(secret):
    return write_point(multiply(expand(secret)[0], BASE))


def sign(secret, message):
    scalar, prefix = expand(secret)
    nonce = hash_number(prefix, message) % ORDER
    point = write_point(multiply(nonce, BASE))
    challenge = hash_number(point, public_key(secret), message) % ORDER
    return point + ((nonce + challenge * scalar) % ORDER).to_bytes(32, "little")


def verify(key, message, signature):
    point, nonce = read_point(key), read_point(signature[:32])
    response = int.from_bytes(signature[32:], "little")
    if point is None or nonce is None or response >= ORDER:
        return False
    if same(multiply(8, point), NEUTRAL) or same(multiply(8, nonce), NEUTRAL):
        return False
    challenge = hash_number(signature[:32], key, message) % ORDER
    return same(multiply(response, BASE), add(nonce, multiply(challenge, point)))
