"""One training step: what the judges and the generator learn from a batch. It knows nothing of when or how often.

In the profile `fixed` both learn from one pass: each judge sees the recordings and what was said once, and its opinion
teaches itself and the generator before either has moved. The original lets the judges move first and asks them again,
which costs every judge's pass a second time for an opinion that is one small step newer; `as-original` does that.

B batch, S samples, M segment frames, T phonemes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from kelong_contract import orders
from kelong_speech import device, draws, synthesiser
from kelong_speech.config import VoiceConfig
from torch import Tensor

from kelong_trainer.training import discriminators, exhaustion, leaving_out, losses, memory
from kelong_trainer.training.batches import Batch
from kelong_trainer.training.ranks import ALONE, PeersLost, Ranks
from kelong_trainer.training.state import TrainingState

if TYPE_CHECKING:  # who has no WavLM does not import what it needs
    from kelong_trainer.training.wavlm import Ears

# Gradient norms above which a network's gradient is scaled down.
LARGEST_NORMS = {
    "generator": 500.0,
    "discriminators": 200.0,
    "wavlm_discriminator": 200.0,
    "duration_discriminator": 5.0,
}


class Diverged(Exception):
    """Training is lost. `good_until` is the last step that is known to be good, None if that is the newest saved."""

    def __init__(self, said: str, *, good_until: int | None = None) -> None:
        super().__init__(said)
        self.good_until = good_until


@dataclass(frozen=True, kw_only=True)
class StepSettings:
    """What does not change from step to step.

    `styles` [speakers, channels] replaces the style of the share of clips that `style_dropout` names. Before the step
    `judges_from` the generator learns without the judges of its sound, and nothing is paid for them. They hear the
    first `judged_frames` of a segment, or all of it.
    """

    seed: int
    precision: orders.Precision
    profile: Literal["fixed", "as-original"]
    weights: orders.LossWeights = field(default_factory=orders.LossWeights)
    text_feature_dropout: float = 0.0
    style_dropout: float = 0.0
    styles: Tensor | None = None
    ears: Ears | None = None
    judges_from: int = 1
    judged_frames: int | None = None


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What a step measured: losses before weighing, and gradient norms before clipping."""

    losses: dict[str, float]
    gradient_norms: dict[str, float]


def settings(
    training: orders.Training, config: VoiceConfig, precision: orders.Precision, ears: Ears | None = None
) -> StepSettings:
    """The settings that an order means for a voice.

    `as-original` trains with all text features, as ZH-Clap does, and Extra-Fix always with each clip's own style.
    """
    fixed = training.profile == "fixed"
    return StepSettings(
        seed=training.seed,
        precision=precision,
        profile=training.profile,
        weights=losses.weights(
            training.weights, training.profile, judges_durations=training.duration_discriminator == "On"
        ),
        text_feature_dropout=training.text_feature_dropout if fixed else 0.0,
        style_dropout=training.style_dropout if config.variant == "zh-clap" else 0.0,
        styles=leaving_out.replacing_styles(config, training.profile),
        ears=ears,
        judges_from=discriminators.preset(config.preset).from_step,
        judged_frames=discriminators.preset(config.preset).frames,
    )


def precision(training: orders.Training, on: torch.device) -> orders.Precision:
    """What a step computes in: what the order says, but full precision where bfloat16 would only be emulated."""
    return device.precision(training.precision, on, "training computes")


def run(
    state: TrainingState,
    batch: Batch,
    rate: float,
    settings: StepSettings,
    ranks: Ranks = ALONE,
    frames_at_once: int | None = None,
) -> StepResult:
    """Train one step on a rank's part of a batch. `state.step` is the last finished step and grows by one.

    What is drawn for a clip depends on seed, step and clip; dropout on the rank too. A batch of more padded frames than
    `frames_at_once` is computed in parts. Raises Diverged on all ranks; the state is then good for nothing but an
    inquest. Raises memory.Exhausted, repeatable or not, and ranks.PeersLost: unless it is torn, the state is as it was.
    """
    before = [buffer.clone() for buffer in state.generator.buffers()]
    attempt = _Attempt(state, settings, ranks)
    said = ""
    try:
        return attempt.run(batch, rate, frames_at_once or memory.padded_frames(batch))
    except PeersLost:
        _undo(state, before)
        raise
    except (RuntimeError, MemoryError) as error:
        if not exhaustion.is_exhaustion(error):
            raise
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
    # Outside of the except block, where nothing holds on to the tensors of the step that failed.
    del attempt
    _undo(state, before)
    memory.release()
    raise memory.Exhausted(said, repeatable=ranks.size == 1 and not state.torn)


def _undo(state: TrainingState, buffers: Sequence[Tensor]) -> None:
    """Give back what a step that failed had found so far, with the generator's buffers as they were before it."""
    for network in state.networks.values():
        network.zero_grad(set_to_none=True)
    for buffer, value in zip(state.generator.buffers(), buffers, strict=True):
        buffer.copy_(value)


@dataclass(frozen=True, kw_only=True)
class _Spoken:
    """What the generator made of a batch or a part of one."""

    batch: Batch
    drawn: draws.Draws
    result: synthesiser.Training
    made: Tensor  # [B, 1, M x hop]
    real: Tensor  # [B, 1, M x hop]: the recordings' samples where the generator spoke
    judged: Tensor  # [B, 1, S]: what the judges hear of it, or of what the text alone says
    judged_real: Tensor  # [B, 1, S]


@dataclass(frozen=True, kw_only=True)
class _Opinion:
    """What the judges said: their own losses by their names, and the generator's by the names of their weights."""

    judging: dict[str, Tensor]
    teaching: dict[str, Tensor]


class _Attempt:
    """One try at a step."""

    def __init__(self, state: TrainingState, settings: StepSettings, ranks: Ranks) -> None:
        self._state, self._settings, self._ranks = state, settings, ranks
        self._step = state.step + 1
        self._device = next(state.generator.parameters()).device
        self._mixed = torch.autocast(self._device.type, torch.bfloat16, enabled=settings.precision == "BF16")
        self._values: dict[str, Tensor] = {}
        self._norms: dict[str, Tensor] = {}

    def run(self, batch: Batch, rate: float, frames_at_once: int) -> StepResult:
        """The whole step."""
        state = self._state
        for network in state.networks.values():
            network.zero_grad(set_to_none=True)
        parts = _equally_many(memory.divide(batch, frames_at_once), self._ranks)
        last = self._learn_together(parts) if self._settings.profile == "fixed" else self._learn_in_turns(parts, rate)
        summed = self._ranks.sum(torch.stack(list(self._values.values())))
        self._move(last, rate)  # once gradients are summed nobody waits for another rank any more
        if state.average is not None:
            state.average.follow(state.generator, self._step)
        result = self._result(summed)
        state.step, state.torn = self._step, False
        return result

    def _learn_together(self, parts: Sequence[Batch]) -> tuple[str, ...]:
        """The gradients of all networks; their names, to be moved."""
        for part in parts:
            spoken = self._speak(part)
            opinion = self._ask(spoken, spoken.judged)
            for name, loss in opinion.judging.items():
                _backward(loss, self._state.judges[name], retain_graph=True)
            self._teach(spoken, opinion)
            self._note(opinion.judging)
        return (*self._judges_that_learnt(), "generator")

    def _learn_in_turns(self, parts: Sequence[Batch], rate: float) -> tuple[str, ...]:
        """The judges move first, then the generator learns by what they say now; its name, to be moved.

        Several parts are spoken twice for it.
        """
        first = [self._speak(part) for part in parts] if len(parts) == 1 else None
        for spoken in first or self._spoken_for_judges(parts):
            opinion = self._ask(spoken, spoken.judged.detach())
            for name, loss in opinion.judging.items():
                _backward(loss, self._state.judges[name])
            self._note(opinion.judging)
        self._move(self._judges_that_learnt(), rate)
        for spoken in first or (self._speak(part) for part in parts):
            self._teach(spoken, self._ask(spoken, spoken.judged))
        return ("generator",)

    def _spoken_for_judges(self, parts: Sequence[Batch]) -> Iterator[_Spoken]:
        """What the generator says, leaving its codebooks where they are: it will say the same again."""
        for part in parts:
            before = [buffer.clone() for buffer in self._state.generator.buffers()]
            with torch.no_grad():
                spoken = self._speak(part)
            for buffer, value in zip(self._state.generator.buffers(), before, strict=True):
                buffer.copy_(value)
            yield spoken

    def _speak(self, part: Batch) -> _Spoken:
        settings, step, config = self._settings, self._step, self._state.config
        first = part.part.positions[0] if part.part.positions else 0
        torch.manual_seed(draws.seed_of("dropout", self._ranks.rank, first, step, settings.seed))
        drawn = draws.Draws(settings.seed, step, part.clips, together=lambda rows: self._ranks.gather(rows, part.part))
        batch = part.to(self._device)
        text = leaving_out.apply(
            batch.text,
            drawn,
            settings.styles,
            text_feature_share=settings.text_feature_dropout,
            style_share=settings.style_dropout,
        )
        with self._mixed:
            noise = synthesiser.alignment_noise_at(step - 1)
            result = self._state.generator(text, batch.recordings, drawn, alignment_noise=noise)
        hop, segment = config.audio.hop_samples, config.model.segment_frames
        real = synthesiser.slices(batch.samples, result.segment_starts_frames * hop, segment * hop)
        # A model that is taught to speak from its prior is judged by that: nobody will ever hear its posterior.
        said = result.waveform if result.lessons is None else result.lessons.waveform
        judged = (settings.judged_frames or segment) * hop
        return _Spoken(
            batch=batch,
            drawn=drawn,
            result=result,
            made=result.waveform.float(),
            real=real,
            judged=said.float()[..., :judged],
            judged_real=real[..., :judged],
        )

    def _ask(self, spoken: _Spoken, made: Tensor) -> _Opinion:
        """The judges' opinion of the sound `made`, and of the durations."""
        judging: dict[str, Tensor] = {}
        teaching: dict[str, Tensor] = {}
        state, part = self._state, spoken.batch.part
        with self._mixed:
            if self._step >= self._settings.judges_from:
                seen_real, seen_made = state.discriminators(spoken.judged_real, made)
                judging["discriminators"] = losses.judging(seen_real, seen_made, part)
                teaching["adversarial"] = losses.adversarial(seen_made, part)
                teaching["feature_match"] = losses.feature_match(seen_real, seen_made, part)
                ears, judge = self._settings.ears, state.wavlm_discriminator
                if ears is not None and judge is not None:
                    with torch.no_grad():
                        heard_real = ears.hear(spoken.judged_real)
                    heard_made = ears.hear(made)
                    scores_real, scores_made = judge(heard_real, heard_made)
                    judging["wavlm_discriminator"] = losses.judging_heard(scores_real, scores_made, part)
                    teaching["wavlm_adversarial"] = losses.adversarial_heard(scores_made, part)
                    teaching["wavlm_feature"] = losses.heard(heard_real, heard_made, ears.states, part)
        if state.duration_discriminator is not None:
            scores = losses.DurationScores(spoken.result.prior.mask, part, self._settings.profile)
            found, *predicted = self._judged_durations(spoken, state.duration_discriminator)
            judging["duration_discriminator"] = scores.judging(found, predicted)
            teaching["duration_adversarial"] = scores.adversarial(predicted)
        return _Opinion(judging=judging, teaching=teaching)

    def _judged_durations(self, spoken: _Spoken, judge: discriminators.DurationDiscriminator) -> tuple[Tensor, ...]:
        """Scores [B, T] of the durations that were found, then of those predicted.

        `as-original` judges the plain predictor alone, over the padding too. In full precision: it is a small LSTM.
        """
        result, prior = spoken.result, spoken.result.prior
        mask, hidden, speaker = prior.mask.float(), prior.hidden.float(), result.speaker.float()
        found = torch.log(result.durations_frames.unsqueeze(1).float() + 1e-6) * mask
        candidates = [found, result.log_durations.float()]
        fixed = self._settings.profile == "fixed"
        if fixed:
            shapes = [(2, count) for count in spoken.batch.text.phone_counts.tolist()]
            noise = spoken.drawn.normal("judged durations", shapes, hidden)
            candidates.append(self._state.generator.sdp.sample(hidden, mask, speaker, noise) * mask)
        judged: tuple[Tensor, ...] = judge(hidden, mask, speaker, candidates, into_padding=not fixed)
        return judged

    def _teach(self, spoken: _Spoken, opinion: _Opinion) -> None:
        parts = opinion.teaching | self._own_losses(spoken)
        total = losses.total(parts, self._settings.weights)
        _backward(total, self._state.generator)
        self._note({"generator": total, **parts})

    def _own_losses(self, spoken: _Spoken) -> dict[str, Tensor]:
        """What the generator learns without any judge."""
        config, part, result = self._state.config, spoken.batch.part, spoken.result
        spectrogram = spoken.batch.recordings.spectrogram
        wanted = synthesiser.slices(spectrogram, result.segment_starts_frames, config.model.segment_frames)
        lessons: dict[str, Tensor] = {}
        if result.lessons is not None:
            from_prior = result.lessons.waveform.float()
            lessons["prior_mel"] = losses.sound(from_prior, spoken.real, wanted, config, part)
            lessons["acoustic"] = losses.acoustic(result.lessons, result.posterior.mask, part)
        return lessons | {
            "mel": losses.sound(spoken.made, spoken.real, wanted, config, part),
            "divergence": losses.divergence(result, part),
            "durations": losses.durations(result, part),
            "commitment": part.mean(result.prior.commitment),
        }

    def _judges_that_learnt(self) -> tuple[str, ...]:
        return tuple(name for name in self._state.judges if name in self._values)

    def _move(self, names: Sequence[str], rate: float) -> None:
        """One step of these networks' optimisers, gradients clipped; only as-original in full precision never clips.

        Nothing moves before all ranks have given all their gradients: whoever loses a rank has the last step whole.
        """
        clips = self._settings.profile == "fixed" or self._settings.precision == "BF16"
        for name in names:  # in their order, which is the same on all ranks
            self._ranks.reduce_gradients(self._state.networks[name])
        for name in names:
            network, optimiser = self._state.networks[name], self._state.optimisers[name]
            largest = LARGEST_NORMS[name] if clips else math.inf
            self._norms[name] = torch.nn.utils.clip_grad_norm_(network.parameters(), largest)
            for group in optimiser.param_groups:
                group["lr"] = rate
            self._state.torn = True
            optimiser.step()

    def _note(self, values: dict[str, Tensor]) -> None:
        for name, value in values.items():
            before = self._values.get(name)
            self._values[name] = value.detach() if before is None else before + value.detach()

    def _result(self, summed: Tensor) -> StepResult:
        """The numbers, fetched from the device at once. Raises Diverged where one of them is not one."""
        numbers = torch.cat([summed, torch.stack(list(self._norms.values())).to(summed)]).tolist()
        told = dict(zip(self._values, numbers, strict=False))
        norms = dict(zip(self._norms, numbers[len(told) :], strict=True))
        broken = [f"the loss {name} is {value}" for name, value in told.items() if not math.isfinite(value)]
        broken += [f"the gradient norm of {name} is {norm}" for name, norm in norms.items() if not math.isfinite(norm)]
        if broken:
            raise Diverged(", ".join(broken))
        return StepResult(losses=told, gradient_norms=norms)


def _equally_many(parts: tuple[Batch, ...], ranks: Ranks) -> tuple[Batch, ...]:
    """As many parts on every rank, as the codebooks of all follow each: who has fewer repeats one uncounted."""
    last = parts[-1]
    lent = dataclasses.replace(last, part=dataclasses.replace(last.part, positions=()))
    return parts + (lent,) * (ranks.most(len(parts)) - len(parts))


def _backward(loss: Tensor, network: torch.nn.Module, *, retain_graph: bool = False) -> None:
    """Add a loss's gradients to those of a network's parameters, and to nobody else's."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    torch.autograd.backward(loss, inputs=learning, retain_graph=retain_graph)
