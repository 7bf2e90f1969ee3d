/** A libp2p peer id, "12D3KooW…". */
export type PeerId = string;
/** 64 hexadecimal digits. */
export type Hash = string;
/** Thousandths of a credit; an integer. */
export type Millicredits = number;
/** Milliseconds since the Unix epoch. */
export type Timestamp = number;

/**
 * What the methods of `KnowledgeNode` throw or reject with: an `Error` with one of these codes.
 *
 * - `already_started`, `not_started`, `stopped`, `busy`: the state of the node
 * - `invalid_options`, `invalid_invite`, `invalid_address`, `invalid_input`: an argument; the message says which
 * - `runs_elsewhere`, `take_over_timeout`: another tab of this browser is the node
 * - `model_refused`: a model cannot be computed here; the message names the operator or the file that stands in the way
 * - `model_missing`: the browser has lost a model's files; `too_many_models`: remove one first
 * - `storage`, `unsupported`: this browser keeps nothing, or lacks something that nothing can replace
 * - `dial_failed`: nobody answered
 * - `weak_passphrase`, `wrong_passphrase`: the passphrase of a backup
 * - `backup_damaged`, `backup_too_large`, `backup_format`, `other_identity`, `temporary_identity`: the backup itself, or nothing
 *   to back up; what the device keeps is unchanged
 * - `unknown_service`: the service is not known, or not offered
 * - `no_discovery`, `no_provider`, `no_proposal`: nobody to ask, nobody offers it, no offer fits
 * - `not_held`: nobody has kept an answer to this, or gives the file; `no_room`: no provider has room for it
 * - `wrong_ticket`: what came back cannot be opened with this ticket
 * - `paused`, `unknown_model`, `not_a_member`: a provider's refusal
 * - `credit_limit`, `too_expensive`, `deadline`, `expired`, `cancelled`: the conditions of the trade
 * - `disconnected`, `wrong_result`, `protocol`, `bad_signature`, `invalid_request`, `engine`: the trade went wrong
 * - `internal`: a fault of this software
 */
export interface KnowledgeError extends Error {
  code: string;
  /** The numbers that belong to a failed trade's reason. */
  detail?: Record<string, unknown>;
}

export interface StartOptions {
  /** Origin of the relay. Default: where this module came from. */
  relay?: string;
  /** Text of an invite. Default: the relay's open group, "everyone here". */
  group?: string;
  /** Names the node's storage; two names are two identities. Default: "knowledge-node". */
  storage?: string;
  /** STUN and TURN servers for direct connections across networks. Default: none. */
  iceServers?: { urls: string[]; username?: string; credential?: string }[];
  /** Ways to the relay. Default: both. */
  transports?: { ws?: boolean; webrtcDirect?: boolean };
  /** Stop the node that runs in another tab of this browser, and take over. Default: false. */
  takeOver?: boolean;
  /** After so many milliseconds without use, models are taken out of memory until somebody wants them. Default: 120,000. */
  idleMs?: number;
  /** Run others' WebAssembly modules while lending. Default: true. */
  compute?: boolean;
}

export interface LendOptions {
  /** Default: true. */
  enabled?: boolean;
  /** Share of processor and graphics time, 0 to 1. */
  computeShare?: number;
  memoryBytes?: number;
  storageBytes?: number;
  /** Pause on battery. */
  onlyCharging?: boolean;
  /** Pause on a metered connection. */
  onlyUnmetered?: boolean;
  /** Help others to meet when no relay is left. Default: a Power node does. */
  coordinate?: boolean;
}

export type Tier = "basic" | "standard" | "power";
export type Scope = "device" | "own" | "group" | "anyone";
export type Transport = "webrtc" | "webrtc-direct" | "websocket" | "relayed" | "tcp" | "other";
export type Service =
  | "inference" | "cache_query" | "storage" | "computation" | "model_training" | "complex_inference"
  | "large_storage" | "specialised_processing" | "coordination" | "reputation" | "market_facilitation"
  | "resource_discovery";
export type PauseReason =
  | "battery" | "metered" | "hidden" | "no_model" | "offline" | "limit_reached" | "storage" | "tier_too_low";

/** The price is their product. The last three are in parts per million. */
export interface Factors {
  baseCost: Millicredits;
  qualityMultiplier: number;
  marketDemand: number;
  reputationFactor: number;
}

/** A Beta posterior: mean, 5 % and 95 % quantiles. No observations means "unknown". */
export interface Metric {
  mean: number;
  lower: number;
  upper: number;
  observations: number;
}

export interface Reputation {
  reliability: Metric;
  availability: Metric;
  responseTime: Metric;
  quality: Metric;
  score: number;
  /** Ranking uses it. */
  lower: number;
  upper: number;
  receipts: number;
  /** What others' payments say, 0 to 1. */
  merit: number;
  /** Whose payments the merit comes from and in which parts; filled by `reputation()`, empty in lists. */
  vouchers: { id: PeerId; part: number }[];
}

/** What a member of a private group owes this node, and how much it may. */
export interface Credit {
  /** With what is agreed and not yet paid; below zero when this node owes the member. */
  owed: Millicredits;
  /** What was set for this member alone. */
  line: { line: "default" | "unlimited" } | { line: "limit"; most: Millicredits };
  /** What holds; `null` is unlimited. */
  limit: Millicredits | null;
}

export interface Peer {
  id: PeerId;
  role: "relay" | "node";
  /** `null`: not connected. */
  transport: Transport | null;
  address: string | null;
  rttMs: number | null;
  member: boolean;
  tier: Tier | null;
  reputation: Reputation | null;
  /** `null` outside a private group. */
  credit: Credit | null;
}

export interface Reading {
  value: number;
  at: Timestamp;
  /** Measured here, or only a hint from the browser. */
  measured: boolean;
}

export interface Capabilities {
  /** `null` until measured. */
  tier: Tier | null;
  measurements: {
    processingTokensPerS: Reading | null;
    memoryBytes: Reading | null;
    batteryLevel: Reading | null;
    networkRttMs: Reading | null;
    storageBytes: Reading | null;
  };
  canProvide: Service[];
  needProvider: Service[];
  optimalRoles: Service[];
}

export interface Offer {
  provider: PeerId;
  mine: boolean;
  service: Service;
  model: Hash | null;
  modelName: string | null;
  /** For one unit: 1,000 tokens of inference. */
  unitPrice: Millicredits;
  factors: Factors;
  capacity: number;
  unitMs: number | null;
  ageMs: number;
}

export interface Lending {
  policy: Required<LendOptions>;
  /** Why it is paused although it is on. */
  paused: PauseReason | null;
  offering: boolean;
  running: number;
  sold: number;
  earned: Millicredits;
  busyMs: number;
}

export interface Balance {
  settled: Millicredits;
  pending: Millicredits;
  /** How far below zero a newcomer may go with strangers. */
  newcomerAllowance: Millicredits;
  unlimitedInGroup: boolean;
}

export type Verification =
  | { method: "unchecked" }
  | { method: "spot_checked"; probes: number; cosineMin: number }
  | { method: "two_agree"; second: PeerId; compared: number; probes: number; cosineMin: number }
  /** Computed before: `signer` signed text, model and time; `signers` signed the same in all. */
  | { method: "kept"; signer: PeerId; computedAt: Timestamp; signers: number }
  | { method: "proved"; questions: number }
  | { method: "wrong"; cosineMin: number; required: number };

export interface Receipt {
  id: Hash;
  counterparty: PeerId;
  service: Service;
  /** Signed change of this node's balance. */
  delta: Millicredits;
  /** Units that were paid for; for inference estimated tokens. */
  units: number;
  /** Given up half-way: only the units that were done are paid. */
  partial: boolean;
  factors: Factors;
  sequence: number;
  fullySigned: boolean;
  verification: Verification;
  at: Timestamp;
}

export interface Requirements {
  /** Default: 30,000. */
  deadlineMs?: number;
  priceMax?: Millicredits;
  /** Least lower bound of the provider's reputation, 0 to 1. */
  reputationMin?: number;
  /** Who may read it. Default: "group". */
  scope?: Scope;
  provider?: PeerId;
  /** The coarsest precision that will do. Default: "int8". */
  precision?: "f32" | "f16" | "int8";
}

/** What every request comes to. */
export interface Outcome {
  provider: PeerId;
  /** The model, or the module that ran. */
  model: Hash | null;
  price: Millicredits;
  factors: Factors;
  verification: Verification;
  receipt: Receipt;
  tookMs: number;
}

export interface InferenceResult extends Outcome {
  /** One unit vector for each text, in order. */
  embeddings: Float32Array[];
  /** The provider's word; not verified. */
  backend: string | null;
}

export interface ComputationResult extends Outcome {
  /** How each run ended, in the order of the inputs: the same on every machine. */
  runs: Run[];
}

/** `fuel` is what the run used. */
export type Run = { fuel: number; output: Uint8Array } | { fuel: number; failure: string };

/** What `new Blob([…])` takes. */
export type FileContent = Blob | ArrayBuffer | ArrayBufferView;

/** A model's files, in the formats of ONNX and of Hugging Face. */
export interface ModelFiles {
  /** The graph with its weights, in one file of at most 512 MiB. */
  onnx: FileContent;
  /** `tokenizer.json`, for models of text. */
  tokenizer?: FileContent;
  /** `config.json`: the labels of a classifier, and how long its texts may be. */
  config?: FileContent;
  /** Default: the ONNX file's own name. */
  name?: string;
}

/** A named input or output. `null` stands for a size, or a whole shape, that the file leaves open. */
export interface Port {
  name: string;
  element: TensorType;
  dims: (number | null)[] | null;
}

/** A model that was brought to this device. */
export interface Model {
  /** BLAKE3 of the ONNX file. */
  id: Hash;
  name: string;
  /** All files together. */
  bytes: number;
  hasTokenizer: boolean;
  /** What can be asked of it besides `run`. */
  tasks: ("classify" | "generate")[];
  inputs: Port[];
  outputs: Port[];
  backend: string;
  /** Measured when it was brought; `null` if it leaves open too much to be tried. */
  msPerRun: number | null;
  /** The same for models of text. */
  tokensPerSecond: number | null;
  /** Why it lasts only as long as this page; `null` if the browser keeps it. */
  notKept: string | null;
}

/** onnxruntime-web's names. 16-bit floats are given and taken as 32-bit ones. */
export type TensorType = "float32" | "int64" | "int32" | "int8" | "uint8" | "bool";

/** A tensor; onnxruntime-web's own objects fit. */
export interface Tensor {
  /** Default: what the array holds. Needed for "bool", whose elements are the bytes 0 and 1 of a `Uint8Array`. */
  type?: TensorType;
  dims: readonly number[];
  /** In row-major order, as many as `dims` say; 64 MiB for all tensors of a run together. */
  data: Float32Array | BigInt64Array | Int32Array | Int8Array | Uint8Array;
}

export interface GenerateOptions {
  /** Default: 64. Prompt and text together have at most 512 tokens. */
  maxTokens?: number;
  /** Texts before which it ends; at most 8. They need a tokenizer. */
  stop?: string[];
  /** 0, the default, takes the likeliest token each time. */
  temperature?: number;
  /** Only so many of the likeliest tokens are eligible. Default: all. */
  topK?: number;
  /** Only the likeliest tokens that together reach this probability are eligible. Default: 1. */
  topP?: number;
  /** Equal seeds give equal texts. Default: 0. */
  seed?: number;
  /** Hears each token as it comes, with the text that is certain since the one before. */
  onToken?: (piece: { token: number; text: string }) => void;
  /** Ends the text: the promise rejects with `cancelled`. */
  signal?: AbortSignal;
}

export interface GeneratedText {
  /** After the prompt; empty without a tokenizer. */
  text: string;
  tokens: number[];
  /** A stop text or the model's own end, as many tokens as asked for, or cancelled. */
  ending: "stop" | "length" | "interrupted";
  promptTokens: number;
  tookMs: number;
}

/** The fields of `Status` that a program may rely on; there are more for people. */
export interface Status {
  me: PeerId;
  relay: { origin: string; peer: PeerId | null; state: { state: "connecting" | "connected" | "reserved" | "waiting" } };
  /** "No peers because …". */
  diagnosis: { reason: "ok" | "starting" | "offline" | "relay-unreachable" | "alone" | "no-direct" };
  identity: { kind: "kept" | "temporary" };
  /** The engine for others' modules. Units of fuel a second. */
  computer:
    | { state: "unmeasured" | "measuring" }
    | { state: "ready"; fuelPerS: number }
    | { state: "failed"; reason: string };
  tab: "active" | "stopped" | "taken_over";
  versions: { node: string; protocol: string };
}

/** Event names and their details. Every detail carries its name as `event`. */
export interface Holder {
  peer: PeerId;
  paidUntil: Timestamp;
  price: Millicredits;
}

/** A file that others keep. */
export interface StoredFile {
  blob: Hash;
  bytes: number;
  /** How many providers should keep it. */
  copies: number;
  until: Timestamp;
  /** Who does, until when that is paid, and what the last slice cost. */
  holders: Holder[];
  /** Questions that are left. */
  questions: number;
  /** Why the last attempt to place or prolong it failed. */
  failure: { code: string } | null;
}

export type StoredStep =
  | { step: "placed" | "prolonged"; holder: Holder }
  | { step: "failed"; reason: { code: string } }
  | { step: "lost"; peer: PeerId; reason: { code: string } }
  | { step: "out_of_questions" | "ended" };

export interface KnowledgeEvents {
  stored: { event: "stored"; blob: Hash; step: StoredStep };
  /** A step of a trade in which this node buys. */
  trade: { event: "trade"; job: number; at: Timestamp; step: { step: string } };
  /** A step of a trade in which this node sells. */
  served: { event: "served"; requester: PeerId; at: Timestamp; step: { step: string } };
  finished: { event: "finished"; job: number };
  failed: { event: "failed"; job: number; failure: { code: string } };
  /** Peers, offers, receipts, balance or lending changed. */
  changed: { event: "changed" };
  /** `status()` changed. */
  status: { event: "status" };
  /** This page was too slow: so many events are lost. */
  missed: { event: "missed"; count: number };
  /** The node ended. */
  stopped: { event: "stopped"; tab: "stopped" | "taken_over" };
}

/** A node of the knowledge network in this page. Call and await the module's default export first. */
export class KnowledgeNode {
  constructor();
  /** The text of an invite to a new group, to be passed as `group` to `start`. */
  static newGroup(): string;
  /** Starts the node. Resolves as soon as it runs; the relay is connected afterwards. */
  start(options?: StartOptions): Promise<void>;
  /** `undefined` before `start`. */
  readonly peerId: PeerId | undefined;
  /** The text that invites to this node's group; `undefined` in the open group. */
  readonly invite: string | undefined;
  peers(): Peer[];
  status(): Status;
  /** Connects to a multiaddr; resolves to who is there. */
  dial(multiaddr: string): Promise<PeerId>;
  capabilities(): Capabilities;
  offers(): Offer[];
  /** Switches lending on, off or to other limits. What is left out stays as it is. */
  lend(options?: LendOptions): Lending;
  /** Buys a service. */
  request(
    service: "inference",
    payload: { texts: string[]; model?: Hash },
    requirements?: Requirements,
  ): Promise<InferenceResult>;
  /**
   * Buys vectors that were computed before, without computing; only hashes of the texts leave this device. Rejects with
   * `not_held` where nobody has kept all of them: then ask for inference. `verification` tells who computed them and when.
   */
  request(
    service: "cache_query",
    payload: { texts: string[]; model: Hash },
    requirements?: Requirements,
  ): Promise<InferenceResult>;
  /**
   * Has a WebAssembly module run once for each input, by the calling convention of `crates/computation`. Only what the runs
   * used of their fuel is paid. `fuel` is what one run may use, up to 2^36; default: 2^32, about a second on a laptop.
   */
  request(
    service: "computation",
    payload: { module: Uint8Array; inputs: Uint8Array[]; fuel?: number },
    requirements?: Requirements,
  ): Promise<ComputationResult>;
  /**
   * Encrypts a file of up to 16 MiB and has others keep it; resolves once it is written down on this device. Its key is in the ticket
   * and nowhere else. Every `sliceHours` (default: 24) each provider answers a question that only a holder of the file can, and is paid
   * for the next slice; one that cannot is replaced. Default: 2 copies for 7 days within the group.
   */
  store(
    file: Uint8Array,
    options?: { copies?: number; hours?: number; sliceHours?: number; priceMax?: Millicredits; scope?: "group" | "anyone" },
  ): Promise<{ blob: Hash; ticket: string }>;
  /** Brings a file back from whoever keeps it and opens it. `from` names a provider, where this device did not store it itself. */
  retrieve(ticket: string, options?: { from?: PeerId }): Promise<Uint8Array>;
  /** The files that others keep for this device. */
  stored(): StoredFile[];
  /** Asks everyone who keeps a file now whether they still do, and pays them for one more slice. */
  prolong(blob: Hash): void;
  /** Has a file kept no more: nothing more is paid. */
  release(blob: Hash): void;
  /**
   * Brings a model to this device: it is checked, measured and kept in this browser. Rejects with `model_refused` if it cannot
   * be computed exactly.
   */
  addModel(files: ModelFiles): Promise<Model>;
  /** The models that were brought to this device. */
  models(): Model[];
  /** Runs such a model on tensors of its own kind. Nothing leaves this device. */
  run(model: Hash, inputs: Record<string, Tensor>): Promise<Record<string, Required<Tensor>>>;
  /** For each text the labels, the likeliest first; for a model with tokenizer and `logits`. */
  classify(model: Hash, texts: string[]): Promise<{ label: string; score: number }[][]>;
  /** Goes on from a text, or from tokens; for a decoder with `past_key_values`. */
  generate(model: Hash, prompt: string | number[], options?: GenerateOptions): Promise<GeneratedText>;
  /** Forgets a model and removes its files. */
  removeModel(model: Hash): Promise<void>;
  balance(): Balance;
  /** The newest 100, newest first. */
  receipts(): Receipt[];
  /** Those with one peer that its score rests on, newest first; 100 unless another number is asked for. */
  receiptsWith(peer: PeerId, count?: number): Receipt[];
  reputation(peer: PeerId): Reputation;
  /** How much a member of the group may owe this node; without `member`, everyone who has no line of their own. */
  setCreditLine(line: { member?: PeerId; limit: Millicredits | "unlimited" | "default" }): void;
  /** Identity and ledger as one file that only the passphrase (8 characters at least) opens. */
  exportBackup(passphrase: string): Promise<Uint8Array>;
  /**
   * Puts a backup in place; the node stops and starts again. Of this identity it is merged with what is here. Of another one
   * it rejects with `other_identity`, unless `replace` says that it may take this one's place, whose ledger is then gone.
   */
  importBackup(file: Uint8Array, passphrase: string, options?: { replace?: boolean }): Promise<void>;
  /** Calls back on events of a name; returns a function that ends that. */
  on<Name extends keyof KnowledgeEvents>(event: Name, callback: (detail: KnowledgeEvents[Name]) => void): () => void;
  /** Closes everything and lets other tabs run the node. */
  stop(): Promise<void>;
  free(): void;
}
