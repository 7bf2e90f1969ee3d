//! What the inputs of a text encoder are for, told by their names as exporters spell them.

/// What an input is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InputRole {
    Ids,
    Mask,
    Types,
}

impl InputRole {
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "input_ids" => Some(Self::Ids),
            "attention_mask" => Some(Self::Mask),
            "token_type_ids" => Some(Self::Types),
            _ => None,
        }
    }

    /// The input's values for one text without padding.
    pub(super) fn values(self, ids: &[i64]) -> Vec<i64> {
        match self {
            Self::Ids => ids.to_vec(),
            Self::Mask => vec![1; ids.len()],
            Self::Types => vec![0; ids.len()],
        }
    }
}
