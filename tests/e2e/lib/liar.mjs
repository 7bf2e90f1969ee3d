// A provider that lies: its engine computes honestly, and the page tells something else.
//
// The vectors are changed between the inference worker and the page, so that every other part of the dishonest node is
// the real one: it loads the model, passes the model's own check, offers, signs, and wants to be paid.

/** Runs in the liar's page ahead of its scripts: wraps `Worker` and reverses every embedding that comes out of it. */
export const lie = { script: reverseAllBut, args: [[]] };

/**
 * The same, but embeddings close to one of these stay as they are: whoever knows the texts of known answers recognises
 * them by what they compute, too.
 */
export function lieBut(known) {
  return { script: reverseAllBut, args: [known] };
}

function reverseAllBut(known) {
  const DIMENSION = 384;
  const HEADER = 8;

  // The messages are bincode: a vector is its length as a little-endian u64 and then its numbers.
  const reverseVectors = (bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at + HEADER + 4 * DIMENSION <= bytes.length; ) {
      const end = at + HEADER + 4 * DIMENSION;
      if (view.getBigUint64(at, true) !== BigInt(DIMENSION) || !isUnit(view, at + HEADER)) {
        at += 1;
        continue;
      }
      const numbers = Array.from({ length: DIMENSION }, (_, index) => view.getFloat32(at + HEADER + 4 * index, true));
      if (known.some((each) => cosine(each, numbers) > 0.999)) {
        window.recognised = (window.recognised ?? 0) + 1;
      } else {
        numbers.reverse().forEach((number, index) => view.setFloat32(at + HEADER + 4 * index, number, true));
        window.lies = (window.lies ?? 0) + 1;
      }
      at = end;
    }
  };
  const isUnit = (view, at) => {
    let square = 0;
    for (let index = 0; index < DIMENSION; index += 1) square += view.getFloat32(at + 4 * index, true) ** 2;
    return Math.abs(square - 1) < 0.01;
  };

  const cosine = (a, b) => a.reduce((sum, number, index) => sum + number * b[index], 0);

  const Honest = window.Worker;
  window.Worker = class extends Honest {
    constructor(...options) {
      super(...options);
      // First in line: listeners run in the order in which they were added.
      super.addEventListener("message", ({ data }) => {
        if (data instanceof ArrayBuffer) reverseVectors(new Uint8Array(data));
        else if (ArrayBuffer.isView(data)) reverseVectors(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      });
    }
  };
}

/** Changes the last byte of what every run of a module gives, from when the page has set `window.lies`: before, it is being checked. */
export const lieAboutRuns = { script: changeRuns, args: [] };

function changeRuns() {
  // CBOR: an array of two, of which the first is the number of "ended".
  const isEnded = (bytes) => bytes[0] === 0x82 && bytes[1] === 2;
  const Honest = window.Worker;
  window.Worker = class extends Honest {
    constructor(...options) {
      super(...options);
      super.addEventListener("message", ({ data }) => {
        if (window.lies === undefined || !(data instanceof Uint8Array) || !isEnded(data)) return;
        data[data.length - 1] ^= 1;
        window.lies += 1;
      });
    }
  };
}
