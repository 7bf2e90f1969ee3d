// A js-libp2p node with the methods of the transport page's `Node`, speaking the same protocols (`page/src/protocols.rs`).

import { noise } from "@chainsafe/libp2p-noise";
import { yamux } from "@chainsafe/libp2p-yamux";
import { circuitRelayTransport } from "@libp2p/circuit-relay-v2";
import { identify } from "@libp2p/identify";
import { ping } from "@libp2p/ping";
import { webRTC } from "@libp2p/webrtc";
import { webSockets } from "@libp2p/websockets";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";

import { pause } from "./pause.js";
import { Inbox, sameBytes, writeAll } from "./streams.js";

const ECHO = "/interop/echo/1";
const SINK = "/interop/sink/1";
const TURN = "/interop/turn/1";
const KNOWLEDGE = "/knowledge/1";
const TURN_BYTES = 1024;
const POLL_MS = 20;

export class JsNode {
  #node;

  /** Starts a node that can dial and does not listen. */
  static async create() {
    const self = new JsNode();
    self.#node = await createLibp2p({
      addresses: { listen: ["/webrtc"] },
      // Nobody but this machine is asked for anything, and loopback may be dialled.
      transports: [webRTC({ rtcConfiguration: { iceServers: [] } }), webSockets(), circuitRelayTransport()],
      connectionGater: { denyDialMultiaddr: () => false },
      // As patient as ours; the machine may be busy.
      connectionManager: { dialTimeout: 40_000 },
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      // A test identifies a peer again, perhaps while js-libp2p does so by itself, and pings it again while the stream of a ping that
      // met a late reset still counts as open.
      services: { identify: identify({ maxOutboundStreams: 4, timeout: 30_000 }), ping: ping({ maxOutboundStreams: 4 }) },
    });
    await self.#serve();
    return self;
  }

  get id() {
    return this.#node.peerId.toString();
  }

  /** Becomes reachable through a relay and returns the address to dial. */
  async listen(relay) {
    await this.#node.components.transportManager.listen([multiaddr(`${relay}/p2p-circuit`)]);
    await until(() => this.#node.getMultiaddrs().some((address) => address.toString().includes("/p2p-circuit/webrtc/")));
    // The relay names further addresses of its own; browsers can dial the one that we were given.
    return `${relay}/p2p-circuit/webrtc/p2p/${this.id}`;
  }

  /** Connects and returns how long that took, in milliseconds. */
  async dial(address) {
    const started = performance.now();
    await this.#node.dial(multiaddr(address));
    return performance.now() - started;
  }

  /** Resolves when the peer is reached directly. */
  async direct(peer) {
    await until(() => this.#direct(peer));
  }

  /** The agent version that identify gets from the peer over the direct connection. */
  async identified(peer) {
    const { agentVersion } = await this.#node.services.identify.identify(this.#direct(peer));
    return agentVersion;
  }

  /** The round trip of a ping, in milliseconds. */
  async ping(peer) {
    return this.#node.services.ping.ping(this.#direct(peer).remotePeer);
  }

  /** Asks over `/knowledge/1`, a varint length before each message, and returns the answer. */
  async request(peer, body) {
    const stream = await this.#open(peer, KNOWLEDGE);
    const inbox = new Inbox(stream);
    await writeAll(stream, encodeLength(body.length));
    await writeAll(stream, body);
    const answer = await inbox.take(await decodeLength(inbox));
    await stream.close();
    return answer;
  }

  async close(peer) {
    const open = this.#node.getConnections().filter(({ remotePeer }) => remotePeer.toString() === peer);
    // js-libp2p waits for its streams to end; what does not end in its time is cut off.
    await Promise.all(open.map((connection) => connection.close().catch((error) => connection.abort(error))));
  }

  /** Sends bytes, ends its half of the stream and compares what comes back after that. Returns how many came. */
  async echo(peer, bytes) {
    const sent = Uint8Array.from({ length: bytes }, (_, index) => index % 251);
    const stream = await this.#open(peer, ECHO);
    const inbox = new Inbox(stream);
    await writeAll(stream, sent);
    await stream.close();
    const received = await inbox.rest();
    if (!sameBytes(received, sent)) throw new Error("the echo differs from what was sent");
    return received.length;
  }

  /** Sends `total` bytes in writes of `piece` and returns the milliseconds until the peer has counted all of them. */
  async send(peer, total, piece) {
    const data = new Uint8Array(piece).fill(7);
    const stream = await this.#open(peer, SINK);
    const inbox = new Inbox(stream);
    const started = performance.now();
    for (let left = total; left > 0; left -= piece) await writeAll(stream, data.subarray(0, Math.min(piece, left)));
    await stream.close();
    const count = await inbox.take(8);
    const counted = Number(new DataView(count.buffer).getBigUint64(0));
    if (counted !== total) throw new Error(`${counted} of ${total} bytes arrived`);
    return performance.now() - started;
  }

  /** The milliseconds of each of `count` round trips on one open stream, with a pause before each. */
  async turns(peer, count, pauseMs) {
    const stream = await this.#open(peer, TURN);
    const inbox = new Inbox(stream);
    await turn(stream, inbox);
    const times = [];
    for (let index = 0; index < count; index += 1) {
      await pause(pauseMs);
      times.push(await turn(stream, inbox));
    }
    await stream.close();
    return times;
  }

  /** The milliseconds of each of `count` round trips on a stream of its own, from before it is opened. */
  async fresh_turns(peer, count, pauseMs) {
    const times = [];
    for (let index = 0; index < count; index += 1) {
      await pause(pauseMs);
      const started = performance.now();
      const stream = await this.#open(peer, TURN);
      await turn(stream, new Inbox(stream));
      times.push(performance.now() - started);
      await stream.close();
    }
    return times;
  }

  async #serve() {
    await this.#node.handle(ECHO, async (stream) => {
      await writeAll(stream, await new Inbox(stream).rest());
      await stream.close();
    });
    await this.#node.handle(SINK, async (stream) => {
      const counted = await new Inbox(stream).countRest();
      const count = new Uint8Array(8);
      new DataView(count.buffer).setBigUint64(0, BigInt(counted));
      await writeAll(stream, count);
      await stream.close();
    });
    await this.#node.handle(TURN, async (stream) => {
      const inbox = new Inbox(stream);
      for (let bytes = await inbox.take(TURN_BYTES); bytes; bytes = await inbox.take(TURN_BYTES)) await writeAll(stream, bytes);
      await stream.close();
    });
  }

  #direct(peer) {
    const isDirect = ({ remotePeer, remoteAddr, limits, status }) =>
      remotePeer.toString() === peer && remoteAddr.toString().includes("/webrtc") && !limits && status === "open";
    return this.#node.getConnections().find(isDirect);
  }

  async #open(peer, protocol) {
    const connection = this.#direct(peer);
    if (!connection) throw new Error(`no direct connection to ${peer}`);
    return connection.newStream(protocol, { maxReadBufferLength: 64 * 1024 * 1024 });
  }
}

async function turn(stream, inbox) {
  const started = performance.now();
  await writeAll(stream, new Uint8Array(TURN_BYTES).fill(3));
  await inbox.take(TURN_BYTES);
  return performance.now() - started;
}

async function until(probe) {
  for (;;) {
    const value = await probe();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function encodeLength(length) {
  const bytes = [];
  for (let rest = length; ; rest >>>= 7) {
    if (rest < 0x80) return Uint8Array.from([...bytes, rest]);
    bytes.push((rest & 0x7f) | 0x80);
  }
}

async function decodeLength(inbox) {
  let length = 0;
  for (let shift = 0; ; shift += 7) {
    const [byte] = await inbox.take(1);
    length |= (byte & 0x7f) << shift;
    if (byte < 0x80) return length;
  }
}
