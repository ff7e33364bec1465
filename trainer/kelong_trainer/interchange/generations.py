"""Which generation of the original made a generator's file: found from its tensors, because version strings lie.

"2.3" was written by the multilingual 2.3 and by the Chinese Extra, "2.4" by ZH-Clap, Extra-Fix and JP-Extra.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from kelong_speech.config import EXTRA_FIX_MEL_BANDS, Variant
from torch import Tensor

from kelong_trainer.interchange.original_config import LegacyConfig
from kelong_trainer.interchange.original_files import Unusable

GENERATIONS: dict[Variant, str] = {"zh-clap": "ZH-Clap (or Extra, whose network is the same)", "extra-fix": "Extra-Fix"}
ZH_CLAP_SPEAKER_CHANNELS = 256
_CODES = "enc_p.emo_vq._codebook.embed"
_SPEAKERS = "emb_g.weight"
_POSTERIOR = "enc_q."
_PARTS = ("enc_p.", "dec.")  # of every generator of VITS: where both are, what is missing is named one by one
_PROJECTION = "enc_p.bert_pre_proj.weight"
_UNIT_WITHIN = 5e-3  # half precision keeps a length of 1 to about 5e-4


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """A generator that can be used: its variant, the rows of its speaker table, and what is special about the file."""

    variant: Variant
    speakers: int
    speaks_only: bool  # without the posterior encoder, as `_release` files are
    halved: bool  # in half precision

    @property
    def sentence(self) -> str:
        """What it is, for whoever imports it."""
        special = [
            text for text, holds in (("half precision", self.halved), ("speaks only", self.speaks_only)) if holds
        ]
        return ", ".join([GENERATIONS[self.variant], f"{self.speakers} speaker rows", *special])


def recognise(name: str, tensors: dict[str, Tensor], config: LegacyConfig) -> Recognised:
    """What a Chinese generator's tensors say; raises Unusable saying what the file `name` is otherwise."""
    other = _other_generation(tensors)
    if other is None and config.kelong is None and not tensors.keys() & {_PROJECTION, _CODES}:
        other = f"no Chinese generation (it lacks {_PROJECTION}, as plain VITS and the first Bert-VITS2 do)"
    if other is not None:
        raise Unusable(
            f"{name} is {other}: its texts, encoders or network are others, and it cannot become a Chinese voice here; "
            "use a base model of the Chinese generations Extra, ZH-Clap or Extra-Fix"
        )
    if _SPEAKERS not in tensors:
        raise Unusable(f"{name} lacks {_SPEAKERS}, the table of speakers; get the file as it was saved by the original")
    return Recognised(
        variant=_variant(name, tensors, config),
        speakers=int(tensors[_SPEAKERS].shape[0]),
        speaks_only=not any(key.startswith(_POSTERIOR) for key in tensors),
        halved=any(tensor.dtype in (torch.float16, torch.bfloat16) for tensor in tensors.values()),
    )


def _variant(name: str, tensors: dict[str, Tensor], config: LegacyConfig) -> Variant:
    codes = tensors.get(_CODES)
    if codes is None:
        return "zh-clap"
    lengths = codes.float().norm(dim=-1)
    by_angle = bool((lengths - 1).abs().max() < _UNIT_WITHIN)
    if not by_angle and config.mel_bands == EXTRA_FIX_MEL_BANDS:
        raise Unusable(
            f"{name} and its config.json do not belong together: n_mel_channels {config.mel_bands} is Extra-Fix, "
            f"whose codes have length 1, and those of {name} have {float(lengths.min()):.2f} to "
            f"{float(lengths.max()):.2f}"
        )
    return "extra-fix" if by_angle else "zh-clap"


def _other_generation(tensors: dict[str, Tensor]) -> str | None:
    """The generation of a file that is of no use here, None for a Chinese one."""
    width = tensors[_SPEAKERS].shape[-1] if _SPEAKERS in tensors else None
    style = any(key.startswith("enc_p.emo_vq.") for key in tensors)
    pre = tensors.get(_PROJECTION)
    if "enc_p.ja_bert_proj.weight" in tensors:
        if "enc_p.en_bert_proj.weight" not in tensors:
            return "the Chinese and Japanese generation 1.x"
        if style:
            return "the multilingual generation 2.2"
        if any(key.startswith("enc_p.emo") for key in tensors):
            return "the multilingual generation 2.1"
        return "the multilingual generation " + ("2.3" if width == 512 else "2.0 or 2.3")
    if style and width == 512:
        return "the Japanese generation JP-Extra"
    if pre is not None and pre.shape[1] == 1024 and width == ZH_CLAP_SPEAKER_CHANNELS:
        return "the experiment ZH-BGE-Bert, with another text encoder"
    if not all(any(key.startswith(part) for key in tensors) for part in _PARTS):
        return "no generator of Bert-VITS2"
    return None
