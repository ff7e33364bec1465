"""A small set of real recordings with everything people upload by mistake beside them, prepared once for all tests."""

import pathlib
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import soundfile
import torch
from kelong_contract import codec, corpora, environment, manifests, orders, store
from kelong_demo import files, recordings, speaker, whisper
from kelong_trainer import context, pipeline, telemetry

PREFIX = "recordings/lab/khazix/"
VOICE = orders.VoiceName(namespace="lab", name="khazix", uid="1")
PLACE = VOICE.place()


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What preprocessing made of the recordings, in two attempts: the first was stopped after its first transcript."""

    store: store.FolderStore
    corpus: corpora.Corpus
    truth: dict[str, recordings.Recording]
    order: orders.TrainingOrder
    heard_before_the_stop: tuple[store.StoredObject, ...]


class StoppingStore(store.FolderStore):
    """Asks the process to stop as soon as an object whose key holds the word is written."""

    def __init__(self, root: pathlib.Path, word: str) -> None:
        super().__init__(root)
        self.word = word
        self.stopping = threading.Event()

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        super().put(key, data, content_type)
        if self.word in key:
            self.stopping.set()


@pytest.fixture(scope="session")
def whisper_folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return whisper.assemble(tmp_path_factory.mktemp("whisper") / "base")


@pytest.fixture(scope="session")
def truth(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, recordings.Truth]:
    """Some 50 s of speech in two files, with breaths."""
    folder = tmp_path_factory.mktemp("standin") / "recordings"
    settings = recordings.Settings(minutes=0.8, seed=5, breaths=True, file_length_s=24)
    voice = speaker.Speaker.load(tmp_path_factory.mktemp("speaker"))
    return folder, recordings.make(folder, folder.with_name("truth.json"), settings, voice)


def make_context(
    at: store.Store, work_dir: pathlib.Path, order: orders.TrainingOrder, stopping: threading.Event | None = None
) -> context.RunContext:
    """A trainer process without its front door."""
    progress = manifests.Progress(
        attempt=1, order_digest="", updated_at="", stage="", device="cpu", step=0, max_steps=order.training.max_steps
    )
    return context.RunContext(
        order=order,
        order_digest=codec.digest(order),
        attempt=1,
        store=at,
        environment=environment.read({"KELONG_STORE_URL": "file:///nowhere"}),
        work_dir=work_dir,
        threads=2,
        device=torch.device("cpu"),
        telemetry=telemetry.Telemetry(store=at, place=order.voice.place(), progress=progress),
        stopping=stopping or threading.Event(),
    )


def make_order(recogniser: str | None = None, **changes: object) -> orders.TrainingOrder:
    fields = {
        "voice": VOICE,
        "speakers": (orders.Speaker(name="Khazix"),),
        "dataset": orders.Dataset(type="S3", prefix=PREFIX),
        "model": orders.Model(preset="tiny", sources=orders.Sources(recogniser=recogniser)),
    }
    return orders.TrainingOrder(**{**fields, **changes})


@pytest.fixture
def stopping_store(tmp_path: pathlib.Path) -> Callable[[str], StoppingStore]:
    """`stopping_store(word)` asks to stop once a key with that word is written."""
    return lambda word: StoppingStore(tmp_path / "store", word)


@pytest.fixture
def order_of() -> Callable[..., orders.TrainingOrder]:
    return make_order


@pytest.fixture
def trainer(tmp_path: pathlib.Path) -> Callable[..., context.RunContext]:
    """`trainer(store, order)` is a process with a work folder of its own."""

    def start(at: store.Store, order: orders.TrainingOrder) -> context.RunContext:
        return make_context(at, tmp_path / "work", order, getattr(at, "stopping", None))

    return start


@pytest.fixture(scope="session")
def prepared(
    tmp_path_factory: pytest.TempPathFactory,
    truth: tuple[pathlib.Path, recordings.Truth],
    whisper_folder: pathlib.Path,
) -> Prepared:
    root = tmp_path_factory.mktemp("prepared")
    folder, told = truth
    place = StoppingStore(root / "store", "/transcripts/")
    upload(place, folder)
    order = make_order(f"path:{whisper_folder}")
    with pytest.raises(context.Stopped):
        pipeline.prepare(make_context(place, root / "first", order, place.stopping))
    heard = tuple(place.list(f"{PLACE.prefix}corpus/transcripts/"))
    plain = store.FolderStore(root / "store")
    corpus = pipeline.prepare(make_context(plain, root / "second", order))
    return Prepared(
        store=plain,
        corpus=corpus,
        truth=dict(zip((PREFIX + "stereo.wav", PREFIX + "talk.mp3"), told.recordings, strict=True)),
        order=order,
        heard_before_the_stop=heard,
    )


def upload(place: store.Store, folder: pathlib.Path) -> None:
    """The recordings, one as stereo out of phase and one as MP3, and what people upload beside them."""
    first, second = (files.read(path) for path in sorted(folder.iterdir()))
    stereo, talk = folder.with_name("stereo.wav"), folder.with_name("talk.mp3")
    soundfile.write(stereo, np.stack([first.samples, -first.samples], axis=1), first.sample_rate_hz)
    files.write(talk, second)
    place.put_file(PREFIX + "stereo.wav", stereo)
    place.put_file(PREFIX + "talk.mp3", talk)
    noise = np.random.default_rng(3)
    place.put(PREFIX + "broken.mp3", noise.bytes(50_000))
    place.put(PREFIX + "notes/readme.txt", "录音说明".encode())
    place.put(PREFIX + ".DS_Store", b"\0" * 10)
    for name, seconds, level in (("quiet.flac", 5.0, 1e-4), ("short.wav", 1.0, 0.1)):
        made = folder.with_name(name)
        soundfile.write(made, level * noise.standard_normal(round(seconds * 16000)), 16000)
        place.put_file(PREFIX + name, made)
