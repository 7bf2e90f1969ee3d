//! The project's own kernels: what each ONNX operator computes, element by element.
//!
//! They are the reference of this crate. Constants are folded with them, shapes that depend on constants are inferred
//! with them, and a model runs on them wherever tract refuses an operator or gets it wrong (`docs/operators.md` is the
//! measured table). They are written for exactness and short code, not for speed: sums of many terms are kept in
//! `f64`, and data is moved through lists of places.
//!
//! Invariants: a kernel never panics on any input, checks a result's shape against the
//! [`limits`](crate::limits) before it reserves memory for it, and refuses what it does not compute exactly as
//! ONNX says. [`kernel`] is the only list of what is known.

mod call;
mod elementwise;
pub(crate) mod forecast;
mod indexing;
mod matrix;
mod movement;
pub(crate) mod place;
mod quant;
mod recurrent;
mod reduce;
mod resize;
mod signal;
mod special;
mod vision;
mod window;

pub use call::{Call, Outcome, Problem};
#[cfg(test)]
pub(crate) use special::gelu;

/// An operator's implementation.
pub type Kernel = fn(&Call<'_>) -> Outcome;

/// The kernel of an operator of ONNX's own set, if there is one.
#[must_use]
pub fn kernel(op: &str) -> Option<Kernel> {
    let kernel: Kernel = match op {
        "Abs" | "Acos" | "Acosh" | "Asin" | "Asinh" | "Atan" | "Atanh" | "Ceil" | "Celu" | "Cos" | "Cosh"
        | "Elu" | "Erf" | "Exp" | "Floor" | "Gelu" | "HardSigmoid" | "HardSwish" | "LeakyRelu" | "Log"
        | "Mish" | "Neg" | "Reciprocal" | "Relu" | "Round" | "Selu" | "Shrink" | "Sigmoid" | "Sign"
        | "Sin" | "Sinh" | "Softplus" | "Softsign" | "Sqrt" | "Tan" | "Tanh" | "ThresholdedRelu" => {
            elementwise::unary
        }
        "Add" | "Sub" | "Mul" | "Div" | "Max" | "Min" | "Sum" | "Mean" => elementwise::arithmetic,
        "Pow" => elementwise::power,
        "Mod" => elementwise::modulo,
        "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" => elementwise::comparison,
        "And" | "Or" | "Xor" | "BitShift" | "BitwiseAnd" | "BitwiseOr" | "BitwiseXor" => elementwise::logic,
        "Not" | "BitwiseNot" => elementwise::not,
        "PRelu" => elementwise::prelu,
        "Where" => elementwise::select,
        "Cast" | "CastLike" => elementwise::cast,
        "Clip" => elementwise::clip,
        "IsInf" | "IsNaN" => elementwise::float_class,
        "Identity" | "Dropout" => movement::identity,
        "Reshape" => movement::reshape,
        "Flatten" => movement::flatten,
        "Squeeze" => movement::squeeze,
        "Unsqueeze" => movement::unsqueeze,
        "Transpose" => movement::transpose,
        "Expand" => movement::expand,
        "Tile" => movement::tile,
        "Concat" => movement::concat,
        "Split" => movement::split,
        "Slice" => movement::slice,
        "Pad" => movement::pad,
        "DepthToSpace" | "SpaceToDepth" => movement::depth_to_space,
        "ReverseSequence" => movement::reverse_sequence,
        "Trilu" => movement::trilu,
        "CenterCropPad" => movement::center_crop_pad,
        "Upsample" => movement::upsample,
        "Gather" => indexing::gather,
        "GatherElements" => indexing::gather_elements,
        "GatherND" => indexing::gather_nd,
        "Scatter" | "ScatterElements" => indexing::scatter_elements,
        "ScatterND" => indexing::scatter_nd,
        "OneHot" => indexing::one_hot,
        "Compress" => indexing::compress,
        "NonZero" => indexing::non_zero,
        "TopK" => indexing::top_k,
        "Unique" => indexing::unique,
        "ArgMax" | "ArgMin" => indexing::arg_extreme,
        "Shape" => indexing::shape_of,
        "Size" => indexing::size_of,
        "Constant" => indexing::constant,
        "ConstantOfShape" => indexing::constant_of_shape,
        "Range" => indexing::range,
        "EyeLike" => indexing::eye_like,
        "NonMaxSuppression" => indexing::non_max_suppression,
        "ReduceSum" | "ReduceMean" | "ReduceProd" | "ReduceMax" | "ReduceMin" | "ReduceL1" | "ReduceL2"
        | "ReduceSumSquare" | "ReduceLogSum" | "ReduceLogSumExp" => reduce::reduce,
        "Softmax" | "LogSoftmax" | "Hardmax" => reduce::softmax,
        "CumSum" => reduce::cum_sum,
        "LpNormalization" => reduce::lp_normalization,
        "LayerNormalization" => reduce::layer_norm,
        "InstanceNormalization" | "GroupNormalization" => reduce::group_norm,
        "BatchNormalization" => reduce::batch_norm,
        "MeanVarianceNormalization" => reduce::mean_variance,
        "LRN" => reduce::local_response,
        "MatMul" => matrix::matmul,
        "Gemm" => matrix::gemm,
        "MatMulInteger" => matrix::matmul_integer,
        "QLinearMatMul" => matrix::q_linear_matmul,
        "Det" => matrix::determinant,
        "Einsum" => matrix::einsum,
        "NegativeLogLikelihoodLoss" | "SoftmaxCrossEntropyLoss" => matrix::loss,
        "QuantizeLinear" => quant::quantize,
        "DequantizeLinear" => quant::dequantize,
        "DynamicQuantizeLinear" => quant::dynamic_quantize,
        "Conv" => window::conv,
        "ConvInteger" => window::conv_integer,
        "QLinearConv" => window::q_linear_conv,
        "ConvTranspose" => window::conv_transpose,
        "MaxPool" | "AveragePool" | "LpPool" => window::pool,
        "GlobalMaxPool" | "GlobalAveragePool" | "GlobalLpPool" => window::global_pool,
        "MaxUnpool" => window::max_unpool,
        "Col2Im" => window::col2im,
        "Resize" => resize::resize,
        "GridSample" => vision::grid_sample,
        "AffineGrid" => vision::affine_grid,
        "RoiAlign" => vision::roi_align,
        "RNN" | "GRU" | "LSTM" => recurrent::recurrent,
        "HannWindow" | "HammingWindow" | "BlackmanWindow" => signal::window,
        _ => return None,
    };
    Some(kernel)
}
