#!/usr/bin/env python3
"""Writes what onnxruntime computes for the decoder of tests/decoder.rs.

    pip install onnxruntime blake3
    DECODER_OUT=decoder.onnx cargo nextest run -p inference --features engine --test decoder
    python decoder.py decoder.onnx > decoder.json

The prompt is run at once and every token after it with the cache, choosing the most likely one each time.
"""

import json
import sys

import blake3
import numpy
import onnxruntime

PROMPT = [3, 17, 42, 8, 91, 5]
TOKENS = 12


def main() -> None:
    file = open(sys.argv[1], "rb").read()
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    caches = {
        i.name: numpy.zeros((1, i.shape[1], 0, i.shape[3]), numpy.float32)
        for i in session.get_inputs()
        if i.name.startswith("past_key_values.")
    }
    tokens, logits, given = [], [], PROMPT
    while len(tokens) < TOKENS:
        found = dict(zip(names, session.run(names, {"input_ids": numpy.array([given]), **caches})))
        caches = {name: found[name.replace("past_key_values.", "present.")] for name in caches}
        last = found["logits"][0, -1]
        logits.append([round(float(x), 5) for x in last])
        tokens.append(int(last.argmax()))
        given = tokens[-1:]
    reference = {
        "made_by": f"onnxruntime {onnxruntime.__version__}",
        "blake3": blake3.blake3(file).hexdigest(),
        "prompt": PROMPT,
        "tokens": tokens,
        "logits": logits,
    }
    json.dump(reference, sys.stdout)
    print()


if __name__ == "__main__":
    main()
