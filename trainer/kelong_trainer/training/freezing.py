"""Parts of the generator that an order leaves as they are: their parameters do not move, their codebooks neither.

They get no gradient and no optimiser state. Dropout in them stays on: it belongs to how the rest learns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from kelong_contract import conditions
from torch import nn

from kelong_trainer.context import BadOrder

# What each name of `training.freeze` means, by the beginnings of parameter names.
# `TextFeatures` is how the text encoder model's features come in; the original freezes the second of its two layers
# alone, which the first, with nothing but a sum between them, can undo.
# `Style` is all that a style vector passes; the original freezes the codebook's two projections alone.
PARTS = {
    "TextFeatures": ("enc_p.bert_pre_proj.", "enc_p.bert_proj."),
    "Style": ("enc_p.in_feature_net.", "enc_p.emo_vq.", "enc_p.out_feature_net."),
    "TextEncoder": ("enc_p.",),
    "Decoder": ("dec.",),
}
AS_ORIGINAL = PARTS | {
    "TextFeatures": ("enc_p.bert_proj.",),
    "Style": ("enc_p.emo_vq.",),
}
_STILL = {"Style", "TextEncoder"}  # whose codebook stands still too; in the original it goes on following the batches
_CODEBOOK = "enc_p.emo_vq"


def apply(generator: nn.Module, names: Sequence[str], profile: Literal["fixed", "as-original"]) -> None:
    """Freeze the named parts; raises BadOrder for one that this generator does not have."""
    for name in names:
        beginnings = (PARTS if profile == "fixed" else AS_ORIGINAL)[name]
        found = [parameter for key, parameter in generator.named_parameters() if key.startswith(beginnings)]
        if not found:
            raise BadOrder(
                conditions.BAD_ORDER,
                f"training.freeze names {name}, which this model does not have: take it out, or name the model "
                "source that it belongs to",
            )
        for parameter in found:
            parameter.requires_grad_(False)
        if profile == "fixed" and name in _STILL:
            for key, module in generator.named_modules():
                if key == _CODEBOOK:
                    module.eval()
