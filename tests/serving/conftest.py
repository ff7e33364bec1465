"""A real, tiny voice with random weights, published like a trained one: what it says is noise of the right length."""

from __future__ import annotations

import pathlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import safetensors.torch
import torch
from kelong_contract import codec, environment, layout, manifests, names, orders, store
from kelong_inference import app, loading
from kelong_speech import config, synthesiser
from kelong_speech.voice import Voice
from starlette.testclient import TestClient

VOICE = orders.VoiceName(namespace="default", name="khazix", uid="5f9d")
SPEAKERS = (config.Speaker(name="Khazix", id=0), config.Speaker(name="小明", id=1))
STEP = 3000


@dataclass(frozen=True, kw_only=True)
class Published:
    """A voice in a store in a folder, and what a process needs to speak with it."""

    root: pathlib.Path
    manifest: manifests.CheckpointManifest
    manifest_sha256: str

    @property
    def store(self) -> store.FolderStore:
        return store.FolderStore(self.root / "store")

    @property
    def variables(self) -> dict[str, str]:
        return {
            names.ENV_STORE_URL: f"file://{self.root / 'store'}",
            names.ENV_WORK_DIR: str(self.root / "work"),
            names.ENV_THREADS: "1",
        }

    @property
    def environment(self) -> environment.Environment:
        return environment.read(self.variables)

    def serving_order(self, **changed: object) -> orders.ServingOrder:
        given = {"model_name": "khazix", "voice": VOICE, "step": STEP, "manifest_sha256": self.manifest_sha256}
        return orders.ServingOrder(**(given | changed))  # type: ignore[arg-type]

    def synthesis_order(self, source: orders.SynthesisInput, **changed: object) -> orders.SynthesisOrder:
        given = {
            "uid": "job-1",
            "voice": VOICE,
            "step": STEP,
            "manifest_sha256": self.manifest_sha256,
            "input": source,
            "output_prefix": "synthesis/default/welcome/",
        }
        return orders.SynthesisOrder(**(given | changed))  # type: ignore[arg-type]


def publish(root: pathlib.Path) -> Published:
    """Save a random generator of preset tiny as a step of the voice, the manifest last."""
    kept = store.FolderStore(root / "store")
    torch.manual_seed(7)
    generator = synthesiser.Synthesiser(config.preset("tiny", speakers=SPEAKERS))
    files = []
    (root / "saved").mkdir(parents=True)
    weights, settings = root / "saved" / layout.GENERATOR_FILE, root / "saved" / layout.CONFIG_FILE
    safetensors.torch.save_file(generator.state_dict(), weights)
    settings.write_bytes(generator.config.to_json())
    for path in (weights, settings):
        key = layout.checkpoint_file(VOICE.place(), STEP, 1, path.name)
        kept.put_file(key, path)
        digest = store.digest_file(path)
        files.append(manifests.StoredFile(name=path.name, key=key, sha256=digest, size_bytes=path.stat().st_size))
    manifest = manifests.CheckpointManifest(
        voice=VOICE,
        step=STEP,
        attempt=1,
        created_at="2026-11-22T10:00:00Z",
        order_digest="0" * 64,
        corpus_digest="0" * 64,
        preset="tiny",
        speakers={speaker.name: speaker.id for speaker in SPEAKERS},
        listed=True,
        files=tuple(files),
    )
    data = codec.dumps(manifest)
    kept.put(layout.checkpoint_manifest(VOICE.place(), STEP), data)
    return Published(root=root, manifest=manifest, manifest_sha256=store.digest_bytes(data))


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """The voice that all tests of this folder share; nobody may change it."""
    return publish(tmp_path_factory.mktemp("voice"))


@pytest.fixture
def publish_fresh(tmp_path: pathlib.Path) -> Callable[[], Published]:
    """Publishes a voice of one's own, to be damaged."""
    return lambda: publish(tmp_path / "voice")


@pytest.fixture(scope="session")
def ready(published: Published) -> loading.Ready:
    """The voice, loaded and warmed up."""
    return loading.load(published.serving_order(), published.environment, threading.Event())


@pytest.fixture(scope="session")
def voice(published: Published) -> Voice:
    """The same voice as an audition would load it."""
    return Voice.load(published.store, published.manifest, published.root / "auditions")


@pytest.fixture
def service(published: Published, ready: loading.Ready) -> Iterator[app.Service]:
    """A service that is ready."""
    made = app.new_service(published.serving_order())
    made.telemetry.ready(ready.manifest.step, ready.speaker.precision, ready.warm_up_real_time_factor)
    made.serving = app.Serving(speaker=ready.speaker, manifest=ready.manifest)
    yield made
    made.desk.close()


@pytest.fixture
def client(service: app.Service) -> Iterator[TestClient]:
    """A client of the service, in this process."""
    with TestClient(app.build(service)) as opened:
        yield opened
