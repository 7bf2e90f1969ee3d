// Reading js-libp2p's streams by count, writing them with back-pressure.

/** Writes and waits until the stream takes more. */
export async function writeAll(stream, bytes) {
  if (!stream.send(bytes)) await stream.onDrain();
}

/**
 * Takes a stream's messages from the moment it is made, so that none is missed.
 *
 * The stream's own iterator waits for ever when the remote ended its half before anyone iterated, as happens when data
 * and end arrive while the protocol is still being negotiated; so this listens to the events and looks at the state first.
 */
export class Inbox {
  #stream;
  #messages = [];
  #chunk = new Uint8Array(0);
  #ended = false;
  #wake = () => {};

  constructor(stream) {
    this.#stream = stream;
    stream.addEventListener("message", ({ data }) => {
      this.#messages.push(data);
      this.#wake();
    });
    const end = () => {
      this.#ended = true;
      this.#wake();
    };
    stream.addEventListener("end", end);
    stream.addEventListener("close", end);
    stream.addEventListener("remoteCloseWrite", () => setTimeout(() => this.#looksEnded() && end()));
    setTimeout(() => this.#looksEnded() && end());
  }

  #looksEnded() {
    const { readableEnded, remoteWriteStatus, readBufferLength } = this.#stream;
    return readableEnded || (remoteWriteStatus === "closed" && readBufferLength === 0);
  }

  /** Exactly this many bytes; `undefined` when the stream ends before the first. */
  async take(count) {
    const taken = new Uint8Array(count);
    let filled = 0;
    while (filled < count) {
      if (this.#chunk.length === 0 && !(await this.#advance())) {
        if (filled === 0) return undefined;
        throw new Error(`the stream ended after ${filled} of ${count} bytes`);
      }
      const part = this.#chunk.subarray(0, count - filled);
      taken.set(part, filled);
      filled += part.length;
      this.#chunk = this.#chunk.subarray(part.length);
    }
    return taken;
  }

  /** Everything up to the end. */
  async rest() {
    const parts = [];
    do parts.push(this.#chunk);
    while (await this.#advance());
    return new Uint8Array(await new Blob(parts).arrayBuffer());
  }

  /** How many bytes come up to the end. */
  async countRest() {
    let counted = 0;
    do counted += this.#chunk.length;
    while (await this.#advance());
    return counted;
  }

  async #advance() {
    while (this.#messages.length === 0) {
      if (this.#ended) return false;
      await new Promise((resolve) => (this.#wake = resolve));
    }
    this.#chunk = this.#messages.shift().subarray();
    return true;
  }
}

export function sameBytes(one, other) {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}
