// Writes small ONNX files, so that a journey brings models whose answers it can compute by itself.
//
// Only as much of ONNX's protobuf schema as that takes: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto

const FLOAT = 1;
const INT64 = 7;

function varint(value) {
  const bytes = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    const more = rest > 127n;
    bytes.push(Number(rest & 127n) | (more ? 128 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Buffer.from(bytes);
}

/** One field: numbers are varints, everything else has a length. */
function field(number, value) {
  if (typeof value === "number") return Buffer.concat([varint(number << 3), varint(value)]);
  const bytes = Buffer.from(value);
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes]);
}

const message = (...fields) => Buffer.concat(fields);

/** `dims`: numbers, and names for sizes that are open. */
function valueInfo(name, type, dims) {
  const dim = (size) => field(1, typeof size === "number" ? field(1, size) : field(2, size));
  const shape = message(...dims.map(dim));
  const tensor = message(field(1, type), field(2, shape));
  return message(field(1, name), field(2, field(1, tensor)));
}

function attribute(name, value) {
  if (Array.isArray(value)) return message(field(1, name), ...value.map((each) => field(8, each)), field(20, 7));
  return message(field(1, name), field(3, value), field(20, 2));
}

/** A tensor of floats or, as `BigInt64Array`, of integers. */
function tensor(name, dims, values) {
  const type = values instanceof BigInt64Array ? INT64 : FLOAT;
  const raw = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return message(...dims.map((size) => field(1, size)), field(2, type), field(8, name), field(9, raw));
}

/**
 * A model: `inputs` and `outputs` as `[name, type, dims]`, `constants` as `[name, dims, values]`, `nodes` as
 * `[operator, inputs, output, attributes]`.
 */
function model({ inputs, outputs, constants, nodes }) {
  const node = ([operator, from, to, attributes = {}]) =>
    field(
      1,
      message(
        ...from.map((name) => field(1, name)),
        field(2, to),
        field(3, `${to}/${operator}`),
        field(4, operator),
        ...Object.entries(attributes).map(([name, value]) => field(5, attribute(name, value))),
      ),
    );
  const graph = message(
    ...nodes.map(node),
    field(2, "graph"),
    ...constants.map((constant) => field(5, tensor(...constant))),
    ...inputs.map((input) => field(11, valueInfo(...input))),
    ...outputs.map((output) => field(12, valueInfo(...output))),
  );
  return message(field(1, 8), field(7, graph), field(8, message(field(1, ""), field(2, 17))));
}

/** y = relu(x · w + b), with x of [batch, 2] and y of [batch, 3]; `last` takes another operator's place. */
export function perceptron({ last = "Relu" } = {}) {
  return model({
    inputs: [["x", FLOAT, ["batch", 2]]],
    outputs: [["y", FLOAT, ["batch", 3]]],
    constants: [
      ["w", [2, 3], Float32Array.of(1, 2, 3, -1, 0.5, 4)],
      ["b", [3], Float32Array.of(0, 1, -20)],
    ],
    nodes: [
      ["MatMul", ["x", "w"], "product"],
      ["Add", ["product", "b"], "sum"],
      [last, ["sum"], "y"],
    ],
  });
}

/** The vocabulary of the models of text below. */
export const WORDS = ["[UNK]", "the", "cat", "sat", "down", "</s>", "again"];

/** A `tokenizer.json` of whole words. */
export function tokenizer() {
  return JSON.stringify({
    version: "1.0",
    added_tokens: [{ id: 5, content: "</s>", special: true, single_word: false, lstrip: false, rstrip: false, normalized: false }],
    normalizer: null,
    pre_tokenizer: { type: "Whitespace" },
    post_processor: null,
    decoder: null,
    model: { type: "WordLevel", vocab: Object.fromEntries(WORDS.map((word, id) => [word, id])), unk_token: "[UNK]" },
  });
}

/**
 * Each word is followed by the next of the vocabulary, and the last by "the"; an `endless` one leaves out the end of the text.
 * It has a cache as exporters write one.
 */
export function bigrams({ endless = false } = {}) {
  const count = WORDS.length;
  const after = (word) => (word === count - 1 ? 1 : endless && word === 4 ? 6 : word + 1);
  const table = Float32Array.from({ length: count * count }, (_, place) => (place % count === after(Math.floor(place / count)) ? 9 : 0));
  return model({
    inputs: [
      ["input_ids", INT64, ["batch", "sequence"]],
      ["past_key_values.0.key", FLOAT, ["batch", 1, "past", 1]],
    ],
    outputs: [
      ["logits", FLOAT, ["batch", "sequence", count]],
      ["present.0.key", FLOAT, ["batch", 1, "total", 1]],
    ],
    constants: [
      ["table", [count, count], table],
      ["axes", [2], BigInt64Array.of(1n, 3n)],
    ],
    nodes: [
      ["Gather", ["table", "input_ids"], "logits", { axis: 0 }],
      ["Unsqueeze", ["input_ids", "axes"], "wide"],
      ["Cast", ["wide"], "new", { to: FLOAT }],
      ["Concat", ["past_key_values.0.key", "new"], "present.0.key", { axis: 2 }],
    ],
  });
}

/** A text's logits are the average of its words', and those of word n are 0 and n. */
export function classifier() {
  return model({
    inputs: [
      ["input_ids", INT64, ["batch", "sequence"]],
      ["attention_mask", INT64, ["batch", "sequence"]],
    ],
    outputs: [["logits", FLOAT, ["batch", 2]]],
    constants: [["words", [WORDS.length, 2], Float32Array.from({ length: 2 * WORDS.length }, (_, place) => (place % 2) * Math.floor(place / 2))]],
    nodes: [
      ["Gather", ["words", "input_ids"], "each", { axis: 0 }],
      ["ReduceMean", ["each"], "logits", { axes: [1], keepdims: 0 }],
    ],
  });
}
