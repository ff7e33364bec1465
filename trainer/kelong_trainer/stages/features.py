"""Adds to each clip what other models know of it, as the preset and its sources ask: text features, style vectors.

A preset without encoders pays nothing here. Each file lies in the store by the digest of what it was computed from.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable

from kelong_contract import codec, conditions, corpora, layout
from kelong_speech import features, sources

from kelong_trainer.context import BadOrder, RunContext
from kelong_trainer.corpus.clips import clip_features, clip_sound

log = logging.getLogger(__name__)

VERSION = 1
_FIELDS = {clip_features.TEXT: "textEncoder", clip_features.STYLE: "style"}
Facts = dict[str, object]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Wanted:
    """One kind of feature: where its encoder comes from and what makes its result what it is."""

    kind: str
    address: str
    identity: str


def facts(context: RunContext) -> Facts:
    """What the result depends on besides the clips and this code; raises BadOrder for a source that is not there."""
    return {wanted.kind: wanted.identity for wanted in _wanted(context)} | {
        "hidden_state": features.DEFAULT_HIDDEN_STATE,
        "clap": features.CLAP_RULE,
    }


def run(context: RunContext, corpus: corpora.Corpus) -> corpora.Corpus:
    """The corpus with the keys of each clip's feature files."""
    clips = list(corpus.clips)
    wanted = _wanted(context)
    with context.telemetry.stage("features", len(wanted) * len(clips), "clips") as bar:
        for kind in wanted:
            maker = _Maker(context, kind)
            for index, clip in enumerate(clips):
                context.check_stopping()
                clips[index] = dataclasses.replace(clip, features={**clip.features, kind.kind: maker.key_of(clip)})
                bar.advance()
    return dataclasses.replace(corpus, stage="features", clips=tuple(clips))


class _Maker:
    """Makes one kind of feature; loads its encoder when a clip is met that has none yet."""

    def __init__(self, context: RunContext, wanted: _Wanted) -> None:
        self._context, self._wanted = context, wanted
        self._encode: Callable[[corpora.Clip], bytes] | None = None

    def key_of(self, clip: corpora.Clip) -> str:
        """The key of the clip's feature file, which is in the store when this returns."""
        about: Facts = {"identity": self._wanted.identity, "version": VERSION}
        if self._wanted.kind == clip_features.TEXT:
            about |= {"spoken": clip.spoken, "hidden_state": features.DEFAULT_HIDDEN_STATE}
        else:
            about |= {"clip": clip.sha256, "rule": features.CLAP_RULE}
        key = layout.feature(self._context.place, self._wanted.kind, codec.digest(about))
        if not self._context.store.exists(key):
            self._encode = self._encode or self._load()
            self._context.store.put(key, self._encode(clip))
        return key

    def _load(self) -> Callable[[corpora.Clip], bytes]:
        context, address = self._context, self._wanted.address
        try:
            folder = sources.resolve(address, context.order.voice.namespace, context.store, context.work_dir / "models")
            assert folder is not None  # `_wanted` leaves out `none`
            if self._wanted.kind == clip_features.TEXT:
                text_encoder = features.TextEncoder.load(folder, device=context.device)
                return lambda clip: _text(text_encoder, clip)
            style_encoder = features.StyleEncoder.load(folder, device=context.device)
            return lambda clip: _style(style_encoder, context, clip)
        except sources.ModelSourceUnavailable as error:
            field = f"model.sources.{_FIELDS[self._wanted.kind]}"
            raise BadOrder(conditions.MODEL_SOURCE_UNAVAILABLE, f"{field} '{address}': {error}") from None


def _text(encoder: features.TextEncoder, clip: corpora.Clip) -> bytes:
    """One column a character: the counts that spread them over phones are applied when the file is read."""
    return clip_features.encode(encoder.encode(clip.spoken, [1] * (len(clip.spoken) + 2)))


def _style(encoder: features.StyleEncoder, context: RunContext, clip: corpora.Clip) -> bytes:
    file = clip_sound.fetched(context.store, context.place, clip, context.work_dir)
    return clip_features.encode(encoder.of_audio(clip_sound.as_cut(file)))


def _wanted(context: RunContext) -> list[_Wanted]:
    """The encoders that the order asks for; the full preset cannot do without."""
    given = context.order.model.sources
    wanted = []
    for kind, address in ((clip_features.TEXT, given.text_encoder), (clip_features.STYLE, given.style)):
        if address is None or address == "none":
            if context.order.model.preset == "zh-clap":
                message = (
                    f"model.sources.{_FIELDS[kind]} is {address or 'not given'}: the preset zh-clap needs it; "
                    "name a source such as store:PREFIX, or choose the preset tiny"
                )
                raise BadOrder(conditions.MODEL_SOURCE_UNAVAILABLE, message)
            continue
        try:
            identity = sources.identity(address, context.order.voice.namespace, context.store)
        except sources.ModelSourceUnavailable as error:
            raise BadOrder(conditions.MODEL_SOURCE_UNAVAILABLE, f"model.sources.{_FIELDS[kind]}: {error}") from None
        wanted.append(_Wanted(kind=kind, address=address, identity=identity))
    return wanted
