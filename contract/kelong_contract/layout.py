"""Object-store keys as pure functions. The only place where a "/" is joined.

One bucket per installation:

    recordings/<namespace>/…                     what users upload; read only for us
    models/…                                     shared model sources; models/<namespace>/… a namespace's own
    voices/<namespace>/<name>/<uid>/             everything of one VoiceModel (`Voice`)
        leases/<n>                               one per trainer process that ever started (its attempt)
        corpus/<stage>/<digest>.json             what a finished stage of preprocessing left
        corpus/files/<digest>.json               what one file of the dataset turned out to be
        corpus/clips/<sha256>.flac               clips, by content
        corpus/features/<kind>/<key>.safetensors encoder features, by content and configuration
        corpus/corpus.json                       the frozen corpus of this voice
        corpus/corrections.jsonl                 what a person overruled, beside the dataset's own
        corpus/report.json, report.html          its totals, and the page that people look at
        progress.json                            where training is
        memory.json                              how much of a batch fits into memory, once something did not
        pins.json                                the steps that training must keep; the operator's only document here
        losses/<attempt>.jsonl                   one line per step of that attempt
        checkpoints/<step>/<attempt>/<file>      tensors and state
        checkpoints/<step>/manifest.json         last write: the step exists
        auditions/<step>/<name>.wav, report.json what the step sounds like
        auditions/<step>/judging.json            the step is being judged, or that never came to an end
    synthesis/<namespace>/<prefix><id>.<ext>     what SynthesisJobs write, with manifest.json and progress.json beside
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# The files of a checkpoint that a voice is loaded from.
GENERATOR_FILE = "generator.safetensors"
CONFIG_FILE = "config.json"
BASE_MODEL_FILE = "manifest.json"  # in a folder under models/: a BaseModel

_CHECKPOINT = re.compile(r"checkpoints/(?P<step>\d+)/manifest\.json")
_CHECKPOINT_FILE = re.compile(r"checkpoints/\d+/(?P<attempt>\d+)/[^/]+")
_AUDITION_REPORT = re.compile(r"auditions/(?P<step>\d+)/report\.json")
_AUDITION_JUDGING = re.compile(r"auditions/(?P<step>\d+)/judging\.json")
_LEASE = re.compile(r"leases/(?P<number>\d+)")


@dataclass(frozen=True)
class Voice:
    """Names one VoiceModel's part of the store. The uid keeps a re-created name from adopting old artefacts."""

    namespace: str
    name: str
    uid: str

    @property
    def prefix(self) -> str:
        """`voices/<namespace>/<name>/<uid>/`."""
        return f"voices/{self.namespace}/{self.name}/{self.uid}/"


def recordings(namespace: str, prefix: str) -> str:
    """The key prefix of a dataset source inside the installation's store."""
    return _under(f"recordings/{namespace}/", prefix)


def model_source(namespace: str, address: str) -> str:
    """The key prefix of `store:PREFIX` (shared) or `store:./PREFIX` (the namespace's own), given without `store:`."""
    if address.startswith("./"):
        return _under(f"models/{namespace}/", address[2:])
    return _under("models/", address)


def base_model_file(prefix: str, name: str) -> str:
    """One file of a base model; `prefix` as `model_source` returned it."""
    return prefix + name


def synthesis(namespace: str, prefix: str) -> str:
    """The key prefix of a SynthesisJob's output, or of its input object."""
    return _under(f"synthesis/{namespace}/", prefix)


def synthesis_object(namespace: str, key: str) -> str:
    """The key of one object under `synthesis/<namespace>/`, such as a SynthesisJob's input."""
    return f"synthesis/{namespace}/{key}"


def synthesis_item(output_prefix: str, item_id: str, extension: str) -> str:
    """The audio of one item; `output_prefix` as `synthesis` returned it."""
    return f"{output_prefix}{item_id}.{extension}"


def synthesis_manifest(output_prefix: str, uid: str) -> str:
    """What a SynthesisJob made, written last. The uid keeps two jobs that share a prefix apart."""
    return f"{output_prefix}manifests/{uid}.json"


def synthesis_progress(output_prefix: str, uid: str) -> str:
    """How far a SynthesisJob is."""
    return f"{output_prefix}manifests/{uid}.progress.json"


def leases(voice: Voice) -> str:
    """The key prefix of all leases."""
    return f"{voice.prefix}leases/"


def lease(voice: Voice, number: int) -> str:
    """The lease that a trainer process creates to take attempt `number`."""
    return f"{leases(voice)}{number}"


def lease_number(voice: Voice, key: str) -> int | None:
    """The attempt of a lease key, None for any other key."""
    match = _LEASE.fullmatch(key.removeprefix(voice.prefix))
    return int(match["number"]) if match else None


def stage(voice: Voice, name: str, digest: str) -> str:
    """What a finished preprocessing stage left, by the digest of all it depends on."""
    return f"{voice.prefix}corpus/{name}/{digest}.json"


def clip(voice: Voice, sha256: str) -> str:
    """A clip's audio, by its content."""
    return f"{voice.prefix}corpus/clips/{sha256}.flac"


def feature(voice: Voice, kind: str, digest: str) -> str:
    """An encoder feature file, by the digest of content and encoder configuration."""
    return f"{voice.prefix}corpus/features/{kind}/{digest}.safetensors"


def corpus(voice: Voice) -> str:
    """The corpus that training uses, frozen when step 1 runs."""
    return f"{voice.prefix}corpus/corpus.json"


def corpus_report(voice: Voice) -> str:
    """Totals of the corpus, for status."""
    return f"{voice.prefix}corpus/report.json"


def corpus_page(voice: Voice) -> str:
    """The report of the corpus that people look at."""
    return f"{voice.prefix}corpus/report.html"


def corrections(voice: Voice) -> str:
    """What a person overruled in the corpus, JSON lines."""
    return f"{voice.prefix}corpus/corrections.jsonl"


def progress(voice: Voice) -> str:
    """Where training is."""
    return f"{voice.prefix}progress.json"


def memory(voice: Voice) -> str:
    """How many frames a training step computes at once, written once a step did not fit into memory."""
    return f"{voice.prefix}memory.json"


def pins(voice: Voice) -> str:
    """The steps that training must keep, whatever its retention says."""
    return f"{voice.prefix}pins.json"


def losses(voice: Voice, attempt: int) -> str:
    """The loss log of one attempt, JSON lines, one per step."""
    return f"{voice.prefix}losses/{attempt}.jsonl"


def checkpoints(voice: Voice) -> str:
    """The key prefix of all checkpoints."""
    return f"{voice.prefix}checkpoints/"


def checkpoint(voice: Voice, step: int) -> str:
    """The key prefix of all that one step consists of, but for its auditions."""
    return f"{checkpoints(voice)}{step}/"


def checkpoint_file(voice: Voice, step: int, attempt: int, name: str) -> str:
    """One file of a checkpoint."""
    return f"{checkpoint(voice, step)}{attempt}/{name}"


def checkpoint_manifest(voice: Voice, step: int) -> str:
    """The manifest whose presence makes the step exist."""
    return f"{checkpoint(voice, step)}manifest.json"


def checkpoint_step(voice: Voice, key: str) -> int | None:
    """The step of a checkpoint manifest's key, None for any other key."""
    match = _CHECKPOINT.fullmatch(key.removeprefix(voice.prefix))
    return int(match["step"]) if match else None


def checkpoint_attempt(voice: Voice, key: str) -> int | None:
    """The attempt that wrote a checkpoint's file, None for any other key."""
    match = _CHECKPOINT_FILE.fullmatch(key.removeprefix(voice.prefix))
    return int(match["attempt"]) if match else None


def auditions(voice: Voice, step: int) -> str:
    """The key prefix of a step's auditions."""
    return f"{all_auditions(voice)}{step}/"


def all_auditions(voice: Voice) -> str:
    """The key prefix of every step's auditions."""
    return f"{voice.prefix}auditions/"


def audition(voice: Voice, step: int, name: str) -> str:
    """One audition WAV of a step."""
    return f"{auditions(voice, step)}{name}.wav"


def audition_report(voice: Voice, step: int) -> str:
    """What was said in the auditions of a step, with which settings; written after the WAVs."""
    return f"{auditions(voice, step)}report.json"


def audition_judging(voice: Voice, step: int) -> str:
    """There from before a step is judged until its report is written: a judge that kills its pod leaves it behind."""
    return f"{auditions(voice, step)}judging.json"


def audition_step(voice: Voice, key: str) -> int | None:
    """The step of an audition report's key, None for any other key."""
    match = _AUDITION_REPORT.fullmatch(key.removeprefix(voice.prefix))
    return int(match["step"]) if match else None


def audition_judging_step(voice: Voice, key: str) -> int | None:
    """The step of an `audition_judging` key, None for any other key."""
    match = _AUDITION_JUDGING.fullmatch(key.removeprefix(voice.prefix))
    return int(match["step"]) if match else None


def below(prefix: str, part: str) -> str:
    """A folder below a prefix, such as one speaker's part of a dataset; the prefix itself for an empty part."""
    return _under(_under("", prefix), part)


def dataset_file(prefix: str, name: str) -> str:
    """A file of a dataset by its name below the dataset's prefix, such as its list or its corrections."""
    return _under("", prefix) + name


def _under(base: str, prefix: str) -> str:
    return base + prefix if not prefix or prefix.endswith("/") else f"{base}{prefix}/"
