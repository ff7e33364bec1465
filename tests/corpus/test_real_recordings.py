"""Real speech through all stages with the real recogniser; what was said, and when, is known."""

import dataclasses
import io
import re
import shutil
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from kelong_contract import codec, corpora, layout, orders, store
from kelong_speech.text import utterance
from kelong_trainer import pipeline
from kelong_trainer.corpus.report import totals
from kelong_trainer.corpus.sound import noise

PREFIX = "recordings/lab/khazix/"
RATE_HZ = 44100
_MARKS = re.compile(r"[\W_]")


def letters(text: str) -> str:
    return _MARKS.sub("", text)


def edits(heard: str, said: str) -> int:
    row = list(range(len(said) + 1))
    for count, left in enumerate(heard, 1):
        diagonal, row[0] = row[0], count
        for index, right in enumerate(said, 1):
            diagonal, row[index] = row[index], min(row[index] + 1, row[index - 1] + 1, diagonal + (left != right))
    return row[-1]


def said_in(clip: corpora.Clip, prepared) -> str:
    """What was truly said between the clip's ends."""
    sentences = prepared.truth[clip.recording].sentences
    return "".join(item.text for item in sentences if clip.start_s < (item.start_s + item.end_s) / 2 < clip.end_s)


def sound_of(clip: corpora.Clip, prepared) -> np.ndarray:
    data = prepared.store.get(layout.clip(prepared.order.voice.place(), clip.sha256))
    samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    assert (rate_hz, samples.shape) == (RATE_HZ, (clip.samples, 1))
    return samples[:, 0]


def test_every_recording_that_can_be_heard_gives_clips(prepared):
    assert {clip.recording for clip in prepared.corpus.clips} == prepared.truth.keys()
    assert {clip.speaker for clip in prepared.corpus.clips} == {"Khazix"}


def test_labels_hold_what_was_said_in_their_own_clip(prepared):
    pairs = [(letters(clip.text), letters(said_in(clip, prepared))) for clip in prepared.corpus.clips]
    wrong = sum(edits(heard, said) for heard, said in pairs)
    total = sum(len(said) for _, said in pairs)
    every_sentence = sum(len(letters(item.text)) for file in prepared.truth.values() for item in file.sentences)
    assert total == every_sentence, "a sentence is in no clip"
    assert wrong / total < 0.15, pairs


def test_labels_are_simplified_and_end_with_a_mark(prepared):
    for clip in prepared.corpus.clips:
        assert not set(clip.text) & set("這們說個來時後會還沒著"), clip.text
        assert clip.text[-1] in "，。？！", clip.text
        assert 0.5 < clip.confidence <= 1


def test_clips_keep_to_the_lengths_of_the_order(prepared):
    lengths = [clip.duration_s for clip in prepared.corpus.clips]
    assert all(2 <= length <= 30 for length in lengths), lengths
    assert sum(7 <= length <= 16 for length in lengths) >= 0.75 * len(lengths), lengths


def test_no_cut_falls_into_a_sentence_or_a_breath(prepared):
    for clip in prepared.corpus.clips:
        spoken = prepared.truth[clip.recording]
        for edge_s in (clip.start_s, clip.end_s):
            assert not [item for item in spoken.sentences if item.start_s < edge_s < item.end_s], clip
            # A planted breath swells and fades: its outermost 40 ms lie below the room's noise.
            assert not [item for item in spoken.breaths if item.start_s + 0.04 < edge_s < item.end_s - 0.04], clip


def test_the_sound_at_both_ends_is_quiet_and_faded(prepared):
    for clip in prepared.corpus.clips:
        samples = sound_of(clip, prepared)
        assert abs(samples[0]) < 1e-4 and abs(samples[-1]) < 1e-4
        levels = noise.levels(samples, RATE_HZ)
        assert max(levels[0], levels[-2]) < -45 < -30 < levels.max()


def test_at_most_four_tenths_of_a_second_of_silence_stay_at_the_ends(prepared):
    for clip in prepared.corpus.clips:
        spoken = prepared.truth[clip.recording]
        inside = [item for item in spoken.sentences if clip.start_s < item.end_s <= clip.end_s]
        leading = [item for item in spoken.breaths if clip.start_s < item.end_s <= inside[0].start_s]
        heard = [*leading, inside[0]]
        assert heard[0].start_s - clip.start_s < 0.55, clip  # the VAD hears a start up to 90 ms late
        assert clip.end_s - inside[-1].end_s < 0.45, clip


def test_channels_out_of_phase_do_not_cancel(prepared):
    stereo = [clip for clip in prepared.corpus.clips if clip.recording.endswith(".wav")]
    assert stereo
    for clip in stereo:
        assert 20 * np.log10(np.sqrt((sound_of(clip, prepared) ** 2).mean())) > -27


def test_every_second_is_in_one_clip_or_one_rejection(prepared):
    corpus = prepared.corpus
    for recording in corpus.recordings:
        pieces = [*corpus.clips, *corpus.rejections]
        spans = sorted((item.start_s, item.end_s) for item in pieces if item.recording == recording.key)
        assert spans[0][0] == 0
        assert spans[-1][1] == pytest.approx(recording.duration_s, abs=1e-6)
        assert all(left[1] == pytest.approx(right[0], abs=1e-6) for left, right in pairwise(spans))
        assert sum(end - start for start, end in spans) == pytest.approx(recording.duration_s, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "reason", "duration_s"),
    [("broken.mp3", "Undecodable", 0.0), ("quiet.flac", "Silent", 5.0), ("short.wav", "TooShort", 1.0)],
)
def test_what_cannot_be_used_is_named_with_its_reason(prepared, name, reason, duration_s):
    (rejection,) = [item for item in prepared.corpus.rejections if item.recording == PREFIX + name]
    assert (rejection.reason, rejection.duration_s) == (reason, pytest.approx(duration_s, abs=1e-3))
    assert name in rejection.message
    report = totals.summarise(prepared.corpus)
    assert rejection in report.rejected_recordings


def test_files_that_are_no_recordings_are_passed_over(prepared):
    names = {recording.key.removeprefix(PREFIX) for recording in prepared.corpus.recordings}
    assert names == {"stereo.wav", "talk.mp3", "broken.mp3", "quiet.flac", "short.wav"}


def test_every_clip_has_phones_that_fit_its_text(prepared):
    for clip in prepared.corpus.clips:
        fields = {"spoken": clip.spoken, "phones": clip.phones, "tones": clip.tones, "word2ph": clip.word2ph}
        spoken = utterance.Utterance.from_phones(written=clip.text, **fields)
        assert len(spoken.ids().phone_ids) < clip.samples // 512
        assert clip.features == {}


def test_the_report_in_the_store_tells_the_same(prepared):
    report = codec.loads(
        corpora.CorpusReport, prepared.store.get(layout.corpus_report(prepared.order.voice.place())), "report"
    )
    told = {"page": report.page, "page_version": report.page_version, "advice": report.advice}
    assert report == dataclasses.replace(totals.summarise(prepared.corpus), **told)
    assert report.kept_s + sum(item.duration_s for item in report.dropped) == pytest.approx(report.duration_s, abs=1e-3)
    assert report.kept_s == pytest.approx(sum(clip.samples for clip in prepared.corpus.clips) / RATE_HZ, abs=1e-3)
    assert {item.reason: item.count for item in report.dropped if item.reason != "Silence"} == {
        "Undecodable": 1,
        "Silent": 1,
        "TooShort": 1,
    }
    assert report.digest == codec.digest(prepared.corpus)


def test_a_stop_keeps_what_was_heard_before_it(prepared):
    assert len(prepared.heard_before_the_stop) == 1
    heard = prepared.store.list(f"{prepared.order.voice.place().prefix}corpus/transcripts/")
    assert prepared.heard_before_the_stop[0] in tuple(heard)


def stage_seconds(context, stage: str) -> float | None:
    labels = {"namespace": "lab", "voice": "khazix", "stage": stage}
    return context.telemetry.registry.get_sample_value("kelong_stage_seconds", labels)


def test_a_finished_stage_is_not_run_again(prepared, trainer):
    before = {item.key: item.etag for item in prepared.store.list(f"{prepared.order.voice.place().prefix}corpus/")}
    again = trainer(prepared.store, prepared.order)
    assert pipeline.prepare(again) == prepared.corpus
    assert [stage_seconds(again, stage) for stage in pipeline.STAGES] == [0.0] * len(pipeline.STAGES)
    assert not again.work_dir.exists(), "something was decoded or fetched again"
    after = {item.key: item.etag for item in prepared.store.list(f"{prepared.order.voice.place().prefix}corpus/")}
    report = layout.corpus_report(prepared.order.voice.place())
    assert {**after, report: ""} == {**before, report: ""}


def test_other_lengths_cut_again_but_do_not_listen_again(prepared, trainer, order_of, tmp_path):
    copy = store.FolderStore(shutil.copytree(prepared.store.root, tmp_path / "copy"))  # others look at its report
    shorter = orders.Slicing(aim_min_s=4.0, aim_max_s=6.0)
    order = order_of(prepared.order.model.sources.recogniser, slicing=shorter)
    again = trainer(copy, order)
    corpus = pipeline.prepare(again)
    assert stage_seconds(again, "transcribe") == 0
    assert stage_seconds(again, "slice") > 0
    assert len(corpus.clips) > len(prepared.corpus.clips)
    assert letters("".join(clip.text for clip in corpus.clips)) == letters(
        "".join(clip.text for clip in prepared.corpus.clips)
    )


def test_pauses_and_breaths_between_sentences_are_marked_where_they_are(prepared):
    """Each pause of 0.2 s and more between two sentences has a mark, and nearly each planted breath is a breath."""
    pauses = marked = breaths = found = 0
    for clip in prepared.corpus.clips:
        spoken = prepared.truth[clip.recording]
        inside = [item for item in spoken.sentences if clip.start_s <= item.start_s and item.end_s <= clip.end_s]
        for left, right in pairwise(inside):
            pauses += 1
            between = [
                mark for mark in clip.marks if left.end_s - 0.1 < mark.start_s and mark.end_s < right.start_s + 0.1
            ]
            marked += bool(between) and all(clip.text[mark.after - 1] in "，。？！" for mark in between)
            breathed = [item for item in spoken.breaths if left.end_s < item.start_s < right.start_s]
            breaths += len(breathed)
            found += sum(mark.kind.startswith("br") for mark in between)
    assert marked >= 0.9 * pauses, (marked, pauses)
    assert abs(found - breaths) <= 0.25 * breaths + 1, (found, breaths)
    assert any(phone in ("sp2", "sp3") for clip in prepared.corpus.clips for phone in clip.phones)
