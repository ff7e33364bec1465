"""Orders from specs: the defaults of the installation filled in, prefixes made whole, decimal strings made numbers."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from kelong_contract import codec, layout, lexicon, names, orders, presets
from kelong_contract.resources import (
    Dataset,
    Gpu,
    InitStatus,
    Judging,
    ModelSources,
    Slicing,
    Source,
    Training,
    VoiceModelSpec,
)
from kelong_contract.synthesis_jobs import SynthesisJobSpec

from kelong_operator.settings import Settings
from kelong_operator.views import Owner

Beginning = TypeVar("Beginning", orders.Pretrained, orders.OtherVoice)


def voice_name(owner: Owner) -> orders.VoiceName:
    """The VoiceModel as orders name it."""
    return orders.VoiceName(namespace=owner.namespace, name=owner.name, uid=owner.uid)


def training_order(
    owner: Owner, spec: VoiceModelSpec, settings: Settings, begins_with: InitStatus | None = None
) -> orders.TrainingOrder:
    """What the trainer is asked to do; raises ValueError naming every fault.

    `begins_with` is the step of another voice that `training.init` names, as it was found.
    """
    training = spec.training
    texts = spec.audition.texts or settings.auditions
    return orders.TrainingOrder(
        voice=voice_name(owner),
        speakers=tuple(orders.Speaker(name=item.name, prefix=item.prefix) for item in spec.speakers),
        dataset=_dataset(owner.namespace, spec.dataset),
        model=orders.Model(preset=spec.model.preset, sources=_sources(spec, settings)),
        text=_text(spec),
        init=_init(owner, training, begins_with),
        slicing=_slicing(spec.dataset.slicing, spec.model.preset),
        judging=_judging(spec.dataset.judging),
        review=spec.review,
        training=_training(training, presets.DEFAULTS[spec.model.preset]),
        auditions=tuple(
            orders.AuditionText(name=item.name, text=item.text, speaker=getattr(item, "speaker", None))
            for item in texts
        ),
        device=dataclasses.replace(_device(training_gpus(spec, settings), settings), ranks=training.ranks),
    )


def serving_order(
    owner: Owner, spec: VoiceModelSpec, step: int, manifest_sha256: str, settings: Settings
) -> orders.ServingOrder:
    """What a speech server is asked to do."""
    return orders.ServingOrder(
        model_name=owner.name,
        voice=voice_name(owner),
        step=step,
        manifest_sha256=manifest_sha256,
        sources=_sources(spec, settings),
        text=_text(spec),
        device=_device(serving_gpus(spec, settings), settings),
        precision=spec.serving.precision,
        drain_s=settings.endpoint_delay_seconds,
    )


def synthesis_order(
    owner: Owner,
    spec: SynthesisJobSpec,
    voice: VoiceModelSpec,
    voice_uid: str,
    step: int,
    manifest_sha256: str,
    settings: Settings,
) -> orders.SynthesisOrder:
    """What the batch door is asked to do; raises ValueError naming every fault."""
    asked = spec.synthesis
    return orders.SynthesisOrder(
        uid=owner.uid,
        voice=orders.VoiceName(namespace=owner.namespace, name=spec.voice_model_ref.name, uid=voice_uid),
        step=step,
        manifest_sha256=manifest_sha256,
        input=_synthesis_input(owner.namespace, spec),
        output_prefix=layout.synthesis(owner.namespace, spec.output.prefix),
        output_format=spec.output.format,
        settings=presets.settings(
            voice.model.preset,
            length=float(asked.length),
            sdp_ratio=_number(asked.sdp_ratio),
            noise=_number(asked.noise),
            noise_w=float(asked.noise_w),
            seed=asked.seed,
            speaker=asked.speaker,
        ),
        sources=_sources(voice, settings),
        text=_text(voice),
        device=_device(serving_gpus(voice, settings), settings),
        precision=voice.serving.precision,
    )


def training_wish(spec: VoiceModelSpec) -> str:
    """The digest of all that a training Job is made from.

    A running Job is replaced when it changes. What the installation adds is left out on purpose: an upgrade of the
    operator takes effect with the next attempt and stops no training. So is what matters until training has begun
    (`preparing_wish`).
    """
    parts = (spec.speakers, spec.language, spec.dataset, spec.model, spec.training, spec.audition)
    return codec.digest(codec.encode(parts))


def preparing_wish(spec: VoiceModelSpec) -> str:
    """The digest of how texts are read and whether a person looks at the corpus.

    A Job that still prepares its recordings is replaced when it changes; one that trains has no more use for either
    than to speak its auditions.
    """
    return codec.digest(codec.encode((spec.text, spec.review)))


def own_recordings(namespace: str, source: Source) -> str | None:
    """The key prefix of the recordings in the installation's store; None if they are elsewhere."""
    if source.s3 is None or source.s3.bucket is not None:
        return None
    return layout.recordings(namespace, source.s3.prefix)


def watched_prefixes(owner: Owner, spec: VoiceModelSpec, settings: Settings) -> tuple[str, ...]:
    """The key prefixes that a training order reads of the installation's store: recordings and models.

    What is elsewhere (a volume, a store with keys of its own, the hub, a folder of the image) cannot be looked at.
    """
    recordings = own_recordings(owner.namespace, spec.dataset.source)
    pretrained = spec.training.init.pretrained
    addresses = [*vars(_sources(spec, settings)).values(), pretrained.source if pretrained is not None else None]
    models = {
        layout.model_source(owner.namespace, address.removeprefix("store:"))
        for address in addresses
        if address is not None and address.startswith("store:")
    }
    return (*(() if recordings is None else (recordings,)), *sorted(models))


def training_gpus(spec: VoiceModelSpec, settings: Settings) -> int:
    """How many GPUs the trainer gets."""
    return _gpus(spec.training.placement.gpu, settings.presets[spec.model.preset].training.gpu_count)


def serving_gpus(spec: VoiceModelSpec, settings: Settings) -> int:
    """How many GPUs a server (or a batch) gets."""
    return _gpus(spec.serving.placement.gpu, settings.presets[spec.model.preset].serving.gpu_count)


def _text(spec: VoiceModelSpec) -> orders.Text:
    entries = spec.text.lexicon
    if entries and spec.training.profile == "as-original":
        raise ValueError(
            "text.lexicon cannot be used with training.profile as-original, which reads as the original method did; "
            "leave the lexicon out or choose the profile fixed"
        )
    faults = "; ".join(lexicon.faults(entries))
    if faults:
        raise ValueError(f"text.lexicon cannot be used: {faults}")
    return orders.Text(lexicon=entries)


def _slicing(wished: Slicing, preset: str) -> orders.Slicing:
    lengths = {
        "aim_min_s": wished.aim_min_seconds,
        "aim_max_s": wished.aim_max_seconds,
        "min_s": wished.min_seconds,
        "max_s": wished.max_seconds,
    }
    return presets.slicing(preset, {name: float(value) for name, value in lengths.items() if value is not None})


def _judging(wished: Judging) -> orders.Judging:
    return orders.Judging(
        min_grade=wished.min_grade,
        min_confidence=_threshold(wished.min_confidence),
        min_agreement=_threshold(wished.min_agreement),
        min_similarity=_threshold(wished.min_similarity),
        min_dnsmos=_threshold(wished.min_dnsmos),
        min_snr_db=_threshold(wished.min_snr_db),
        max_clipped_share=_threshold(wished.max_clipped_share),
        max_music_share=_threshold(wished.max_music_share),
        min_syllables_per_s=_threshold(wished.min_syllables_per_second),
        max_syllables_per_s=_threshold(wished.max_syllables_per_second),
    )


def _threshold(text: str) -> float | None:
    return None if text == "none" else float(text)


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)


def _training(wished: Training, usual: presets.Defaults) -> orders.Training:
    rate, decay = _number(wished.learning_rate), _number(wished.ema_decay)
    weights = {name: float(value) for name, value in vars(wished.weights).items()}
    return orders.Training(
        max_steps=wished.max_steps,
        interval_steps=wished.checkpoint.interval_steps,
        learning_rate=usual.learning_rate if rate is None else rate,
        batch_frames=wished.batch_frames,
        seed=wished.seed,
        precision=wished.precision,
        profile=wished.profile,
        keep_last=wished.checkpoint.retention.keep_last,
        workers=wished.workers,
        weights=orders.LossWeights(**weights),
        duration_discriminator=wished.duration_discriminator,
        freeze=wished.freeze,
        ema_decay=usual.ema_decay if decay is None else decay or None,
        text_feature_dropout=float(wished.text_feature_dropout),
        style_dropout=float(wished.style_dropout),
    )


def _init(owner: Owner, training: Training, begins_with: InitStatus | None) -> orders.Init:
    wished = training.init
    if wished.pretrained is not None:
        given = wished.pretrained
        pretrained = orders.Pretrained(source=given.source, mode=given.mode)
        return orders.Init(type="Pretrained", pretrained=_with_fresh(pretrained, given.fresh))
    if wished.voice_model is None:
        return orders.Init()
    if begins_with is None:
        raise ValueError(f"the VoiceModel {wished.voice_model.name} that training.init names has not been found")
    voice = orders.VoiceName(namespace=owner.namespace, name=begins_with.name, uid=begins_with.uid)
    other = orders.OtherVoice(voice=voice, step=begins_with.step)
    return orders.Init(type="VoiceModel", voice_model=_with_fresh(other, wished.voice_model.fresh))


def _with_fresh(begun_with: Beginning, fresh: tuple[orders.Fresh, ...] | None) -> Beginning:
    return begun_with if fresh is None else dataclasses.replace(begun_with, fresh=fresh)


def _gpus(wished: Gpu, default: int) -> int:
    return default if wished.count is None else wished.count


def _device(gpus: int, settings: Settings) -> orders.Device:
    return orders.Device(gpus=gpus, allow_cpu=settings.allow_cpu_on_gpu_nodes)


def _dataset(namespace: str, wished: Dataset) -> orders.Dataset:
    """Where the recordings are, and how they lie there."""
    found = _source(namespace, wished.source)
    return dataclasses.replace(found, format=wished.format, manifest=wished.manifest, corrections=wished.corrections)


def _source(namespace: str, source: Source) -> orders.Dataset:
    if source.type == "PersistentVolumeClaim":
        return orders.Dataset(type="PersistentVolumeClaim")  # the mount is of subPath already
    if source.http is not None:
        http = source.http
        return orders.Dataset(type="HTTP", prefix=http.prefix, url=http.url, sha256=http.sha256)
    if source.s3 is None:
        raise ValueError(f"dataset.source has no member for its type {source.type}")
    prefix = own_recordings(namespace, source)
    if prefix is not None:
        return orders.Dataset(type="S3", prefix=prefix)
    return orders.Dataset(
        type="S3",
        prefix=source.s3.prefix,
        endpoint=source.s3.endpoint,
        bucket=source.s3.bucket,
        region=source.s3.region or orders.DEFAULT_REGION,
    )


def _sources(spec: VoiceModelSpec, settings: Settings) -> orders.Sources:
    defaults, wished = settings.presets[spec.model.preset].sources, spec.model.sources or ModelSources()
    return orders.Sources(
        recogniser=wished.recogniser or defaults.recogniser,
        text_encoder=wished.text_encoder or defaults.text_encoder,
        style=wished.style or defaults.style,
        wavlm=wished.wavlm or defaults.wavlm,
        polyphone=wished.polyphone or defaults.polyphone,
        speaker_embedding=wished.speaker_embedding or defaults.speaker_embedding,
        second_recogniser=wished.second_recogniser or defaults.second_recogniser,
        aligner=wished.aligner or defaults.aligner,
    )


def _synthesis_input(namespace: str, spec: SynthesisJobSpec) -> orders.SynthesisInput:
    given = spec.input
    if given.inline is not None:
        items = tuple(orders.Item(id=item.id, text=item.text, speaker=item.speaker) for item in given.inline.items)
        return orders.SynthesisInput(type="Inline", items=items)
    if given.config_map is not None:
        path = f"{names.INPUT_MOUNT}/{given.config_map.key}"
        return orders.SynthesisInput(type="ConfigMap", path=path, format=given.format)
    if given.s3 is None:
        raise ValueError(f"input.{given.type} is missing")
    key = layout.synthesis_object(namespace, given.s3.key)
    return orders.SynthesisInput(type="S3", key=key, format=given.format)
