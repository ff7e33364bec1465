"""A person overrules a prepared corpus: it costs what they touched and no more, and a review waits for them."""

from __future__ import annotations

import json
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import tokenizers
import torch
import transformers
from kelong_contract import accounts, codec, corpora, layout, names, orders, store
from kelong_trainer import context, launch, pipeline
from kelong_trainer.stages import correct as correct_stage

PREFIX = "recordings/lab/khazix/"
PATIENCE_S = 120.0
BEFORE_CORRECTING = ("ingest", "listen", "transcribe", "slice", "judge")
Trainer = Callable[..., context.RunContext]


@pytest.fixture
def place(prepared: Any, tmp_path: pathlib.Path) -> store.FolderStore:
    """A copy of the store in which the corpus was prepared."""
    return store.FolderStore(shutil.copytree(prepared.store.root, tmp_path / "copy"))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a small random text encoder."""
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(1)
    sizes = transformers.BertConfig(
        vocab_size=8,
        hidden_size=8,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=200,
    )
    transformers.BertModel(sizes).save_pretrained(folder)
    words = {word: index for index, word in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "你", "我", "的"))}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    ).save_pretrained(folder)
    return f"path:{folder}"


def correct(at: store.Store, *lines: corpora.Correction, key: str = PREFIX + "corrections.jsonl") -> None:
    at.put(key, "".join(json.dumps(codec.encode(line, drop_none=True)) + "\n" for line in lines).encode())


def features(at: store.Store, order: orders.TrainingOrder) -> set[str]:
    return {item.key for item in at.list(f"{order.voice.place().prefix}corpus/features/text/")}


def stage_seconds(at: context.RunContext, stage: str) -> float | None:
    labels = {"namespace": "lab", "voice": "khazix", "stage": stage}
    return at.telemetry.registry.get_sample_value("kelong_stage_seconds", labels)


def test_a_corrected_text_costs_that_clip_and_no_more(
    prepared: Any, place: store.FolderStore, trainer: Trainer, order_of: Any, encoder: str
) -> None:
    given = orders.Sources(recogniser=prepared.order.model.sources.recogniser, text_encoder=encoder)
    order = order_of(model=orders.Model(preset="tiny", sources=given))
    before = pipeline.prepare(trainer(place, order))
    encoded = features(place, order)
    assert len(encoded) == len({clip.spoken for clip in before.clips})

    wrong = before.clips[0]
    correct(place, corpora.Correction(sha256=wrong.sha256, text="这一句是后来改的。"))
    again = trainer(place, order)
    shutil.rmtree(again.work_dir)
    after = pipeline.prepare(again)
    assert [stage_seconds(again, stage) for stage in BEFORE_CORRECTING] == [0.0] * len(BEFORE_CORRECTING)
    (mended,) = [clip for clip in after.clips if clip.corrected]
    assert (mended.sha256, mended.text, mended.corrected) == (wrong.sha256, "这一句是后来改的。", ("text",))
    assert mended.spoken == "这一句是后来改的."
    assert features(place, order) - encoded == {mended.features["text"]}
    others = {clip.sha256: clip for clip in before.clips if clip.sha256 != wrong.sha256}
    assert {clip.sha256: clip for clip in after.clips if clip.sha256 != wrong.sha256} == others
    assert not (again.work_dir / "mono").exists(), "a recording was decoded again"

    report = codec.loads(corpora.CorpusReport, place.get(layout.corpus_report(order.voice.place())), "the report")
    assert report.corrections == 1
    assert "这一句是后来改的。" in place.get(report.page).decode()


def test_what_is_dropped_and_kept_moves_its_seconds(prepared: Any, place: store.FolderStore, trainer: Trainer) -> None:
    first, second = prepared.corpus.clips[:2]
    correct(place, corpora.Correction(sha256=first.sha256, keep=False))
    dropped = pipeline.prepare(trainer(place, prepared.order))
    (only,) = [item for item in dropped.rejections if item.reason == "Dropped"]
    assert (only.sha256, only.text, only.start_s, only.end_s) == (first.sha256, first.text, first.start_s, first.end_s)
    accounts.balance(dropped)

    # What lies beside the corpus counts before what lies among the recordings.
    key = layout.corrections(prepared.order.voice.place())
    correct(place, corpora.Correction(sha256=first.sha256, keep=True), key=key)
    kept = pipeline.prepare(trainer(place, prepared.order))
    assert kept.clips[0].sha256 == first.sha256 and kept.clips[0].corrected == ("keep",)
    assert kept.clips[1] == second


def test_a_text_that_cannot_be_spoken_can_be_heard_and_mended(
    prepared: Any, place: store.FolderStore, trainer: Trainer
) -> None:
    first = prepared.corpus.clips[0]
    correct(place, corpora.Correction(sha256=first.sha256, text="Привет"))
    corpus = pipeline.prepare(trainer(place, prepared.order))
    (left,) = [item for item in corpus.rejections if item.reason == "Unspeakable"]
    assert (left.sha256, left.text, left.measures) == (first.sha256, "Привет", first.measures)
    correct(place, corpora.Correction(sha256=first.sha256, text="你好。", keep=True))
    corpus = pipeline.prepare(trainer(place, prepared.order))
    assert {clip.sha256: clip.text for clip in corpus.clips}[first.sha256] == "你好。"


def test_a_line_that_cannot_be_read_ends_the_run_before_anything_is_heard(
    prepared: Any, place: store.FolderStore, trainer: Trainer
) -> None:
    place.put(PREFIX + "corrections.jsonl", b'{"sha256": "abc"}\n')
    with pytest.raises(context.BadData, match=r"'corrections\.jsonl' in the dataset cannot be read: line 1: sha256 is"):
        pipeline.prepare(trainer(place, prepared.order))


def test_corrections_that_are_a_link_to_somewhere_else_are_refused(
    tmp_path: pathlib.Path, trainer: Trainer, order_of: Any
) -> None:
    at = store.FolderStore(tmp_path / "store")
    at.put(PREFIX + "talk.wav", b"")
    (tmp_path / "secret").write_text("nobody's business")
    (at.root / PREFIX / "corrections.jsonl").symlink_to(tmp_path / "secret")
    with pytest.raises(context.BadData, match=r"corrections\.jsonl is a link to a place outside") as raised:
        correct_stage.read(trainer(at, order_of()))
    assert "business" not in raised.value.message


def test_a_speaker_who_is_not_ordered_is_named(prepared: Any, place: store.FolderStore, trainer: Trainer) -> None:
    correct(place, corpora.Correction(sha256=prepared.corpus.clips[0].sha256, speaker="Bob"))
    with pytest.raises(context.BadData, match=r"is given to 'Bob', expected one of Khazix") as raised:
        pipeline.prepare(trainer(place, prepared.order))
    assert raised.value.reason == "DatasetInvalid"


def test_corrections_come_too_late_for_a_frozen_corpus(
    prepared: Any, place: store.FolderStore, trainer: Trainer
) -> None:
    place.put(layout.corpus(prepared.order.voice.place()), codec.dumps(prepared.corpus))
    correct(place, corpora.Correction(sha256=prepared.corpus.clips[0].sha256, keep=False))
    assert pipeline.prepare(trainer(place, prepared.order)) == prepared.corpus


def test_a_review_waits_until_it_is_stopped_and_then_the_corrections_count(
    prepared: Any, place: store.FolderStore, trainer: Trainer, order_of: Any
) -> None:
    order = order_of(prepared.order.model.sources.recogniser, review=True)
    waiting = trainer(place, order)
    ended: list[BaseException] = []

    def run() -> None:
        try:
            pipeline.prepare(waiting)
        except context.Stopped as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + PATIENCE_S
    while waiting.telemetry.progress.stage != "review":
        assert thread.is_alive() and time.monotonic() < deadline
        time.sleep(0.01)
    voice = order.voice.place()
    assert place.exists(layout.corpus_page(voice)) and not place.exists(layout.corpus(voice))
    assert waiting.telemetry.progress.kept_s
    thread.join(0.2)
    assert thread.is_alive(), "it did not wait"
    waiting.stopping.set()
    thread.join()
    assert len(ended) == 1

    correct(place, corpora.Correction(sha256=prepared.corpus.clips[0].sha256, keep=False))
    corpus = pipeline.prepare(trainer(place, order_of(prepared.order.model.sources.recogniser)))
    assert prepared.corpus.clips[0].sha256 not in {clip.sha256 for clip in corpus.clips}


def test_training_that_began_waits_for_no_review(
    prepared: Any, place: store.FolderStore, trainer: Trainer, order_of: Any
) -> None:
    order = order_of(prepared.order.model.sources.recogniser, review=True)
    place.put(layout.corpus(order.voice.place()), codec.dumps(prepared.corpus))
    assert pipeline.prepare(trainer(place, order)) == prepared.corpus


@pytest.mark.parametrize(("is_reviewed", "started"), [(True, ["0", "1"]), (False, ["0"])])
def test_only_the_rank_that_prepares_is_started_for_a_review(
    monkeypatch: pytest.MonkeyPatch, order_of: Any, is_reviewed: bool, started: list[str]
) -> None:
    ranks: list[str] = []

    def supervise(_: object, environments: Any) -> int:
        ranks.extend(environment[names.ENV_RANK] for environment in environments)
        return names.EXIT_DONE

    monkeypatch.setattr(launch, "supervise", supervise)
    order = order_of(device=orders.Device(ranks=2), review=True)
    assert launch.run(pathlib.Path("order.json"), order, {}, is_reviewed=is_reviewed) == names.EXIT_DONE
    assert ranks == started


def test_other_pods_start_nothing_during_a_review_and_stop_when_told(order_of: Any) -> None:
    order = order_of(training=orders.Training(workers=2), review=True)
    program = (
        "import pathlib, sys; from kelong_contract import codec, orders; from kelong_trainer import launch; "
        "order = codec.loads(orders.TrainingOrder, sys.stdin.buffer.read(), 'the order'); "
        f"variables = {{{names.ENV_RENDEZVOUS!r}: 'first:1', {names.ENV_WORKER_INDEX!r}: '1'}}; "
        "print('ready', flush=True); "
        "sys.exit(launch.run(pathlib.Path('order.json'), order, variables, is_reviewed=False))"
    )
    pod = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert pod.stdin is not None and pod.stdout is not None
    with pod, pod.stdin, pod.stdout:
        pod.stdin.write(codec.dumps(order))
        pod.stdin.close()
        assert pod.stdout.readline() == b"ready\n"
        status = pathlib.Path(f"/proc/{pod.pid}/status")
        while not int(status.read_text().split("SigCgt:")[1].split()[0], 16) >> (signal.SIGTERM - 1) & 1:
            time.sleep(0.01)
        assert pod.poll() is None
        pod.send_signal(signal.SIGTERM)
        assert pod.wait(PATIENCE_S) == names.EXIT_SAVED
