//! Every bound of this crate, in one place.
//!
//! A limit is checked before the memory it guards is allocated. The client checks the limits on texts too, so that
//! a request that cannot be served never reaches the worker.

/// Texts in one embedding request.
pub const TEXTS_MAX: usize = 256;
/// Bytes of one text, before tokenizing.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Bytes of one model file. The memory of a 32-bit wasm worker would not hold a larger one next to its working copy.
pub const MODEL_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Bytes of one tokenizer file.
pub const TOKENIZER_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Nodes of one ONNX graph.
pub const GRAPH_NODES_MAX: usize = 20_000;
/// Tensors stored in one ONNX graph.
pub const GRAPH_TENSORS_MAX: usize = 20_000;
/// Inputs and outputs of all nodes of one ONNX graph. Each name is looked up and kept a few times.
pub const GRAPH_EDGES_MAX: usize = 200_000;
/// Settings of one node. ONNX's operators have fewer than 20.
pub const NODE_ATTRIBUTES_MAX: usize = 64;
/// Bytes that reading one ONNX file reserves for structures and texts. MiniLM's take half a megabyte.
pub const MODEL_PARTS_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Bytes that reading one ONNX file reserves for numbers that it lists one by one instead of as raw bytes.
pub const MODEL_NUMBERS_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Elements of one tensor, given or computed.
pub const TENSOR_ELEMENTS_MAX: usize = 128 * 1024 * 1024;
/// Dimensions of one tensor.
pub const TENSOR_RANK_MAX: usize = 8;
/// Tokens of one text, whatever a manifest says.
pub const TOKENS_MAX: usize = 512;
/// Components of one embedding, whatever a manifest says.
pub const DIMENSION_MAX: usize = 4096;
/// Texts of a known answer.
pub const KNOWN_ANSWER_TEXTS_MAX: usize = 32;
/// Known answers in one file of a relay's pool.
pub const POOL_TEXTS_MAX: usize = 8_192;
/// Bytes of one such file: 2,000 answers of 384 components have 7 million.
pub const POOL_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Requests that wait for the worker at the same time.
pub const PENDING_REQUESTS_MAX: usize = 64;
/// Elements of one tensor that a kernel computes. Kernels that move elements keep a list of places as well, so that each
/// may cost 12 bytes.
pub const COMPUTED_ELEMENTS_MAX: usize = 1 << 25;
/// Bytes of all values that one run of a session holds at the same time, or that its constants hold.
pub const SESSION_BYTES_MAX: usize = 768 * 1024 * 1024;
/// Multiplications of one kernel call: about half a minute of one slow core.
pub const KERNEL_WORK_MAX: u64 = 1 << 35;
/// Steps of one run, or of folding a model's constants, each about as long as a multiplication: two minutes of one slow
/// core. The largest model that fits into a file takes half of it for a text of [`TOKENS_MAX`] tokens.
pub const RUN_WORK_MAX: u64 = 1 << 37;
/// Bytes of one `config.json`.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of the name of a model that a person brought.
pub const NAME_BYTES_MAX: usize = 120;
/// Models that a person may keep on one device.
pub const OWN_MODELS_MAX: usize = 32;
/// Inputs, or outputs, of a model that a person brought.
pub const PORTS_MAX: usize = 256;
/// Bytes of all tensors that one run is given, and of all that it gives.
pub const RUN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Labels of a classifier.
pub const LABELS_MAX: usize = 4096;
/// Texts after which a generation stops.
pub const STOPS_MAX: usize = 8;
/// Bytes of one such text.
pub const STOP_BYTES_MAX: usize = 256;
