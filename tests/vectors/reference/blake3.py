"""BLAKE3 (https://github.com/BLAKE3-team/BLAKE3-specs): hash, keyed hash and key derivation, 32 bytes of output."""

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
CHUNK_START, CHUNK_END, PARENT, ROOT, KEYED, CONTEXT, MATERIAL = (1 << bit for bit in range(7))
BLOCK, CHUNK, MASK = 64, 1024, 0xFFFFFFFF


def rotate(word, bits):
    return (word >> bits | word << 32 - bits) & MASK


def mix(state, a, b, c, d, x, y):
    for word, (first, second) in ((x, (16, 12)), (y, (8, 7))):
        state[a] = (state[a] + state[b] + word) & MASK
        state[d] = rotate(state[d] ^ state[a], first)
        state[c] = (state[c] + state[d]) & MASK
        state[b] = rotate(state[b] ^ state[c], second)


def compress(chain, block, length, counter, flags):
    words = [int.from_bytes(block.ljust(BLOCK, b"\0")[at : at + 4], "little") for at in range(0, BLOCK, 4)]
    state = [*chain, *IV[:4], counter & MASK, counter >> 32, length, flags]
    for _ in range(7):
        for column in range(4):
            mix(state, column, column + 4, column + 8, column + 12, *words[2 * column : 2 * column + 2])
        for row in range(4):
            places = (row, 4 + (row + 1) % 4, 8 + (row + 2) % 4, 12 + (row + 3) % 4)
            mix(state, *places, *words[8 + 2 * row : 10 + 2 * row])
        words = [words[place] for place in PERMUTATION]
    return [state[place] ^ state[place + 8] for place in range(8)]


def to_bytes(words):
    return b"".join(word.to_bytes(4, "little") for word in words)


def node(key, data, counter, flags, root):
    """The chaining value of the subtree over `data`, which begins at chunk `counter`."""
    if len(data) <= CHUNK:
        blocks = [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)] or [b""]
        chain = key
        for place, block in enumerate(blocks):
            last = place == len(blocks) - 1
            extra = CHUNK_START * (place == 0) | CHUNK_END * last | ROOT * (last and root)
            chain = compress(chain, block, len(block), counter, flags | extra)
        return chain
    left = CHUNK << ((len(data) - 1) // CHUNK).bit_length() - 1
    children = node(key, data[:left], counter, flags, False) + node(
        key, data[left:], counter + left // CHUNK, flags, False
    )
    return compress(key, to_bytes(children), BLOCK, 0, flags | PARENT | ROOT * root)


def words_of(key):
    return [int.from_bytes(key[at : at + 4], "little") for at in range(0, 32, 4)]


def blake3(data):
    return to_bytes(node(list(IV), data, 0, 0, True))


def keyed_hash(key, data):
    return to_bytes(node(words_of(key), data, 0, KEYED, True))


def derive_key(context, material):
    key = node(list(IV), context.encode(), 0, CONTEXT, True)
    return to_bytes(node(key, material, 0, MATERIAL, True))
