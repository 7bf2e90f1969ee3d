// Runs in the page: the project's kernels and onnxruntime-web on the same adapter or processor, turn by turn.

const DIMENSION = 384;
const TOKENS = 32;
/** Tokens of 64 sentences: four times those of the model's sixteen known texts. */
const LENGTHS = Array(4).fill([8, 12, 9, 10, 12, 10, 11, 9, 12, 12, 11, 12, 19, 15, 13, 16]).flat();

const [CLS, SEP] = [101, 102];
/** Some text of so many tokens: what is in it does not change what it costs. */
const text = (length, seed = 0) => Int32Array.from({ length }, (_, at) => (at === 0 ? CLS : at === length - 1 ? SEP : 2000 + ((seed + at) * 37) % 20_000));

async function clocked(work) {
  const start = performance.now();
  const result = await work();
  return { ms: performance.now() - start, result };
}

async function model(wanted = "all-MiniLM-L6-v2") {
  const index = await (await fetch("models/index.json")).json();
  const manifest = index.models.find(({ name }) => name === wanted);
  return new Uint8Array(await (await fetch(`models/${manifest.onnx.blake3}`)).arrayBuffer());
}

async function ours(file) {
  const module = await import("./worker/wgpu_worker.js");
  await module.default();
  return module.createSession(file, DIMENSION, await isSoftware());
}

/** The module that the inference worker imports in this browser, by the same probe. */
async function oursOnCpu(file) {
  const relaxed = [0, 97, 115, 109, 1, 0, 0, 0, 1, 8, 1, 96, 3, 123, 123, 123, 1, 123, 3, 2, 1, 0, 10, 13, 1, 11, 0, 32, 0, 32, 1, 32, 2, 253, 133, 2, 11];
  const name = WebAssembly.validate(Uint8Array.from(relaxed)) ? "cpu_relaxed_worker" : "cpu_worker";
  const module = await import(`./worker/${name}.js`);
  await module.default();
  return module.createSession(file, DIMENSION);
}

async function isSoftware() {
  const { info } = await navigator.gpu.requestAdapter();
  return info.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe/i.test(`${info.vendor} ${info.architecture} ${info.description}`);
}

async function theirs(file, provider = "webgpu") {
  const ort = await import(`./ort/ort.${provider}.min.mjs`);
  ort.env.wasm.wasmPaths = new URL("ort/", location.href).href;
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(file, { executionProviders: [provider] });
  const row = (ids, value) => new ort.Tensor("int64", BigInt64Array.from(ids, (id, at) => BigInt(value(id, at))), [1, ids.length]);
  return {
    async run(ids) {
      const inputs = { input_ids: row(ids, (id) => id), attention_mask: row(ids, () => 1), token_type_ids: row(ids, () => 0) };
      const { last_hidden_state: hidden } = await session.run(inputs);
      return hidden.data;
    },
  };
}

function cosine(a, b) {
  let [dot, left, right] = [0, 0, 0];
  for (let at = 0; at < a.length; at += 1) {
    dot += a[at] * b[at];
    left += a[at] ** 2;
    right += b[at] ** 2;
  }
  return dot / Math.sqrt(left * right);
}

/** Preparing and the first run, shaders included, of one of the two in this fresh page. */
globalThis.first = async (which) => {
  const file = await model();
  const { ms } = await clocked(async () => (await (which === "ours" ? ours(file) : theirs(file))).run(text(TOKENS)));
  return ms;
};

/** Makes both ready and warm. */
globalThis.prepare = async () => {
  const file = await model();
  const sentences = LENGTHS.map((length, at) => text(length, at));
  const all = Int32Array.from(sentences.flatMap((ids) => [...ids]));
  const [own, other] = [await ours(file), await theirs(file)];
  const one = (round) => clocked(() => own.run(text(TOKENS, round)));
  const their = (round) => clocked(() => other.run(text(TOKENS, round)));
  const together = () => clocked(() => own.pooled(all, Uint32Array.from(LENGTHS)));
  const alone = () => clocked(async () => {
    for (const ids of sentences) await own.pooled(ids, Uint32Array.of(ids.length));
  });
  for (const warm of [one, their, together, alone]) await warm(0);
  globalThis.ready = { one, their, together, alone };
};

/** One run of each in turn. */
globalThis.steadyRound = async (round) => {
  const { one, their } = globalThis.ready;
  const [theirs, ours] = [await their(round), await one(round)];
  return { ours: ours.ms, theirs: theirs.ms, cosine: cosine(ours.result, theirs.result) };
};

/** 64 sentences one by one, and together. */
globalThis.batchRound = async () => {
  const { together, alone } = globalThis.ready;
  const [theirs, ours] = [await alone(), await together()];
  return { ours: ours.ms, theirs: theirs.ms };
};

/** Makes the CPU's three ready and warm: in floats, with weights of one byte, and onnxruntime-web in floats. */
globalThis.prepareCpu = async () => {
  const file = await model();
  const bytes = await model("all-MiniLM-L6-v2-int8");
  const sides = { floats: await oursOnCpu(file), bytes: await oursOnCpu(bytes), theirs: await theirs(file, "wasm") };
  for (const side of Object.values(sides)) for (const tokens of [32, 128]) for (let at = 0; at < 3; at += 1) await side.run(text(tokens, at));
  globalThis.cpu = sides;
};

/** One run of each in turn, on a text of so many tokens. */
globalThis.cpuRound = async (tokens, round) => {
  const sides = {};
  for (const name of ["theirs", "floats", "bytes"]) {
    sides[name] = await clocked(() => globalThis.cpu[name].run(text(tokens, round)));
  }
  const beside = ({ ms, result }) => ({ ours: ms, theirs: sides.theirs.ms, cosine: cosine(result, sides.theirs.result) });
  return { floats: beside(sides.floats), bytes: beside(sides.bytes) };
};

globalThis.adapter = async () => {
  const { vendor, architecture, description } = (await navigator.gpu.requestAdapter()).info;
  return [vendor, architecture, description].filter(Boolean).join(" ");
};
