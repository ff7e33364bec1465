"""Every number on the report's page is held against the corpus: what was checked is taken off until none is left."""

from __future__ import annotations

import collections
import decimal
import pathlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, get_args

import pytest
from corpus import invented
from kelong_contract import codec, corpora, layout, orders
from kelong_trainer.corpus.report import advice, names, page, totals
from kelong_trainer.scoring import held_out
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

REMARK = "no clip has the digest 0123: its correction is passed over"
MEASURES = (
    ("confidence", "可信 confidence", 2),
    ("agreement", "一致 agreement", 2),
    ("least_agreement", "最不一致处 least agreement", 2),
    ("similarity", "相似 similarity", 2),
    ("dnsmos", "DNSMOS", 2),
    ("snr_db", "SNR dB", 0),
    ("syllables_per_s", "音节/秒 syllables/s", 1),
    ("hum_share", "交流声 hum", 2),
    ("music_share", "音乐 music", 2),
    ("clipped_share", "爆音 clipped", 3),
    ("reading_tone", "朗读腔 reading tone", 2),
)
FIGURES = {  # where an axis begins and ends, and how wide its bars are
    "时长 length": (0.0, 30.0, 1.0),
    "信噪比 SNR": (0.0, 60.0, 2.0),
    "音质 DNSMOS": (1.0, 5.0, 0.2),
    "与说话人相似 speaker similarity": (0.4, 1.0, 0.025),
    "朗读腔 reading tone": (0.0, 1.0, 0.05),
}
# Takes elements off the page and tells all that can be read of them.
TAKE = """
const plain = (text) => text.trim().replace(/\\s+/g, ' ');
return [...document.querySelectorAll(arguments[0])].map((element) => {
  const every = (name) => [...element.querySelectorAll(name)];
  const data = element.matches('data') ? [element] : every('data');
  const told = {
    text: plain(element.textContent),
    name: element.dataset.name ?? element.dataset.reason ?? element.dataset.sha256 ?? '',
    values: data.map((item) => Number(item.value)),
    shown: data.map((item) => item.textContent),
    parts: [...element.children].map((child) => plain(child.textContent)),
    titles: every('title').map((item) => item.textContent),
    labels: every('[aria-label]').map((item) => item.getAttribute('aria-label')),
    written: every('textarea').map((item) => item.value),
    options: every('option').map((item) => plain(item.textContent)),
    items: every('li').map((item) => plain(item.textContent)),
    facts: every('.facts > *').map((item) => plain(item.textContent)),
    boxes: every('rect, text').map((item) =>
      ({of: item.getAttribute('class'), x: parseFloat(item.getAttribute('x')),
        width: parseFloat(item.getAttribute('width')), text: item.tagName === 'text' ? item.textContent : ''})),
    label: element.getAttribute('aria-label'),
    title: element.getAttribute('title'),
  };
  element.remove();
  return told;
});
"""
LEFT = """
const left = [...document.querySelectorAll('body *')].flatMap((element) => [
  ...['title', 'aria-label', 'placeholder', 'value'].map((name) => element.getAttribute(name) ?? ''),
  ...(element.matches('script, style') ? [] : [...element.childNodes].filter((node) => node.nodeType === 3).map(
    (node) => node.data)),
]);
return left.filter((text) => /[0-9]/.test(text));
"""


@dataclass(frozen=True, kw_only=True)
class Told:
    """A corpus, and what its page may say of it besides: advice and remarks."""

    corpus: corpora.Corpus
    advice: tuple[advice.Advice, ...]
    remarks: tuple[str, ...]
    voice: str

    @property
    def trained(self) -> list[corpora.Clip]:
        spared = set(self.corpus.held_out)
        return [clip for clip in self.corpus.clips if clip.sha256 not in spared]

    @property
    def spared(self) -> list[corpora.Clip]:
        spared = set(self.corpus.held_out)
        return [clip for clip in self.corpus.clips if clip.sha256 in spared]


class Page:
    """What is still on the page."""

    def __init__(self, browser: webdriver.Chrome) -> None:
        self.browser = browser

    def take(self, selector: str) -> list[dict[str, Any]]:
        return list(self.browser.execute_script(TAKE, selector))

    def choose(self, what: str) -> int:
        """Shows some of the clips; the number of them that the page tells."""
        Select(self.browser.find_element(By.ID, "show")).select_by_value(what)
        text = self.browser.find_element(By.ID, "found").text
        count = int(str(self.browser.find_element(By.ID, "found").get_attribute("data-count")))
        assert text == f"{count} 个片段 {'clip' if count == 1 else 'clips'}"
        return count

    def all_of(self, rows: str, pages: str) -> list[dict[str, Any]]:
        """The rows of a list on all of its pages, one page after the other."""
        taken = self.take(rows)
        while following := self.browser.find_elements(By.CSS_SELECTOR, f"{pages} button:last-child:enabled"):
            number, last = re.findall(
                r"\d+", self.browser.find_element(By.CSS_SELECTOR, f"{pages} span[aria-current]").text
            )
            self.browser.execute_script("arguments[0].click()", following[0])
            after = self.browser.find_element(By.CSS_SELECTOR, f"{pages} span[aria-current]").text
            assert after == f"{int(number) + 1} / {last}"
            taken += self.take(rows)
        return taken


def half_up(number: float, digits: int) -> str:
    """As a browser rounds."""
    exact = decimal.Decimal(number).quantize(decimal.Decimal(1).scaleb(-digits), rounding=decimal.ROUND_HALF_UP)
    return f"{exact:f}"


def length_s(items: Iterable[corpora.Clip | corpora.Rejection]) -> float:
    return sum(item.duration_s for item in items)


def by_place(told: Told) -> dict[str, tuple[int, float]]:
    """How many clips and rejections went where, and their seconds; where training sees them the place is empty."""
    places: dict[str, list[corpora.Clip | corpora.Rejection]] = collections.defaultdict(list)
    for item in told.corpus.rejections:
        places[item.reason].append(item)
    if told.spared:
        places[held_out.REASON] += told.spared
    places[""] += told.trained
    return {place: (len(items), length_s(items)) for place, items in places.items()}


def check_totals(shown: Page, told: Told) -> None:
    corpus = told.corpus
    whole_s = sum(item.duration_s for item in corpus.recordings)
    wanted: dict[str, float] = {
        "recordings": len(corpus.recordings),
        "duration_s": whole_s,
        "kept_s": length_s(told.trained),
        "clips": len(told.trained),
        "corrections": sum(bool(clip.corrected) for clip in corpus.clips)
        + sum(item.reason == "Dropped" for item in corpus.rejections),
    }
    wanted |= {f"grade-{grade}": n for grade in "ABC" if (n := sum(clip.grade == grade for clip in told.trained))}
    counts = {}
    if len(corpus.speakers) > 1:
        for name in corpus.speakers:
            mine = [clip for clip in told.trained if clip.speaker == name]
            wanted[f"speaker-{name}"] = length_s(mine)
            counts[f"speaker-{name}"] = f"{name} {len(mine)} clips"
    cells = shown.take(".totals data")
    assert {cell["name"]: cell["values"][0] for cell in cells} == pytest.approx(wanted)
    for cell in cells:
        is_time = cell["name"].startswith(("speaker-", "duration_s", "kept_s"))
        assert cell["text"] == (page.clock(cell["values"][0]) if is_time else str(cell["values"][0]))
    assert {row["text"] for row in shown.take(".totals > div") if re.search(r"\d", row["text"])} == {*counts.values()}

    places = by_place(told)
    rows = shown.take(".legend tbody tr")
    for row in rows:
        count, seconds = places[row["name"]]
        assert row["values"] == pytest.approx([count, seconds, seconds / whole_s])
        assert row["shown"] == [str(count), page.clock(row["values"][1]), f"{row['values'][2]:.1%}"]
    assert {row["name"] for row in rows} == places.keys() and len(rows) == len(places)
    assert not rows[0]["name"], "what is trained on comes first, then what is most"
    assert sorted(rows[1:], key=lambda row: -row["values"][1]) == rows[1:]
    (foot,) = shown.take(".legend tfoot")
    assert foot["values"] == pytest.approx([whole_s, sum(row["values"][2] for row in rows)])
    assert sum(row["values"][1] for row in rows) == pytest.approx(whole_s)
    assert foot["shown"] == [page.clock(foot["values"][0]), "100.0%"]

    (bar,) = shown.take("svg.where")
    named = {"": names.KEPT, **names.REASONS}
    for row, title, box in zip(rows, bar["titles"], bar["boxes"], strict=True):
        name = named[row["name"]]
        assert title == f"{name.chinese} {name.english}: {page.clock(row['values'][1])}"
        assert (box["of"], box["width"]) == (name.kind, pytest.approx(100 * row["values"][2], abs=0.001))
    assert bar["label"] == f"用于训练 trained on {length_s(told.trained) / whole_s:.1%}"


def check_sentences(shown: Page, told: Told) -> None:
    """Advice is tested by itself; here it is that of this corpus, and nothing else is said."""
    spoken = [*told.remarks, *(f"{item.chinese}{item.english}" for item in told.advice)]
    assert [item["text"] for item in shown.take(".advice li")] == [" ".join(text.split()) for text in spoken]
    shared = advice.folder(told.corpus)
    notes = [note.replace(shared, "") for note in (*told.corpus.notes, *told.corpus.beside)]
    assert [item["text"] for item in shown.take(".notes li")] == notes
    assert [item["values"] for item in shown.take(".notes summary")] == ([[len(notes)]] if notes else [])


def check_figures(shown: Page, told: Told) -> None:
    clips = told.trained
    lengths = [clip.duration_s for clip in clips]
    inside = sum(10 <= length <= 15 for length in lengths)
    values = {"时长 length": (lengths, f"{inside} 个在 10 到 15 秒之间 {inside} of {len(clips)} from 10 to 15 s")}
    for field, name in zip(("snr_db", "dnsmos", "similarity", "reading_tone"), [*FIGURES][1:], strict=True):
        measured = [value for clip in clips if (value := getattr(clip.measures, field)) is not None]
        mean = f"{sum(measured) / (len(measured) or 1):.{0 if field == 'snr_db' else 2}f}"
        notes = ("（0 聊天，1 朗读；只供参考）", " (0 chat, 1 read aloud; a note, nothing is left out for it)")
        zh, en = notes if field == "reading_tone" else ("", "")
        values[name] = (measured, f"平均 {mean}{zh} mean {mean} of {len(measured)}{en}")
    figures = shown.take("figure")
    assert [figure["parts"][0] for figure in figures] == [*FIGURES]
    for figure in figures:
        name = figure["parts"][0]
        (low, high, width), (measured, caption) = FIGURES[name], values[name]
        if not measured:
            assert figure["parts"][1:] == ["没有测量 not measured"]
            continue
        assert figure["labels"] == [f"{name}: {len(measured)}"]
        assert figure["parts"][-1] == caption
        bins = [0] * round((high - low) / width)
        for value in measured:
            bins[min(max(int((value - low) / width + 1e-9), 0), len(bins) - 1)] += 1
        bars = [box for box in figure["boxes"] if box["of"] == "bar"]
        drawn = {
            round((box["x"] - 0.5) / 320 * len(bins)): title for box, title in zip(bars, figure["titles"], strict=True)
        }
        assert {place: int(title.split(": ")[1]) for place, title in drawn.items()} == {
            place: count for place, count in enumerate(bins) if count
        }
        for place, title in drawn.items():
            assert title.startswith(f"{low + place * width:g} – {low + (place + 1) * width:g}")
        for tick in (box for box in figure["boxes"] if box["text"]):
            number = float(tick["text"].split(" ")[0])
            assert tick["x"] == pytest.approx((number - low) / (high - low) * 320, abs=0.6), tick


def check_recordings(shown: Page, told: Told) -> None:
    corpus, shared = told.corpus, advice.folder(told.corpus)
    assert [item["text"] for item in shown.take("main .hint code") if item["text"] == shared] == [shared] * bool(shared)
    floors = {item.key: item.noise_floor_dbfs for item in corpus.listenings}
    rows = shown.all_of("#recordings tbody tr", "#recording-pages")
    for row, recording in zip(rows, corpus.recordings, strict=True):
        kept = [clip for clip in told.trained if clip.recording == recording.key]
        spared = [clip for clip in told.spared if clip.recording == recording.key]
        left: dict[str, float] = collections.defaultdict(float)
        for item in corpus.rejections:
            if item.recording == recording.key:
                left[item.reason] += item.duration_s
        if spared:
            left[held_out.REASON] = length_s(spared)
        name, speaker, length, trained, lost, form, *levels = row["parts"]
        assert (name, speaker) == (recording.key.removeprefix(shared), recording.speaker)
        ordered = sorted(left, key=lambda reason: -left[reason])
        sound = recording.sound
        figures = [sound.loudness_lufs, sound.true_peak_dbfs] if sound else [None, None]
        figures.append(floors.get(recording.key))
        known = [figure for figure in figures if figure is not None]
        numbers = [recording.duration_s, length_s(kept), *(left[reason] for reason in ordered), *known]
        assert row["values"] == pytest.approx(numbers)
        shown_clocks = [page.clock(value) for value in row["values"][: 2 + len(ordered)]]
        assert [length, trained] == shown_clocks[:2]
        assert levels == [
            "—" if figure is None else half_up(figure, digits)
            for figure, digits in zip(figures, (1, 1, 0), strict=True)
        ]
        clocks = [
            f"{clock} {' '.join(names.reason(reason)[:2])}"
            for clock, reason in zip(shown_clocks[2:], ordered, strict=True)
        ]
        assert lost == "".join((*clocks, *remarks_on(told, recording)))
        assert form == described(sound)


def remarks_on(told: Told, recording: corpora.Recording) -> list[str]:
    name = recording.key.removeprefix(advice.folder(told.corpus))
    said = [
        item.message.replace(recording.key, name)
        for item in told.corpus.rejections
        if item.recording == recording.key and not item.sha256 and item.reason != "Silence"
    ]
    damage = recording.sound.damaged_packets if recording.sound else 0
    first = [f"damaged packets left out: {damage}"] if damage else []
    return [*first, *said[:5], *([f"and {len(said) - 5} more"] if len(said) > 5 else [])]


def described(sound: corpora.Sound | None) -> str:
    if sound is None:
        return "—"
    taken = f", channel {sound.channel}" if sound.channels > 1 and sound.channel != "mix" else ""
    channels = {1: "mono", 2: "stereo"}[sound.channels] + taken
    return f"{sound.codec}, {sound.rate_hz / 1000:g} kHz, {channels}"


def check_clips(shown: Page, told: Told) -> None:
    corpus = told.corpus
    left = [item for item in corpus.rejections if item.sha256]
    doubtful = -(-len(corpus.clips) // 20)
    unseen = sum(not {"text", "keep"} & set(clip.corrected) for clip in corpus.clips)
    groups = {
        "doubtful": min(doubtful, unseen),
        "kept": len(told.trained),
        "heldOut": len(told.spared),
        "left": len(left),
    }
    for grade in "ABC":
        groups[f"grade-{grade}"] = sum(clip.grade == grade for clip in told.trained)
    for reason in names.REASONS:
        groups[f"reason-{reason}"] = sum(item.reason == reason for item in left)
    groups = {name: count for name, count in groups.items() if count} | {"changed": 0}
    assert {name: shown.choose(name) for name in groups} == groups

    rows: dict[str, dict[str, Any]] = {}
    for group in ("kept", "heldOut", "left"):
        if group in groups:
            shown.choose(group)
            taken = shown.all_of("#clips > li", "#clip-pages")
            assert len(taken) == groups[group]
            rows |= {row["name"]: row for row in taken}
    items: list[corpora.Clip | corpora.Rejection] = [*corpus.clips, *left]
    assert rows.keys() == {item.sha256 for item in items}
    for item in items:
        check_clip(rows[item.sha256], item, told)

    (show, of) = shown.take(".filters select")
    assert sorted(int(re.findall(r"\((\d+)\)$", option)[0]) for option in show["options"]) == sorted(groups.values())
    used = {item.recording.removeprefix(advice.folder(corpus)) for item in items}
    assert set(of["options"]) == {"全部 all", *used}


def check_clip(row: dict[str, Any], item: corpora.Clip | corpora.Rejection, told: Told) -> None:
    start, end = page.clock(item.start_s), page.clock(item.end_s)
    number = f"{item.recording.removeprefix(advice.folder(told.corpus))} {start} – {end}"
    assert row["written"] == [item.text]
    for label in row["labels"]:
        assert re.sub(r"^\S+ \S+ ", "", label) == number, label
    facts = [number, f"{half_up(item.duration_s, 1)} s"]
    values = [item.duration_s]
    for field, label, digits in MEASURES:
        value = getattr(item.measures, field)
        if field == "confidence" and value is None and isinstance(item, corpora.Clip):
            value = item.confidence
        if value is not None and (value > 0 or not field.endswith("_share")):
            facts.append(f"{label} {half_up(round(value, 4), digits)}")
            values.append(round(value, 4))
    if isinstance(item, corpora.Clip):
        facts.insert(0, f"{item.grade} 级")
        facts += [f"停顿与换气 pauses and breaths {len(item.marks)}"] * bool(item.marks)
        said = [finding.message for finding in item.findings]
    else:
        facts.insert(0, " ".join(names.reason(item.reason)[:2]))
        said = [item.message.replace(item.recording, item.recording.removeprefix(advice.folder(told.corpus)))]
    assert [fact for fact in row["facts"] if re.search(r"\d", fact) or fact == facts[0]] == facts
    assert row["values"] == pytest.approx(values)
    assert row["items"] == said


def check_everything(browser: webdriver.Chrome, told: Told) -> None:
    shown = Page(browser)
    (digest,) = shown.take("header code")
    assert digest["title"] == codec.digest(told.corpus) and digest["title"].startswith(digest["text"])
    (title,) = shown.take("h1 > span")
    assert title["text"] == told.voice
    check_totals(shown, told)
    check_sentences(shown, told)
    check_figures(shown, told)
    check_recordings(shown, told)
    check_clips(shown, told)
    (changes,) = shown.take("#changes")
    earlier = sum(bool(clip.corrected) for clip in told.corpus.clips)
    earlier += sum(item.reason == "Dropped" for item in told.corpus.rejections)
    before = [f"；已有 {earlier} 处", f", {earlier} made before"] if earlier else ["", ""]
    assert changes["text"] == f"0 处修改{before[0]} 0 changes{before[1]}"
    shown.take("#found, .pages")  # their numbers were read on every page
    assert browser.execute_script(LEFT) == [], "numbers that nothing was held against"
    assert browser.get_log("browser") == []


def test_every_number_of_a_real_corpus_is_the_corpuss(prepared: Any, browser: webdriver.Chrome) -> None:
    place = prepared.order.voice.place()
    report = codec.loads(corpora.CorpusReport, prepared.store.get(layout.corpus_report(place)), "the report")
    assert report.digest == codec.digest(prepared.corpus)
    browser.get((prepared.store.root / report.page).as_uri())
    advised = advice.advise(prepared.corpus)
    assert report.advice == tuple(item.english for item in advised)
    check_everything(browser, Told(corpus=prepared.corpus, advice=advised, remarks=(), voice=place.name))


def test_every_number_of_a_corpus_with_everything_in_it_is_the_corpuss(
    browser: webdriver.Chrome, tmp_path: pathlib.Path
) -> None:
    corpus = invented.corpus(recordings=22, clips_each=20)
    assert {item.reason for item in corpus.rejections} == set(get_args(corpora.Reason))
    told = Told(corpus=corpus, advice=advice.advise(corpus), remarks=(REMARK,), voice="mei")
    made = page.make(corpus, totals.summarise(corpus), told.advice, told.remarks, {}, told.voice, orders.Slicing())
    (tmp_path / "report.html").write_bytes(made)
    browser.get((tmp_path / "report.html").as_uri())
    check_everything(browser, told)
