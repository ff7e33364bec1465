"""Rules of the repository that no linter knows."""

from __future__ import annotations

import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PROGRAMS = ("contract", "speech", "operator", "trainer", "inference", "demo")


def tracked(pattern: str) -> list[pathlib.Path]:
    listing = subprocess.run(["git", "ls-files", "-z", pattern], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listing.decode().split("\0") if name]


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_program_folder_is_a_package_itself(program: str) -> None:
    """An `operator/__init__.py` would shadow the standard library's operator module and break `import dataclasses`."""
    assert not (ROOT / program / "__init__.py").exists()
    assert (ROOT / program / f"kelong_{program}" / "__init__.py").is_file()


def test_tests_are_no_package() -> None:
    assert tracked("tests/**/__init__.py") == []


@pytest.mark.parametrize("library", ["torch", "numpy", "transformers", "nvidia", "av"])
def test_the_operator_image_stays_light(library: str) -> None:
    lock = (ROOT / "requirements" / "operator.txt").read_text()
    assert not re.search(rf"^{library}[\w-]*==", lock, re.MULTILINE)


@pytest.mark.parametrize("program", ["operator", "torch", "trainer", "inference"])
def test_an_image_carries_the_versions_that_are_tested(program: str) -> None:
    def pins(name: str) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE))

    tested, carried = pins("development"), pins(program)
    assert carried
    assert {name: version for name, version in carried.items() if tested.get(name) != version} == {}


def test_locks_hold_hashes_and_no_address() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        text = lock.read_text()
        assert "://" not in text, f"{lock.name} names an address"
        assert len(re.findall(r"^[\w.-]+==", text, re.MULTILINE)) <= text.count("--hash=sha256:")


def test_the_chart_carries_the_crds_of_record() -> None:
    for source in sorted((ROOT / "crds").glob("*.yaml")):
        copied = (ROOT / "charts" / "kelong" / "templates" / f"crd-{source.name}").read_text()
        assert copied == "{{- if .Values.crds.install }}\n" + source.read_text() + "{{- end }}\n", "run `make chart`"


def test_every_verb_the_words_name_exists() -> None:
    verbs = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in (*tracked("*.md"), ROOT / ".ci" / "run"):
        for verb in re.findall(r"(?:`|^\s*|exec )make ([a-z-]+)", document.read_text(), re.MULTILINE):
            assert verb in verbs, f"{document.name} says `make {verb}`"


def test_links_in_documents_lead_somewhere() -> None:
    for document in tracked("*.md"):
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.relative_to(ROOT)} links to {target}"
