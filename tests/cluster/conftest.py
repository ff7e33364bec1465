"""One cluster for all tests of this folder: the built-in node, or the one that `KELONG_TEST_CONTEXT` names.

The stories share one Kelong on it, and one set of recordings.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import story
from kelong_cluster import handle, host, installation, lifecycle
from kelong_contract import layout
from kelong_demo import recordings, speaker, whisper

DEFAULT_TIMEOUT_S = 600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test's time limit starts after its fixtures: the first start of the node builds programs and images."""
    for item in items:
        if "cluster" in getattr(item, "fixturenames", ()):
            own = item.get_closest_marker("timeout")
            limit_s = own.args[0] if own and own.args else DEFAULT_TIMEOUT_S
            item.add_marker(pytest.mark.timeout(limit_s, func_only=True), append=False)


@pytest.fixture(scope="session")
def machine() -> None:
    """A machine that can hold the built-in node; on others the ring says what would make it run, and fails in CI."""
    reason = host.why_not()
    if reason and not os.environ.get("CI"):
        pytest.skip(f"the cluster ring is not run: {reason}")


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> Iterator[handle.Cluster]:
    """A Kubernetes to test on."""
    context = os.environ.get("KELONG_TEST_CONTEXT")
    if context:
        yield handle.of_context(context, _images_of_other_cluster())
        return
    request.getfixturevalue("machine")
    terminal = pytestconfig.pluginmanager.getplugin("capturemanager")
    with lifecycle.borrowed(uncaptured=terminal.global_and_fixture_disabled) as lent:
        yield handle.of_node(lent.place, lent.images)


def _images_of_other_cluster() -> str:
    prefix = os.environ.get("KELONG_TEST_IMAGES")
    if not prefix:
        pytest.fail(
            "KELONG_TEST_CONTEXT needs KELONG_TEST_IMAGES: the prefix and the tag of images that cluster can pull, "
            "as in registry.example.com/kelong:TAG for registry.example.com/kelong/operator:TAG and the others"
        )
    return prefix


@pytest.fixture(scope="session")
def told(cluster: handle.Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[story.Story]:
    """Kelong installed, recordings and the recogniser uploaded: where every story begins."""
    folder = tmp_path_factory.mktemp("story")
    settings = recordings.Settings(minutes=1.0, file_length_s=20.0)
    voice = speaker.Speaker.load(folder / "cache")
    recordings.make(folder / "recordings", folder / "truth.json", settings, voice)
    (folder / "recordings" / "broken.wav").write_bytes(b"RIFF this is not audio")
    whisper.assemble(folder / "whisper-base")
    story.make_wavlm(folder / "wavlm")
    with installation.installed(cluster, ("default", "second")), installation.open_store(cluster) as opened:
        for namespace in ("default", "second"):
            installation.upload(opened, folder / "recordings", layout.recordings(namespace, story.NAME))
        for model in ("whisper-base", "wavlm"):
            installation.upload(opened, folder / model, layout.model_source("default", model))
        yield story.Story(cluster=cluster, store=opened, folder=folder)
