"""The process that speaks auditions: `python -m kelong_trainer.scoring.speaking ORDER FOLDER`, started by `auditions`.

It reads steps from its standard input, a number a line, and answers each with the same line once the step's WAVs and
their report are in the store. It loads the very files that a server will load and speaks with the server's own Voice,
so a server can be checked against an audition sample by sample. A step with UNJUDGED behind it is spoken only.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import pathlib
import sys
import threading

import torch
from kelong_contract import codec, environment, layout, manifests, orders, patience, presets
from kelong_contract import store as stores
from kelong_speech import audio, features, reading, sources, synthesiser
from kelong_speech.text import frontend
from kelong_speech.text.frontend import UnspeakableText
from kelong_speech.voice import Style, Voice

from kelong_trainer.scoring import judges

SEED = 20240113  # the same at every step, so that two steps can be compared by ear
NICENESS = 10
UNJUDGED = "unjudged"
DEFAULT_TEXTS = (
    orders.AuditionText(name="greeting", text="大家好，很高兴认识你们。"),
    orders.AuditionText(name="weather", text="今天天气不错，我们出去走走吧。"),
)


def texts(order: orders.TrainingOrder) -> tuple[orders.AuditionText, ...]:
    """The sentences that the order wants to hear, or ours."""
    return order.auditions or DEFAULT_TEXTS


def hear(
    store: stores.Store,
    order: orders.TrainingOrder,
    step: int,
    folder: pathlib.Path,
    encoder: features.TextEncoder | None,
    panel: judges.Judges | None = None,
    front_end: frontend.FrontEnd | None = None,
) -> manifests.AuditionReport:
    """Speak every sentence with a step's weights; WAVs and report are in the store when it returns.

    Without a panel of judges the report has no figures; without a front end the voice's own profile reads, with
    no lexicon. A sentence that the step does not bring to an end counts as not understood in the step's means; one that
    no step could say is left out.
    """
    place = order.voice.place()
    key = layout.checkpoint_manifest(place, step)
    data = store.get(key)
    manifest = codec.loads(manifests.CheckpointManifest, data, key)
    voice = Voice.load(store, manifest, folder, text_encoder=encoder, front_end=front_end)
    spoken: list[manifests.Audition] = []
    failures: list[manifests.AuditionFailure] = []
    figures: list[manifests.Figures] = []
    for wanted in texts(order):
        style = _style(order, wanted)
        try:
            speech = voice.say_text(wanted.text, style)
        except (UnspeakableText, synthesiser.SpeechTooLong, features.TextTooLong) as error:
            failures.append(manifests.AuditionFailure(name=wanted.name, message=str(error)))
            if panel is not None and isinstance(error, synthesiser.SpeechTooLong):
                figures.append(panel.unsaid())
            continue
        audition = _publish(store, layout.audition(place, step, wanted.name), wanted, style, speech)
        if panel is not None:
            verdict = panel.judge(speech, wanted.text, style.speaker)
            audition = dataclasses.replace(audition, heard=verdict.heard, figures=verdict.figures)
            figures.append(verdict.figures)
        spoken.append(audition)
    report = manifests.AuditionReport(
        step=step,
        attempt=manifest.attempt,
        manifest_sha256=stores.digest_bytes(data),
        auditions=tuple(spoken),
        failures=tuple(failures),
        figures=judges.means(figures),
    )
    store.put(layout.audition_report(place, step), codec.dumps(report), "application/json")
    return report


def _style(order: orders.TrainingOrder, wanted: orders.AuditionText) -> Style:
    """How a sentence is spoken: in the preset's manner, as a server does that is told nothing else."""
    manner = presets.settings(order.model.preset, seed=SEED)
    return Style(
        speaker=wanted.speaker or order.speakers[0].name,
        length=manner.length,
        sdp_ratio=manner.sdp_ratio,
        noise=manner.noise,
        noise_w=manner.noise_w,
        seed=manner.seed,
    )


def report_failure(store: stores.Store, order: orders.TrainingOrder, step: int, message: str) -> None:
    """Say in a step's report why none of its sentences is heard. Raises NoSuchObject for a step that was removed."""
    place = order.voice.place()
    key = layout.checkpoint_manifest(place, step)
    data = store.get(key)
    report = manifests.AuditionReport(
        step=step,
        attempt=codec.loads(manifests.CheckpointManifest, data, key).attempt,
        manifest_sha256=stores.digest_bytes(data),
        auditions=(),
        failures=tuple(manifests.AuditionFailure(name=text.name, message=message) for text in texts(order)),
    )
    store.put(layout.audition_report(place, step), codec.dumps(report), "application/json")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kit:
    """What a process that speaks auditions needs beside the steps."""

    encoder: features.TextEncoder | None
    front_end: frontend.FrontEnd
    panel: judges.Judges

    @classmethod
    def open(cls, order: orders.TrainingOrder, store: stores.Store, models: pathlib.Path) -> Kit:
        """All of it, fetched to `models`. Raises sources.ModelSourceUnavailable or frontend.BadLexicon."""

        def reads_by(profile: str) -> frontend.FrontEnd:
            return reading.front_end(profile, order.text, order.model.sources, order.voice.namespace, store, models)

        front_end = reads_by(order.training.profile)
        # What was heard is compared by the better rules, whichever the voice is taught by.
        fixed = front_end if front_end.profile is frontend.Profile.FIXED else reads_by(frontend.Profile.FIXED)
        return cls(
            encoder=text_encoder(store, order, models),
            front_end=front_end,
            panel=judges.Judges(order, store, models, fixed.analyse),
        )


def text_encoder(store: stores.Store, order: orders.TrainingOrder, folder: pathlib.Path) -> features.TextEncoder | None:
    """The order's text encoder on the CPU, None where it names none."""
    address = order.model.sources.text_encoder
    found = sources.resolve(address, order.voice.namespace, store, folder) if address else None
    return features.TextEncoder.load(found) if found else None


def _publish(
    store: stores.Store, key: str, wanted: orders.AuditionText, style: Style, speech: audio.Speech
) -> manifests.Audition:
    wav = audio.encode(speech, "wav")
    store.put(key, wav, "audio/wav")
    return manifests.Audition(
        name=wanted.name,
        text=wanted.text,
        speaker=style.speaker,
        key=key,
        sha256=stores.digest_bytes(wav),
        duration_s=speech.duration_s,
        length=style.length,
        sdp_ratio=style.sdp_ratio,
        noise=style.noise,
        noise_w=style.noise_w,
        seed=style.seed,
    )


def main() -> None:
    """Speak one step after another until standard input ends."""
    os.nice(NICENESS)
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s auditions: %(message)s")
    order_file, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    order = codec.loads(orders.TrainingOrder, order_file.read_bytes(), str(order_file))
    store = patience.PatientStore(environment.read(os.environ).open_store(), threading.Event())
    models = folder.parent / "models"
    kit: Kit | None = None
    for line in sys.stdin:
        step, *manner = line.split()
        try:
            kit = kit or Kit.open(order, store, models)
            panel = None if UNJUDGED in manner else kit.panel
            hear(store, order, int(step), folder, kit.encoder, panel, kit.front_end)
        except (sources.ModelSourceUnavailable, frontend.BadLexicon) as error:
            report_failure(store, order, int(step), str(error))
        print(line, end="", flush=True)
        for path in folder.iterdir():  # each step's files are used once
            path.unlink()


if __name__ == "__main__":
    main()
