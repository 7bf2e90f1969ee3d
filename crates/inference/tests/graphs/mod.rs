//! Parts of graphs that several tests are made of.

use inference::onnx::build::{GraphBuilder, int, ints};
use inference::onnx::proto::TensorProto;

/// Attention as exporters write it: from `x`, the shapes `split` and `join`, `depth` and `mask` to `attended`. `weight` and `bias`
/// make the constants of each of the three products.
pub(crate) fn attention(
    graph: &mut GraphBuilder,
    weight: impl Fn(&str) -> TensorProto,
    bias: impl Fn(&str) -> TensorProto,
) {
    for (part, order) in [("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])] {
        let name = |what: &str| format!("{part}.{what}");
        graph.constant(weight(&name("weight")));
        graph.constant(bias(&name("bias")));
        graph.node("MatMul", &["x", &name("weight")], &name("product"), vec![]);
        graph.node("Add", &[&name("product"), &name("bias")], part, vec![]);
        graph.node("Reshape", &[part, "split"], &name("split"), vec![]);
        let order = vec![ints("perm", &order)];
        graph.node("Transpose", &[&name("split")], &name("heads"), order);
    }
    graph.node("MatMul", &["q.heads", "k.heads"], "raw", vec![]);
    graph.node("Div", &["raw", "depth"], "scaled", vec![]);
    graph.node("Add", &["scaled", "mask"], "scores", vec![]);
    graph.node("Softmax", &["scores"], "weights", vec![int("axis", -1)]);
    graph.node("MatMul", &["weights", "v.heads"], "mixed", vec![]);
    let order = vec![ints("perm", &[0, 2, 1, 3])];
    graph.node("Transpose", &["mixed"], "together", order);
    graph.node("Reshape", &["together", "join"], "attended", vec![]);
}
