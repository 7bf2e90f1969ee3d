// One ordered data channel without libp2p, as fast as a page can use it: what the transport is measured against.

import { pause } from "./pause.js";

const MESSAGE_BYTES = 64 * 1024;
const BUFFERED_BYTES_MAX = 1024 * 1024;
const TURN_BYTES = 1024;
const FRESH = "fresh";

export class BareChannel {
  #peer = new RTCPeerConnection();
  #channel;
  #onMessage = () => {};
  #received = 0;
  #wanted = 0;

  /** No libp2p, no identity. */
  get id() {
    return "bare";
  }

  /** The dialler's description with all its candidates. */
  async offer() {
    this.#use(this.#peer.createDataChannel("bare"));
    await this.#peer.setLocalDescription(await this.#peer.createOffer());
    return this.#gathered();
  }

  /** The answer to it, with all candidates. */
  async answer(offer) {
    this.#peer.ondatachannel = ({ channel }) => this.#use(channel);
    await this.#peer.setRemoteDescription({ type: "offer", sdp: offer });
    await this.#peer.setLocalDescription(await this.#peer.createAnswer());
    return this.#gathered();
  }

  /** Resolves when the channel is open. */
  async connect(answer) {
    await this.#peer.setRemoteDescription({ type: "answer", sdp: answer });
    if (this.#channel.readyState !== "open") await once(this.#channel, "open");
  }

  /** The other side says when this many bytes have arrived; to be called before they are sent. */
  expect(total) {
    this.#received = 0;
    this.#wanted = total;
  }

  /** Sends bytes and returns the milliseconds until the other side has them all. */
  async send(total) {
    const data = new Uint8Array(MESSAGE_BYTES).fill(7);
    const channel = this.#channel;
    const confirmed = new Promise((resolve) => (this.#onMessage = resolve));
    const started = performance.now();
    for (let left = total; left > 0; left -= MESSAGE_BYTES) {
      if (channel.bufferedAmount >= BUFFERED_BYTES_MAX) await once(channel, "bufferedamountlow");
      channel.send(data.subarray(0, Math.min(left, MESSAGE_BYTES)));
    }
    await confirmed;
    return performance.now() - started;
  }

  /** The milliseconds of each of `count` round trips of 1 KiB, with a pause before each. */
  async turns(count, pauseMs) {
    const data = new Uint8Array(TURN_BYTES).fill(3);
    const times = [];
    for (let index = 0; index < count; index += 1) {
      await pause(pauseMs);
      const answered = new Promise((resolve) => (this.#onMessage = resolve));
      const started = performance.now();
      this.#channel.send(data);
      await answered;
      times.push(performance.now() - started);
    }
    return times;
  }

  /** The same on a channel of its own, from before it is opened. */
  async fresh_turns(count, pauseMs) {
    const data = new Uint8Array(TURN_BYTES).fill(3);
    const times = [];
    for (let index = 0; index < count; index += 1) {
      await pause(pauseMs);
      const started = performance.now();
      const channel = this.#peer.createDataChannel(FRESH);
      const answered = once(channel, "message");
      await once(channel, "open");
      channel.send(data);
      await answered;
      times.push(performance.now() - started);
      channel.close();
    }
    return times;
  }

  #use(channel) {
    if (channel.label === FRESH) {
      channel.onmessage = ({ data }) => channel.send(data);
      return;
    }
    this.#channel = channel;
    channel.binaryType = "arraybuffer";
    channel.bufferedAmountLowThreshold = BUFFERED_BYTES_MAX / 2;
    channel.onmessage = ({ data }) => {
      if (this.#wanted === 0) return this.#turn(data);
      this.#received += data.byteLength;
      if (this.#received < this.#wanted) return undefined;
      this.#wanted = 0;
      return channel.send(new Uint8Array(1));
    };
  }

  /** The dialler waits for the message; the other side sends it back. */
  #turn(data) {
    if (this.#peer.localDescription.type === "answer") this.#channel.send(data);
    else this.#onMessage();
  }

  async #gathered() {
    while (this.#peer.iceGatheringState !== "complete") await once(this.#peer, "icegatheringstatechange");
    return this.#peer.localDescription.sdp;
  }
}

function once(target, event) {
  return new Promise((resolve) => target.addEventListener(event, resolve, { once: true }));
}
