"""The report of a corpus as one HTML page: values in, bytes out. Everything that is not ours is escaped.

The page asks nobody for anything: its style, script and the worst clips lie in it, the other clips beside it.
"""

from __future__ import annotations

import base64
import hashlib
import html
import importlib.resources
import json
import math
import string
from collections.abc import Mapping, Sequence
from typing import Any

from kelong_contract import corpora, orders

from kelong_trainer.corpus.report import advice, histograms, names, payload
from kelong_trainer.scoring import held_out

VERSION = 4  # raise when the same corpus would give another page
SHOWN_NOTES = 5  # more are folded up


def make(
    corpus: corpora.Corpus,
    totals: corpora.CorpusReport,
    advised: Sequence[advice.Advice],
    remarks: Sequence[str],
    sounds: Mapping[str, bytes],
    voice: str,
    slicing: orders.Slicing,
    given: Sequence[corpora.Correction] = (),
) -> bytes:
    """The page. `sounds` are Opus files by the clip's digest, `remarks` what is to be said of corrections.

    `given` are the corrections that it hands on.
    """
    assets = {name: _asset(f"page.{name}") for name in ("html", "css", "js")}
    encoded = {sha256: base64.b64encode(sound).decode() for sha256, sound in sounds.items()}
    filled = string.Template(assets["html"]).substitute(
        script_hash=_hash(assets["js"]),
        style_hash=_hash(assets["css"]),
        style=assets["css"],
        script=assets["js"],
        voice=html.escape(voice),
        digest=html.escape(totals.digest),
        short_digest=html.escape(totals.digest[:12]),
        totals=_totals(totals),
        bar=_bar(totals),
        places=_places(totals),
        whole=_value(totals.duration_s, clock(totals.duration_s)),
        all_of_it=_value(1.0, "100.0%") if totals.duration_s else "—",
        advice=_advice(advised, remarks),
        figures=_figures(corpus, slicing),
        folder=_folder(corpus),
        notes=_notes(corpus),
        corpus=_json(payload.payload(corpus, totals.digest, given)),
        sounds=_json(encoded),
    )
    return filled.encode()


def clock(seconds: float) -> str:
    """A length of time as people read it: 1:02:03, or 2:03.4 below an hour; halves go up, as in the script."""
    tenths = math.floor(seconds * 10 + 0.5)
    if tenths >= 36_000:
        whole = math.floor(seconds + 0.5)
        return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    return f"{tenths // 600}:{tenths % 600 // 10:02d}.{tenths % 10}"


def _asset(name: str) -> str:
    return importlib.resources.files("kelong_trainer.corpus.report").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _json(value: Any) -> str:
    """JSON that cannot end the element that it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _both(chinese: str, english: str) -> str:
    return f'{html.escape(chinese)} <span lang="en">{html.escape(english)}</span>'


def _value(number: float, shown: str, name: str = "") -> str:
    mark = f' data-name="{html.escape(name)}"' if name else ""
    return f'<data value="{number!r}"{mark}>{html.escape(shown)}</data>'


def _totals(totals: corpora.CorpusReport) -> str:
    grades = {item.grade: item.clips for item in totals.grades}
    cells = [
        ("录音", "recordings", _value(totals.recordings, str(totals.recordings), "recordings")),
        ("总时长", "length", _value(totals.duration_s, clock(totals.duration_s), "duration_s")),
        ("用于训练", "trained on", _value(totals.kept_s, clock(totals.kept_s), "kept_s")),
        ("片段", "clips", _value(totals.clips, str(totals.clips), "clips")),
        *(
            (f"{grade} 级", f"grade {grade}", _value(number, str(number), f"grade-{grade}"))
            for grade, number in grades.items()
        ),
        ("人工修改", "corrections", _value(totals.corrections, str(totals.corrections), "corrections")),
    ]
    if len(totals.speakers) > 1:
        cells += [
            (item.name, f"{item.clips} clips", _value(item.duration_s, clock(item.duration_s), f"speaker-{item.name}"))
            for item in totals.speakers
        ]
    return "".join(f"<div><dt>{_both(zh, en)}</dt><dd>{shown}</dd></div>" for zh, en, shown in cells)


def _by_length(totals: corpora.CorpusReport) -> list[corpora.Dropped]:
    """Where the seconds went, those that are trained on first, then the rest by length."""
    kept = corpora.Dropped(reason="", count=totals.clips, duration_s=totals.kept_s)
    return [kept, *sorted(totals.dropped, key=lambda item: -item.duration_s)]


def _bar(totals: corpora.CorpusReport) -> str:
    whole = totals.duration_s or 1.0
    parts, left = [], 0.0
    for item in _by_length(totals):
        share = item.duration_s / whole * 100
        name = names.reason(item.reason)
        title = f"{name.chinese} {name.english}: {clock(item.duration_s)}"
        parts.append(
            f'<rect class="{name.kind}" x="{left:.3f}%" width="{share:.3f}%" height="100%">'
            f"<title>{html.escape(title)}</title></rect>"
        )
        left += share
    label = f"用于训练 trained on {totals.kept_s / whole:.1%}"
    return f'<svg class="where" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _places(totals: corpora.CorpusReport) -> str:
    return "".join(_place(item, totals.duration_s) for item in _by_length(totals))


def _place(item: corpora.Dropped, whole_s: float) -> str:
    name = names.reason(item.reason)
    swatch = f'<svg class="swatch" aria-hidden="true"><rect class="{name.kind}" width="100%" height="100%"/></svg>'
    share = item.duration_s / whole_s if whole_s else 0.0
    return (
        f'<tr data-reason="{html.escape(item.reason)}"><td>{swatch}{_both(name.chinese, name.english)}</td>'
        f'<td class="number">{_value(item.count, str(item.count))}</td>'
        f'<td class="number">{_value(item.duration_s, clock(item.duration_s))}</td>'
        f'<td class="number">{_value(share, f"{share:.1%}")}</td></tr>'
    )


def _advice(advised: Sequence[advice.Advice], remarks: Sequence[str]) -> str:
    lines = [f'<li class="problem">{html.escape(remark)}</li>' for remark in remarks]
    lines += [
        f'<li>{html.escape(item.chinese)}<span lang="en">{html.escape(item.english)}</span></li>' for item in advised
    ]
    if not lines:
        return ""
    return (
        '<section class="advice" aria-labelledby="advice-title"><h2 id="advice-title">'
        f"{_both('建议', 'What to do')}</h2><ul>{''.join(lines)}</ul></section>"
    )


def _figures(corpus: corpora.Corpus, slicing: orders.Slicing) -> str:
    """Histograms of what is trained on."""
    clips = held_out.trained_on(corpus)
    lengths = [clip.duration_s for clip in clips]
    aim = (slicing.aim_min_s, slicing.aim_max_s)
    inside = sum(aim[0] <= length <= aim[1] for length in lengths)
    scale = histograms.Scale(low=0, high=max(10.0, 5 * -(-slicing.max_s // 5)), width=1, unit=" s")
    told = _both(
        f"{inside} 个在 {aim[0]:g} 到 {aim[1]:g} 秒之间", f"{inside} of {len(clips)} from {aim[0]:g} to {aim[1]:g} s"
    )
    figures = [_figure("时长", "length", lengths, scale, told, aim)]
    for name, chinese, english, axis, note in _MEASURED:
        values = [value for clip in clips if (value := getattr(clip.measures, name)) is not None]
        mean = sum(values) / len(values) if values else 0.0
        digits = 0 if axis.high > 10 else 2
        told = _both(f"平均 {mean:.{digits}f}{note[0]}", f"mean {mean:.{digits}f} of {len(values)}{note[1]}")
        figures.append(_figure(chinese, english, values, axis, told))
    return "".join(figures)


_MEASURED: tuple[tuple[str, str, str, histograms.Scale, tuple[str, str]], ...] = (
    ("snr_db", "信噪比", "SNR", histograms.Scale(low=0, high=60, width=2, unit=" dB"), ("", "")),
    ("dnsmos", "音质", "DNSMOS", histograms.Scale(low=1, high=5, width=0.2), ("", "")),
    ("similarity", "与说话人相似", "speaker similarity", histograms.Scale(low=0.4, high=1, width=0.025), ("", "")),
    (
        "reading_tone",
        "朗读腔",
        "reading tone",
        histograms.Scale(low=0, high=1, width=0.05),
        ("（0 聊天，1 朗读；只供参考）", " (0 chat, 1 read aloud; a note, nothing is left out for it)"),
    ),
)


def _figure(
    chinese: str,
    english: str,
    values: Sequence[float],
    scale: histograms.Scale,
    told: str,
    band: tuple[float, float] | None = None,
) -> str:
    name = _both(chinese, english)
    if not values:
        return f"<figure><figcaption>{name}</figcaption><p>{_both('没有测量', 'not measured')}</p></figure>"
    drawn = histograms.svg(values, scale, f"{chinese} {english}: {len(values)}", band)
    return f"<figure><figcaption>{name}</figcaption>{drawn}<p>{told}</p></figure>"


def _folder(corpus: corpora.Corpus) -> str:
    """The folder that all recordings lie in, whose name the table leaves out."""
    shared = advice.folder(corpus)
    return f"{_both('文件夹', 'folder')} <code>{html.escape(shared)}</code>" if shared else ""


def _notes(corpus: corpora.Corpus) -> str:
    """What was found that belongs to no recording; the folder that all recordings lie in is left out here too."""
    notes = (*corpus.notes, *corpus.beside)
    if not notes:
        return ""
    shared = advice.folder(corpus)
    lines = (note.replace(shared, "") if shared else note for note in notes)
    listed = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    title = f"{_both('备注', 'notes')} {_value(len(notes), str(len(notes)), 'notes')}"
    opened = " open" * (len(notes) <= SHOWN_NOTES)
    return f'<details class="notes"{opened}><summary>{title}</summary><ul>{listed}</ul></details>'
