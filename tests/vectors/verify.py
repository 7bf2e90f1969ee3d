#!/usr/bin/env python3
"""Checks vectors.json by docs/protocol.md alone: nothing here is shared with the Rust code or taken from a package.

Every encoding is made anew from its meaning and compared, every name and hash computed, every signature checked; what must
be refused is refused with the code that the document gives it. Prints one line and exits with 1 when anything differs."""

import json
import pathlib
import sys

from reference import cbor, ed25519
from reference.blake3 import blake3, derive_key, keyed_hash

FRAME_VERSION, OBJECT_VERSION, OBJECT_BYTES_MAX = 1, 1, 4096
MALFORMED, UNKNOWN_VERSION, UNKNOWN_MESSAGE, BAD_SIGNATURE = 1, 2, 3, 4
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
checks = 0


def expect(what, found, expected):
    global checks
    checks += 1
    if found != expected:
        sys.exit(f"{what}: {found!r} is not {expected!r}")


def unhex(text):
    return bytes.fromhex(text)


def base58(data):
    number, digits = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        digits = BASE58[digit] + digits
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + digits


def plain(meaning):
    """A meaning without the names of its fields: what CBOR carries."""
    if isinstance(meaning, dict):
        if "bytes" in meaning:
            return unhex(meaning["bytes"])
        return [meaning["number"], plain(meaning["fields"])] if meaning["fields"] else [meaning["number"], []]
    if isinstance(meaning, list):
        named = meaning and all(isinstance(f, list) and len(f) == 2 and isinstance(f[0], str) for f in meaning)
        values = [plain(field[1] if named else field) for field in meaning]
        while named and values and values[-1] is None:
            values.pop()  # empty optional fields at the end are left out
        return values
    return meaning


def fields(meaning):
    return {name: value for name, value in meaning}


def signed_bytes(domain, body):
    return b"knowledge/1/" + domain.encode() + b"\0" + body


def refusal_of_object(domain, author, body, signature):
    """The code with which an object is refused, or None."""
    if len(body) > OBJECT_BYTES_MAX:
        return MALFORMED
    if len(body) > 1 and body[0] >> 5 == 4 and body[1] < 24 and body[1] != OBJECT_VERSION:
        return UNKNOWN_VERSION
    try:
        places = len(cbor.decode(body))
    except (cbor.Malformed, UnicodeDecodeError):
        return MALFORMED
    if domain == "agreement" and places != 16:
        return MALFORMED
    return None if ed25519.verify(author, signed_bytes(domain, body), signature) else BAD_SIGNATURE


def refusal_of_request(frame):
    if not frame:
        return MALFORMED
    if frame[0] != FRAME_VERSION:
        return UNKNOWN_VERSION
    try:
        number = cbor.decode(frame[1:])[0]
    except (cbor.Malformed, UnicodeDecodeError):
        return MALFORMED
    return None if number <= REQUEST_NUMBER_MAX else UNKNOWN_MESSAGE


def tree_root(level):
    while len(level) > 1:
        pairs = [level[at : at + 2] for at in range(0, len(level), 2)]
        level = [blake3(b"knowledge/1/rows\0" + b"".join(pair)) if len(pair) == 2 else pair[0] for pair in pairs]
    return level[0]


def check_names(names):
    node = names["node"]
    expect("public key", ed25519.public_key(unhex(node["secret"])).hex(), node["key"])
    peer_id = bytes.fromhex("002408011220") + unhex(node["key"])
    expect("peer id", base58(peer_id), node["text"])

    group = names["group"]
    secret = unhex(group["secret"])
    expect("group id", derive_key("knowledge/1 group id", secret).hex(), group["id"])
    open_secret = b"knowledge/1: everyone here, open"
    expect("open group", derive_key("knowledge/1 group id", open_secret).hex(), group["open id"])
    checksum = derive_key("knowledge/1 invite checksum", secret)[:4]
    expect("invite", base58(b"\x01" + secret + checksum), group["invite"])
    rendezvous = derive_key("knowledge/1 group rendezvous", secret)
    expect("presence key", keyed_hash(rendezvous, b"presence").hex(), group["presence key"])
    service = b"service" + bytes([group["service"]])
    expect("service key", keyed_hash(rendezvous, service).hex(), group["service key"])
    expect("model key", keyed_hash(rendezvous, service + unhex(group["model"])).hex(), group["model key"])
    member = derive_key("knowledge/1 group member", secret)
    sender, receiver = unhex(group["from"]), unhex(group["to"])
    expect("registration tag", keyed_hash(member, b"\0" + sender + sender).hex(), group["registration tag"])
    expect("trade tag", keyed_hash(member, b"\1" + sender + receiver).hex(), group["trade tag"])
    expect("mark", keyed_hash(member, b"receipt" + unhex(group["agreement"])).hex(), group["mark"])

    work = names["work"]
    texts = [text.encode() for text in work["texts"]]
    lengths = b"".join(len(text).to_bytes(8, "little") + text for text in texts)
    expect("input hash", blake3(lengths).hex(), work["input hash"])
    expect("tokens", sum(max(1, (len(text) + 3) // 4) for text in texts), work["tokens"])
    output = work["dimension"].to_bytes(4, "little") + unhex(work["values"])
    expect("output hash", blake3(output).hex(), work["output hash"])

    runs = names["runs"]
    inputs = [unhex(text) for text in runs["inputs"]]
    named = b"knowledge/1/runs\0" + unhex(runs["module"])
    named += runs["module bytes"].to_bytes(8, "little") + runs["fuel"].to_bytes(8, "little")
    named += b"".join(len(item).to_bytes(8, "little") + item for item in inputs)
    expect("hash of runs", blake3(named).hex(), runs["input hash"])
    expect("units of runs", max(1, -(-runs["fuel"] // 2**20)) * len(inputs), runs["units"])
    endings = [(fuel, unhex(ending)) for fuel, ending in runs["outcomes"]]
    written = [fuel.to_bytes(8, "little") + len(end).to_bytes(8, "little") + end for fuel, end in endings]
    outcomes = b"knowledge/1/outcomes\0" + b"".join(written)
    expect("hash of outcomes", blake3(outcomes).hex(), runs["output hash"])

    cache = names["cache"]
    keys = [blake3(b"knowledge/1/text\0" + text.encode()) for text in cache["texts"]]
    expect("names of texts", [key.hex() for key in keys], cache["keys"])
    expect("hash of names", blake3(b"knowledge/1/keys\0" + b"".join(keys)).hex(), cache["input hash"])
    rows = zip(keys + keys[:1], map(unhex, cache["values"]))
    leaves = [blake3(b"knowledge/1/row\0" + key + values) for key, values in rows]
    expect("root of two rows", tree_root(leaves[:2]).hex(), cache["root of two"])
    expect("root of three rows", tree_root(leaves).hex(), cache["root of three"])

    store = names["storage"]
    number = lambda name, size=8: store[name].to_bytes(size, "little")
    asked = b"knowledge/1/blob\0" + unhex(store["blob"]) + number("bytes") + number("hours")
    asked += number("block", 4) + unhex(store["nonce"])
    expect("hash of a blob to keep", blake3(asked).hex(), store["input hash"])
    expect("units of storage", -(-store["bytes"] // 1024) * store["hours"], store["units"])
    block = unhex(store["block bytes"]) * (store["block length"] // 16)
    answer = keyed_hash(unhex(store["nonce"]), number("block", 4) + block)
    expect("hash of answers", blake3(b"knowledge/1/held\0" + answer).hex(), store["output hash"])


def check_signed(entry):
    what, body = entry["name"], unhex(entry["body"])
    expect(f"{what}: bytes", cbor.encode(plain(entry["meaning"])).hex(), entry["body"])
    expect(f"{what}: read again", cbor.decode(body), plain(entry["meaning"]))
    message = signed_bytes(entry["domain"], body)
    expect(f"{what}: hash", blake3(message).hex(), entry["hash"])
    refusal = refusal_of_object(entry["domain"], unhex(entry["author"]), body, unhex(entry["signature"]))
    expect(f"{what}: refusal", refusal, None)
    meaning = fields(entry["meaning"])
    if {"price", "factors"} <= meaning.keys():
        base, quality, demand, reputation = plain(meaning["factors"])
        price = max(1, -(-base * quality * demand * reputation // 10**18))
        expect(f"{what}: price", price, meaning["price"])


def check_receipt(entries):
    """The two halves belong to the agreement and to each other."""
    by_name = {entry["name"]: entry for entry in entries}
    agreement, payer, receiver = (by_name[name] for name in ("agreement", "payer's half", "receiver's half"))
    terms, paid, earned = (fields(entry["meaning"]) for entry in (agreement, payer, receiver))
    expect("both sign one agreement", by_name["countersigned"]["body"], agreement["body"])
    expect("agreement of the half", paid["agreement"]["bytes"], agreement["hash"])
    expect("amount", paid["delta"], -terms["price"])
    expect("opposite amount", earned["delta"], -paid["delta"])
    expect("link", earned["link"]["bytes"], payer["hash"])
    part, given_up = (fields(by_name[name]["meaning"]) for name in ("payer's half of a part", "work given up"))
    expect("agreement of the part", given_up["agreement"]["bytes"], agreement["hash"])
    expect("units of the part", part["units"], given_up["units done"])
    expect("amount of the part", part["delta"], -terms["price"] * part["units"] // terms["tokens"])
    own = {"author", "epoch", "sequence", "previous", "counterparty", "delta", "link", "author's clock ms"}
    for name in paid.keys() - own:
        expect(f"both halves: {name}", earned[name], paid[name])


def check_fraud_proof(proof):
    expect("fraud proof: bytes", cbor.encode(plain(proof["meaning"])).hex(), proof["body"])
    author, first, second = plain(proof["meaning"])
    for body, signature in (first, second):
        expect("fraud proof: signature", refusal_of_object("block", author, body, signature), None)
    version_author_place = [cbor.decode(body)[:4] for body, _ in (first, second)]
    expect("fraud proof: one place", version_author_place[0], version_author_place[1])
    expect("fraud proof: two blocks", first[0] != second[0], True)


def check_frames(frames):
    for entry in frames["messages"]:
        meaning = entry["meaning"]
        encoded = bytes([FRAME_VERSION]) + cbor.encode(plain(meaning))
        expect(f"{meaning['name']}: bytes", encoded.hex(), entry["frame"])
    for entry in frames["with places that are not known"]:
        newer, known = (cbor.decode(unhex(entry[key])[1:]) for key in ("frame", "same as"))
        expect("what is known of a newer message", [newer[0], newer[1][: len(known[1])]], known)


def main():
    global REQUEST_NUMBER_MAX
    path = pathlib.Path(__file__).with_name("vectors.json")
    vectors = json.loads(path.read_text(encoding="utf-8"))
    expect("format of the vectors", vectors["format"], 1)
    requests = [entry for entry in vectors["frames"]["messages"] if entry["direction"] == "request"]
    REQUEST_NUMBER_MAX = max(entry["meaning"]["number"] for entry in requests)
    expect("BLAKE3 of nothing", blake3(b"").hex()[:16], "af1349b9f5f9a1a6")
    check_names(vectors["names"])
    objects = vectors["objects"]
    for entry in objects["signed"]:
        check_signed(entry)
    check_receipt(objects["signed"])
    demand = objects["demand"]
    expect("demand: bytes", cbor.encode(plain(demand["meaning"])).hex(), demand["body"])
    expect("demand: name", blake3(unhex(demand["body"])).hex(), demand["hash"])
    check_fraud_proof(objects["fraud proof"])
    check_frames(vectors["frames"])
    for entry in vectors["refused"]["requests"]:
        expect(entry["what"], refusal_of_request(unhex(entry["frame"])), entry["code"])
    for entry in vectors["refused"]["objects"]:
        parts = (unhex(entry[key]) for key in ("author", "body", "signature"))
        expect(entry["what"], refusal_of_object(entry["domain"], *parts), entry["code"])
    print(f"{checks} checks of the vectors hold")


if __name__ == "__main__":
    main()
