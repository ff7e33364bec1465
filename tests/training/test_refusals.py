"""What the trainer refuses, and how it says so: one sentence, an exit code, and the reason where the operator looks."""

from __future__ import annotations

import dataclasses
import json

import pytest
from kelong_contract import codec, corpora, farewell, layout, names
from kelong_trainer import __main__ as door


def test_a_wrong_order_is_refused_with_every_fault_at_once(bench, run_here, capsys: pytest.CaptureFixture[str]) -> None:
    document = codec.encode(bench.order())
    document["training"]["max_steps"] = "many"
    document["training"]["speed"] = 3
    document["device"]["gpus"] = None

    assert run_here(json.dumps(document)) == names.EXIT_BAD_ORDER

    said = capsys.readouterr().err
    for fault in ("training.max_steps is 'many'", "training.speed is not a known field", "device.gpus is None"):
        assert fault in said
    assert "Traceback" not in said
    problem = bench.progress().problem
    assert problem is not None and problem.reason == "BadOrder" and "training.speed" in problem.message


def test_an_order_that_asks_for_a_gpu_where_there_is_none_names_the_driver(bench, run_here) -> None:
    document = codec.encode(bench.order())
    document["device"]["gpus"] = 1

    assert run_here(json.dumps(document)) == names.EXIT_BAD_ORDER

    problem = bench.progress().problem
    assert problem is not None and problem.reason == "GPUUnusable" and "driver" in problem.message


def test_the_last_words_begin_with_the_reason_where_the_kubelet_looks(
    bench, run_here, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    last_words = tmp_path / "termination-log"
    last_words.touch()
    monkeypatch.setattr(names, "TERMINATION_LOG", str(last_words))
    document = codec.encode(bench.order())
    document["device"]["gpus"] = 1
    assert run_here(json.dumps(document)) == names.EXIT_BAD_ORDER
    assert farewell.parse(last_words.read_text())[0] == "GPUUnusable"

    bench.store.delete(layout.corpus(bench.place))
    document = codec.encode(bench.order())
    document["model"]["sources"]["recogniser"] = f"path:{tmp_path}"
    assert run_here(json.dumps(document)) == names.EXIT_BAD_DATA
    assert farewell.parse(last_words.read_text())[0] == "TooFewClips"

    monkeypatch.setenv(names.ENV_THREADS, "none")
    assert run_here("{}") == names.EXIT_BAD_ORDER
    assert farewell.parse(last_words.read_text())[0] == "BadOrder"


def test_a_missing_order_file_is_named(run_here, capsys: pytest.CaptureFixture[str], tmp_path) -> None:
    assert door.main(["--order", str(tmp_path / "nothing.json")]) == names.EXIT_BAD_ORDER
    assert "nothing.json cannot be read: No such file" in capsys.readouterr().err


def test_a_disk_of_this_machine_that_takes_nothing_is_not_called_the_store(
    bench, run_here, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(names.ENV_STORE_URL, (tmp_path / "file" / "store").as_uri())
    assert run_here(codec.dumps(bench.order()).decode()) == 1
    said = capsys.readouterr().err
    assert "a file of this machine" in said and "the store failed" not in said


def test_an_unusable_environment_lists_every_variable(
    run_here, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(names.ENV_STORE_URL, "ftp://somewhere")
    monkeypatch.setenv(names.ENV_THREADS, "none")
    assert run_here("{}") == names.EXIT_BAD_ORDER
    said = capsys.readouterr().err
    assert names.ENV_STORE_URL in said and names.ENV_THREADS in said


def test_training_that_diverges_stops_with_its_reason_and_keeps_what_was_good(bench, run_here) -> None:
    assert run_here(codec.dumps(bench.order(max_steps=1, interval_steps=1)).decode()) == names.EXIT_DONE
    order = bench.order(max_steps=50, interval_steps=50, learning_rate=1e18)

    assert run_here(codec.dumps(order).decode()) == names.EXIT_BAD_DATA

    problem = bench.progress().problem
    assert problem is not None and problem.reason == "NaNLoss" and "learningRate" in problem.message
    assert "; step 1 is the last good one." in problem.message
    assert bench.steps() == [1]


def test_training_that_diverges_before_its_first_checkpoint_says_that_none_was_saved(bench, run_here) -> None:
    order = bench.order(max_steps=50, interval_steps=50, learning_rate=1e18)

    assert run_here(codec.dumps(order).decode()) == names.EXIT_BAD_DATA

    problem = bench.progress().problem
    assert problem is not None and "; no step has been saved yet." in problem.message
    assert bench.steps() == []


def test_a_changed_checkpoint_is_not_resumed_from(bench, run_here) -> None:
    assert run_here(codec.dumps(bench.order(max_steps=1, interval_steps=1)).decode()) == names.EXIT_DONE
    stored = bench.manifest(1).file("optimiser.safetensors")
    bench.store.put(stored.key, bench.store.get(stored.key)[:-1] + b"x")

    assert run_here(codec.dumps(bench.order(max_steps=2, interval_steps=1)).decode()) == names.EXIT_BAD_DATA

    problem = bench.progress().problem
    assert problem is not None and problem.reason == "ChecksumMismatch" and stored.key in problem.message
    assert bench.steps() == [1]


def test_a_document_in_the_store_that_cannot_be_read_is_named(
    bench, run_here, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(codec.dumps(bench.order(max_steps=1, interval_steps=1)).decode()) == names.EXIT_DONE
    order = codec.dumps(bench.order(max_steps=2, interval_steps=1)).decode()
    for key in (layout.corpus(bench.place), layout.checkpoint_manifest(bench.place, 1)):
        good = bench.store.get(key)
        bench.store.put(key, good[: len(good) // 2])
        capsys.readouterr()

        assert run_here(order) == names.EXIT_BAD_DATA

        said = capsys.readouterr().err
        assert f"{key} is not usable: it is not JSON" in said and "restore it" in said
        assert "Traceback" not in said
        problem = bench.progress().problem
        assert problem is not None and problem.reason == "BadData" and key in problem.message
        bench.store.put(key, good)


def test_another_corpus_is_not_mixed_into_a_voice(bench, run_here) -> None:
    assert run_here(codec.dumps(bench.order(max_steps=1, interval_steps=1)).decode()) == names.EXIT_DONE
    key = layout.corpus(bench.place)
    corpus = codec.loads(corpora.Corpus, bench.store.get(key), key)
    first = dataclasses.replace(corpus.clips[0], confidence=0.5)
    bench.store.put(key, codec.dumps(dataclasses.replace(corpus, clips=(first, *corpus.clips[1:]))))

    assert run_here(codec.dumps(bench.order(max_steps=2, interval_steps=1)).decode()) == names.EXIT_BAD_DATA

    problem = bench.progress().problem
    assert problem is not None and problem.reason == "DatasetInvalid"


def test_more_steps_are_trained_when_the_limit_is_raised(bench, run_here) -> None:
    assert run_here(codec.dumps(bench.order(max_steps=1, interval_steps=1)).decode()) == names.EXIT_DONE
    assert run_here(codec.dumps(bench.order(max_steps=1, interval_steps=1)).decode()) == names.EXIT_DONE
    assert bench.steps() == [1]
    assert run_here(codec.dumps(bench.order(max_steps=2, interval_steps=1)).decode()) == names.EXIT_DONE
    assert bench.steps() == [1, 2]
    assert [line.step for line in bench.losses(3)] == [2]
    assert bench.progress().stage == "done"
