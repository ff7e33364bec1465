"""The report page without a browser: what stands in it, that nothing can break out of it, and when it is made anew."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html.parser
import io
import json
import re
from collections.abc import Callable

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from kelong_contract import codec, corpora, layout, orders, store
from kelong_trainer import context
from kelong_trainer.corpus.report import advice, doubt, histograms, page, payload, publish, sounds, totals

RATE_HZ = 44100
NASTY = "</script><script>alert(1)</script>\"'<b>&amp;\u2028"


def sha256(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def made(clips: int = 40, text: str = "你好") -> corpora.Corpus:
    """A recording of ten-second clips, the first of them the worst, then a rejected one and a pause."""
    end_s = 10.0 * clips
    kept = [
        corpora.Clip(
            sha256=sha256(f"clip {number}"),
            recording="recordings/lab/mei/talk.wav",
            speaker="Mei",
            start_s=10.0 * number,
            end_s=10.0 * (number + 1),
            samples=10 * RATE_HZ,
            text=text,
            confidence=0.5 + number / 100,
            grade="A" if number else "C",
            measures=corpora.Measures(snr_db=30.0 + number / 10),
        )
        for number in range(clips)
    ]
    left = corpora.Rejection(
        recording="recordings/lab/mei/talk.wav",
        start_s=end_s,
        end_s=end_s + 5,
        reason="UncertainText",
        message=f"recordings/lab/mei/talk.wav from {end_s:.2f} s to {end_s + 5:.2f} s: nobody knows",
        sha256=sha256("left"),
        text=text,
    )
    pause = dataclasses.replace(
        left, start_s=end_s + 5, end_s=end_s + 6, reason="Silence", sha256="", text="", message="a pause between clips"
    )
    recording = corpora.Recording(
        key="recordings/lab/mei/talk.wav", speaker="Mei", size_bytes=1, sha256="", duration_s=end_s + 6
    )
    return corpora.Corpus(
        stage="features",
        speakers={"Mei": 0},
        recordings=(recording,),
        clips=tuple(kept),
        rejections=(left, pause),
        held_out=(sha256("clip 7"),),
    )


def html_of(corpus: corpora.Corpus, embedded: dict[str, bytes] | None = None, voice: str = "mei") -> str:
    told = totals.summarise(corpus)
    return page.make(corpus, told, advice.advise(corpus), (), embedded or {}, voice, orders.Slicing()).decode()


class Parts(html.parser.HTMLParser):
    """What the browser would take for scripts, styles and addresses."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.inside: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside.append(dict(attrs).get("id") or tag)

    def handle_endtag(self, tag: str) -> None:
        self.inside.append("")

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.inside[-1] if self.inside else "", []).append(data)


def flac(seconds: float) -> bytes:
    target = io.BytesIO()
    samples = 0.1 * np.sin(2 * np.pi * 220 * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)
    soundfile.write(target, samples, RATE_HZ, format="FLAC", subtype="PCM_16")
    return target.getvalue()


def test_the_page_runs_its_own_script_and_nothing_else() -> None:
    parts = Parts(html_of(made()))
    (policy,) = [a["content"] for tag, a in parts.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None and policy.startswith("default-src 'none';")
    for element, directive in (("script", "script-src"), ("style", "style-src")):
        digest = base64.b64encode(hashlib.sha256("".join(parts.texts[element]).encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    for tag, attributes in parts.elements:
        for name, value in attributes.items():
            assert not name.startswith("on") and name != "style", (tag, name)
            assert name not in ("src", "srcset", "action") and (name != "href" or value == "data:,"), (tag, value)


def test_no_text_name_or_message_can_break_out_of_the_page() -> None:
    corpus = made(text=NASTY)
    key = f"recordings/{NASTY}.wav"
    recordings = tuple(dataclasses.replace(item, key=key, speaker=NASTY) for item in corpus.recordings)
    corpus = dataclasses.replace(
        corpus,
        speakers={NASTY: 0},
        recordings=recordings,
        clips=tuple(dataclasses.replace(item, recording=key, speaker=NASTY) for item in corpus.clips),
        rejections=tuple(dataclasses.replace(item, recording=key, message=NASTY) for item in corpus.rejections),
    )
    text = html_of(corpus, voice=NASTY)
    plain = Parts(html_of(made()))
    parts = Parts(text)
    assert [tag for tag, _ in parts.elements if tag == "script"] == ["script"] * 3
    assert {tag for tag, _ in parts.elements} == {tag for tag, _ in plain.elements} | {"section", "ul", "li"}
    told = json.loads("".join(parts.texts["corpus"]))
    assert told["clips"][0]["text"] == NASTY and told["speakers"] == [NASTY]
    assert "\u2028" not in "".join(parts.texts["corpus"])


def test_every_number_of_the_totals_is_the_corpuss() -> None:
    corpus = made()
    told = totals.summarise(corpus)
    parts = Parts(html_of(corpus))
    values = {
        a["data-name"]: float(a["value"] or "nan") for tag, a in parts.elements if tag == "data" and "data-name" in a
    }
    assert values == {
        "recordings": 1,
        "duration_s": 406.0,
        "kept_s": 390.0,
        "clips": 39,
        "grade-A": 38,
        "grade-C": 1,
        "corrections": 0,
    }
    assert told.kept_s + sum(item.duration_s for item in told.dropped) == pytest.approx(told.duration_s)
    assert told.grades == (
        corpora.GradeTotals(grade="A", clips=38, duration_s=380.0),
        corpora.GradeTotals(grade="C", clips=1, duration_s=10.0),
    )


def test_clips_that_nobody_measured_are_not_drawn_as_zeros() -> None:
    text = html_of(made())
    assert text.count("没有测量") == 3, "DNSMOS, similarity and reading tone"
    assert text.count('<svg class="histogram"') == 2


def test_notes_on_the_whole_corpus_stand_in_the_page_and_many_are_folded_up() -> None:
    assert "<details" not in html_of(made())
    corpus = dataclasses.replace(
        made(), notes=("recordings/lab/mei/extra.wav: not named by the list, and not used", NASTY)
    )
    text = html_of(corpus)
    assert '<details class="notes" open>' in text and '<data value="2" data-name="notes">2</data>' in text
    assert "<li>extra.wav: not named by the list, and not used</li>" in text and "<script>alert" not in text
    many = html_of(dataclasses.replace(corpus, notes=("a line",) * 20))
    assert '<details class="notes"><summary>' in many and many.count("<li>a line</li>") == 20


def test_what_a_person_said_before_stands_in_the_page_as_lines() -> None:
    corpus = made(3)
    changed = dataclasses.replace(corpus.clips[1], text="再见", corrected=("text", "speaker"))
    kept = dataclasses.replace(corpus.clips[2], corrected=("keep",))
    dropped = dataclasses.replace(corpus.rejections[0], reason="Dropped")
    corpus = dataclasses.replace(
        corpus, clips=(corpus.clips[0], changed, kept), rejections=(dropped, corpus.rejections[1])
    )
    assert payload.applied(corpus) == [
        {"sha256": changed.sha256, "text": "再见", "speaker": "Mei"},
        {"sha256": kept.sha256, "keep": True},
        {"sha256": dropped.sha256, "keep": False},
    ]
    assert totals.summarise(corpus).corrections == 3
    given = (
        corpora.Correction(sha256=dropped.sha256, keep=False, text="你好"),
        corpora.Correction(sha256="f" * 64, text="别处的"),
    )
    assert payload.applied(corpus, given)[2:] == [
        {"sha256": dropped.sha256, "text": "你好", "keep": False},
        {"sha256": "f" * 64, "text": "别处的"},
    ]


def test_the_least_trusted_labels_come_first_and_those_that_were_seen_do_not() -> None:
    corpus = made(60)
    assert [clip.sha256 for clip in doubt.least_trusted(corpus)] == [sha256(f"clip {number}") for number in range(3)]
    seen = dataclasses.replace(corpus.clips[0], corrected=("text",))
    doubtful = dataclasses.replace(corpus.clips[50], measures=corpora.Measures(agreement=0.1))
    changed = dataclasses.replace(corpus, clips=(seen, *corpus.clips[1:50], doubtful, *corpus.clips[51:]))
    assert doubt.least_trusted(changed)[0].sha256 == doubtful.sha256
    assert seen.sha256 not in {clip.sha256 for clip in doubt.least_trusted(changed)}


def test_embedded_clips_last_as_long_as_their_recordings() -> None:
    encoded = sounds.opus(flac(3.21))
    samples, rate_hz = soundfile.read(io.BytesIO(encoded))
    assert len(samples) / rate_hz == pytest.approx(3.21, abs=0.001)
    assert len(encoded) < 3.21 * sounds.BIT_RATE / 8 * 1.5
    assert np.sqrt(np.mean(samples**2)) == pytest.approx(0.1 / np.sqrt(2), rel=0.05)


def test_no_more_clips_are_embedded_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = made(5).clips
    one = len(sounds.opus(flac(1.0)))
    monkeypatch.setattr(sounds, "MOST_BYTES", round(2.5 * one))
    told: list[None] = []
    embedded = sounds.embed(clips, lambda _: flac(1.0), lambda: told.append(None))
    assert list(embedded) == [clip.sha256 for clip in clips[:2]] and len(told) == 3


def test_a_page_is_made_once_for_a_corpus_and_again_for_another(
    tmp_path: object,
    trainer: Callable[..., context.RunContext],
    order_of: Callable[..., orders.TrainingOrder],
    stopping_store: Callable[[str], store.FolderStore],
) -> None:
    at, order, corpus = stopping_store("no such key"), order_of(), made()
    place = order.voice.place()
    for clip in corpus.clips[1:]:
        at.put(layout.clip(place, clip.sha256), flac(0.5))
    first = publish.publish(trainer(at, order), corpus)  # the worst clip is gone: nothing fails for it
    assert first.page == layout.corpus_page(place) and first.page_version == page.VERSION
    kept = at.get(layout.corpus_report(place))
    assert codec.loads(corpora.CorpusReport, kept, "report") == first
    parts = Parts(at.get(first.page).decode())
    assert set(json.loads("".join(parts.texts["sounds"]))) == {corpus.clips[1].sha256}

    at.put(first.page, b"as it was")
    publish.publish(trainer(at, order), corpus)
    assert at.get(first.page) == b"as it was"
    publish.publish(trainer(at, order), corpus, ("a remark",))
    assert b"a remark" in at.get(first.page)
    changed = dataclasses.replace(
        corpus, clips=(dataclasses.replace(corpus.clips[0], text="另一句"), *corpus.clips[1:])
    )
    assert publish.publish(trainer(at, order), changed).digest != first.digest
    assert "另一句" in at.get(first.page).decode()


def test_a_thousand_clips_cost_half_a_megabyte() -> None:
    assert len(html_of(made(1000)).encode()) < 550_000


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00.0"), (59.96, "1:00.0"), (3599.94, "59:59.9"), (3661, "1:01:01")]
)
def test_lengths_are_shown_as_clocks(seconds: float, shown: str) -> None:
    assert page.clock(seconds) == shown


def test_a_value_on_an_edge_belongs_to_the_bin_above_and_what_lies_outside_to_the_last() -> None:
    scale = histograms.Scale(low=0, high=1, width=0.1)
    assert histograms.count([0.3, 0.7, 0.29], scale) == [0, 0, 1, 1, 0, 0, 0, 1, 0, 0]
    assert histograms.count([-5, 5, 1.0], scale) == [1, 0, 0, 0, 0, 0, 0, 0, 0, 2]


@given(st.lists(st.floats(-1e6, 1e6), max_size=50))
def test_every_value_is_in_a_bar(values: list[float]) -> None:
    scale = histograms.Scale(low=0, high=60, width=2, unit=" dB")
    drawn = histograms.svg(values, scale, "SNR")
    assert sum(histograms.count(values, scale)) == len(values)
    assert sum(int(number) for number in re.findall(r": (\d+)</title>", drawn)) == len(values)
