"""The part of CBOR (RFC 8949) that the protocol uses: integers, byte strings, texts, arrays and null, all in their one
shortest form. `decode` refuses every other form, so whatever it reads `encode` writes again alike."""


class Malformed(ValueError):
    pass


def head(major, number):
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 24:
            return bytes([major << 5 | number])
        if number < 1 << 8 * size:
            return bytes([major << 5 | info]) + number.to_bytes(size, "big")
    raise ValueError("a number of more than 64 bits")


def encode(value):
    if value is None:
        return b"\xf6"
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        text = value.encode()
        return head(3, len(text)) + text
    return head(4, len(value)) + b"".join(map(encode, value))


def decode(data):
    value, end = item(data, 0)
    if end != len(data):
        raise Malformed("bytes after the end")
    return value


def item(data, at):
    if at >= len(data):
        raise Malformed("cut short")
    start, first, major, info, at = at, data[at], data[at] >> 5, data[at] & 31, at + 1
    if first == 0xF6:
        return None, at
    if info > 27 or major > 4:
        raise Malformed("not a form that the protocol uses")
    number = info
    if info >= 24:
        size = 1 << info - 24
        number = int.from_bytes(data[at : at + size], "big")
        at += size
    if at > len(data):
        raise Malformed("cut short")
    if head(major, number) != data[start:at]:
        raise Malformed("a length or number that is not in its shortest form")
    if major == 0:
        return number, at
    if major == 1:
        return -1 - number, at
    if major < 4:
        content, at = data[at : at + number], at + number
        if at > len(data):
            raise Malformed("cut short")
        return (content if major == 2 else content.decode()), at
    values = []
    for _ in range(number):
        value, at = item(data, at)
        values.append(value)
    return values, at
