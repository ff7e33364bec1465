"""Lists of recordings and transcripts beside them: what each line becomes, and that none is left out in silence."""

import json
import zlib

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from kelong_contract import accounts, orders, store
from kelong_trainer import context
from kelong_trainer.corpus.sound import decoding
from kelong_trainer.corpus.sources import lists, recordings
from kelong_trainer.stages import ingest

PREFIX = "recordings/lab/khazix/"
RATE_HZ = 16000


@pytest.fixture
def place(tmp_path):
    return store.FolderStore(tmp_path / "store")


def put_sound(place, tmp_path, name, seconds=3.0, level=0.1):
    """Noise whose level rises second by second, so that a stretch can be told from another; each name has its own."""
    noise = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(round(seconds * RATE_HZ))
    soundfile.write(tmp_path / "made.wav", level * noise * (1 + np.arange(len(noise)) // RATE_HZ) / 10, RATE_HZ)
    place.put_file(PREFIX + name, tmp_path / "made.wav")


def dataset(format_="AudioFolder", manifest=None):
    return orders.Dataset(type="S3", prefix=PREFIX, format=format_, manifest=manifest)


@pytest.fixture
def ingested(place, trainer, order_of):
    """`ingested(format, manifest, speakers)` is the corpus after the first stage."""

    def run(format_="AudioFolder", manifest=None, speakers=("Khazix",), prefixes=None):
        people = tuple(orders.Speaker(name=name, prefix=(prefixes or {}).get(name, "")) for name in speakers)
        started = trainer(place, order_of(speakers=people, dataset=dataset(format_, manifest)))
        listing = recordings.Source(started).listing()
        return ingest.run(started, listing, {name: index for index, name in enumerate(speakers)})

    return run


def told(corpus):
    return {
        item.key.removeprefix(PREFIX): (item.speaker, item.text, round(item.duration_s, 2))
        for item in corpus.recordings
    }


def refused(corpus):
    return {item.recording.removeprefix(PREFIX): item.reason for item in corpus.rejections}


def test_a_text_beside_a_recording_is_its_transcript(place, tmp_path, ingested):
    for name in ("a.wav", "b.flac", "c.mp3.wav", "deep/d.wav", "e.wav", "f.wav"):
        put_sound(place, tmp_path, name)
    place.put(PREFIX + "a.txt", "今天天气很好。\n我们去公园。\n".encode())
    place.put(PREFIX + "b.lab", "你好。".encode("gb18030"))
    place.put(PREFIX + "deep/d.txt", "再见。".encode("utf-16"))
    place.put(PREFIX + "e.lab", b"0 1200000 sil\n1200000 3400000 n i3\n")
    place.put(PREFIX + "f.txt", b"\x80\xff\xfe\x00\x81")
    place.put(PREFIX + "notes.txt", "不是文本".encode())
    corpus = ingested()
    assert told(corpus) == {
        "a.wav": ("Khazix", "今天天气很好。 我们去公园。", 3.0),
        "b.flac": ("Khazix", "你好。", 3.0),
        "c.mp3.wav": ("Khazix", "", 3.0),
        "deep/d.wav": ("Khazix", "再见。", 3.0),
        "e.wav": ("Khazix", "", 3.0),
        "f.wav": ("Khazix", "", 3.0),
    }
    assert [note.removeprefix(PREFIX) for note in corpus.notes] == [
        f"e.lab holds times and phones, expected the words that are said: {PREFIX}e.wav goes without its text",
        f"f.txt is not text in UTF-8, UTF-16 or GB 18030: {PREFIX}f.wav goes without its text",
    ]
    assert not corpus.rejections


def test_a_table_beside_recordings_names_texts_and_speakers(place, tmp_path, ingested):
    for name in ("a.wav", "b.wav", "in/c.wav", "in/d.wav"):
        put_sound(place, tmp_path, name)
    place.put(PREFIX + "b.txt", "旧的。".encode())
    rows = 'file_name,text,speaker\na.wav,"你好，世界。",Khazix\nb.wav,新的。,Guest\nno.wav,没有。,Khazix\n,空,\n'
    place.put(PREFIX + "metadata.csv", rows.encode("utf-8-sig"))
    place.put(PREFIX + "in/metadata.jsonl", json.dumps({"file_name": "c.wav", "transcription": "里面。"}).encode())
    corpus = ingested(speakers=("Khazix", "Guest"), prefixes={"Guest": "guest/"})
    assert told(corpus) == {
        "a.wav": ("Khazix", "你好，世界。", 3.0),
        "b.wav": ("Guest", "新的。", 3.0),
        "in/c.wav": ("Khazix", "里面。", 3.0),
        "in/d.wav": ("Khazix", "", 3.0),
        "no.wav": ("Khazix", "没有。", 0.0),
    }
    assert refused(corpus) == {"no.wav": "Missing"}
    assert corpus.notes == ("line 5 of metadata.csv names no file, expected one of audio, audio_filepath, file_name",)


def test_a_table_alone_may_tell_speakers_apart(place, tmp_path, ingested):
    for name in ("a.wav", "b.wav", "c.wav"):
        put_sound(place, tmp_path, name)
    place.put(PREFIX + "metadata.csv", b"file_name,text,speaker\na.wav,x,A\nb.wav,y,B\n")
    corpus = ingested(speakers=("A", "B"))
    assert {key: value[0] for key, value in told(corpus).items()} == {"a.wav": "A", "b.wav": "B", "c.wav": ""}
    assert [(item.reason, item.message) for item in corpus.rejections] == [
        ("UnknownSpeaker", f"{PREFIX}c.wav lies in a folder that A and B share: say in a metadata.csv whose it is")
    ]


def test_the_originals_list_is_read_and_every_bad_line_named(place, tmp_path, ingested):
    for name in ("wavs/a.wav", "wavs/b.wav", "wavs/c.wav", "wavs/d.wav", "wavs/e.wav"):
        put_sound(place, tmp_path, name)
    lines = [
        "wavs/a.wav|Khazix|ZH|你好。",
        "./wavs\\b.wav|Khazix|zh|再见。",
        "wavs/c.wav|Teemo|ZH|谁。",
        "wavs/d.wav|Khazix|EN|Hello.",
        "wavs/gone.wav|Khazix|ZH|不见了。",
        "/data/a.wav|Khazix|ZH|外面。",
        "../../other/a.wav|Khazix|ZH|外面。",
        "wavs/a.wav|Khazix|ZH|又一次。",
        "wavs/a.wav|Khazix|ZH",
        "|Khazix|ZH|没有路径。",
        "",
    ]
    place.put(PREFIX + "lists/esd.list", "\n".join(lines).encode())
    corpus = ingested("EsdList", "lists/esd.list")
    assert told(corpus) == {
        "wavs/a.wav": ("Khazix", "你好。", 3.0),
        "wavs/b.wav": ("Khazix", "再见。", 3.0),
        "wavs/c.wav": ("Teemo", "谁。", 3.0),
        "wavs/d.wav": ("Khazix", "Hello.", 3.0),
        "lists/wavs/gone.wav": ("Khazix", "不见了。", 0.0),
    }
    assert refused(corpus) == {
        "wavs/c.wav": "UnknownSpeaker",
        "wavs/d.wav": "OtherLanguage",
        "lists/wavs/gone.wav": "Missing",
    }
    messages = {item.reason: item.message for item in corpus.rejections}
    assert messages["UnknownSpeaker"] == (
        f"{PREFIX}wavs/c.wav (line 3 of lists/esd.list) belongs to 'Teemo', who is none of the speakers (Khazix): "
        "name it as one of them"
    )
    assert corpus.notes == (
        "line 9 of lists/esd.list has 3 fields, expected path|speaker|language|text",
        "line 10 of lists/esd.list lacks a path or a speaker, expected path|speaker|language|text",
        "line 6 of lists/esd.list names '/data/a.wav', which is outside the dataset",
        "line 7 of lists/esd.list names '../../other/a.wav', which is outside the dataset",
        "line 8 of lists/esd.list names 'wavs/a.wav' again, after line 1: only that is used",
        f"{PREFIX}wavs/e.wav: not named by the list, and not used",
    )


def manifest_of(*entries):
    return "\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries).encode()


def test_a_manifest_names_files_and_stretches_of_files(place, tmp_path, ingested):
    put_sound(place, tmp_path, "talk.wav", seconds=20)
    put_sound(place, tmp_path, "clip.wav")
    put_sound(place, tmp_path, "nemo.wav", seconds=10)
    place.put(
        PREFIX + "all.jsonl",
        manifest_of(
            {"audio": "talk.wav", "text": "第二段。", "start_s": 8.02, "end_s": 12},
            {"audio": "talk.wav", "text": "第一段。", "start_s": 4, "end_s": 8.04, "speaker": "Khazix"},
            {"audio": "talk.wav", "text": "重叠。", "start_s": 11, "end_s": 13},
            {"audio": "talk.wav", "text": "结尾。", "start_s": 15},
            {"audio": "talk.wav", "text": "太远。", "start_s": 40, "end_s": 50},
            {"audio": "talk.wav", "text": "整个。"},
            {"audio": "talk.wav", "text": "短。", "start_s": 13, "end_s": 14},
            {"audio_filepath": "clip.wav", "text": "整段。", "duration": 3.0},
            {"audio_filepath": "nemo.wav", "text": "一半。", "offset": 0.0, "duration": 5.0, "lang": "zh"},
        ),
    )
    corpus = ingested("ManifestJSONL", "all.jsonl")
    assert told(corpus) == {
        "clip.wav": ("Khazix", "整段。", 3.0),
        "nemo.wav#t=0.000,5.000": ("Khazix", "一半。", 5.0),
        "nemo.wav#rest": ("Khazix", "", 5.0),
        "talk.wav#t=4.000,8.040": ("Khazix", "第一段。", 4.04),
        "talk.wav#t=8.040,12.000": ("Khazix", "第二段。", 3.96),
        "talk.wav#t=13.000,14.000": ("Khazix", "短。", 1.0),
        "talk.wav#t=15.000,20.000": ("Khazix", "结尾。", 5.0),
        "talk.wav#rest": ("Khazix", "", 6.0),
    }
    assert refused(corpus) == {
        "nemo.wav#rest": "NotListed",
        "talk.wav#rest": "NotListed",
        "talk.wav#t=13.000,14.000": "TooShort",
    }
    assert corpus.notes == (
        "line 3 of all.jsonl overlaps line 1 in 'talk.wav': only that is used",
        "line 5 of all.jsonl overlaps line 4 in 'talk.wav': only that is used",
        "line 6 of all.jsonl names 'talk.wav' again, after line 1: only that is used",
    )
    assert sum(item.duration_s for item in corpus.recordings) == pytest.approx(33.0, abs=1e-6)
    assert len({item.sha256 for item in corpus.recordings}) == len(corpus.recordings)


def test_a_stretch_is_cut_from_its_file_to_the_sample(place, tmp_path, trainer, order_of, ingested):
    put_sound(place, tmp_path, "talk.wav", seconds=10)
    place.put(PREFIX + "all.jsonl", manifest_of({"audio": "talk.wav", "start_s": 2.5, "end_s": 7.25}))
    corpus = ingested("ManifestJSONL", "all.jsonl")
    started = trainer(place, order_of(dataset=dataset("ManifestJSONL", "all.jsonl")))
    source = recordings.Source(started)
    part = next(item for item in corpus.recordings if item.part)
    cut, rate_hz = soundfile.read(source.mono(part), dtype="int16")
    whole, _ = soundfile.read(recordings.mono_path(started.work_dir, part.part.sha256), dtype="int16")
    assert rate_hz == decoding.SAMPLE_RATE_HZ
    assert np.array_equal(cut, whole[round(2.5 * rate_hz) : round(7.25 * rate_hz)])
    assert len(cut) == part.duration_s * rate_hz


def test_a_stretch_beyond_the_end_of_its_file_is_named(place, tmp_path, ingested):
    put_sound(place, tmp_path, "talk.wav", seconds=10)
    place.put(
        PREFIX + "all.jsonl",
        manifest_of(
            {"audio": "talk.wav", "start_s": 2, "end_s": 5},
            {"audio": "talk.wav", "start_s": 6, "end_s": 10.3},
            {"audio": "talk.wav", "start_s": 12, "end_s": 15},
        ),
    )
    corpus = ingested("ManifestJSONL", "all.jsonl")
    assert set(told(corpus)) == {"talk.wav#t=2.000,5.000", "talk.wav#t=6.000,10.000", "talk.wav#rest"}
    assert corpus.notes == (
        f"line 3 of the list names 12 s to 15 s of {PREFIX}talk.wav, which is 10.00 s long: not used",
    )


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[1]", "is no JSON object"),
        ('{"audio": "\\ud83d.wav"}', "holds half a character, as \\ud83d without what follows it"),
        ("{}", "names no file, expected one of audio, audio_filepath, file_name"),
        ('{"audio": 3}', "names no file, expected one of audio, audio_filepath, file_name"),
        ('{"audio": "a.wav", "text": 3}', "has the text 3, expected a string"),
        ('{"audio": "a.wav", "speaker": ["x"]}', "has the speaker ['x'], expected a string"),
        ('{"audio": "a.wav", "start_s": -1}', "has start_s -1, expected seconds from 0"),
        ('{"audio": "a.wav", "start_s": NaN}', "has start_s nan, expected seconds from 0"),
        ('{"audio": "a.wav", "start_s": true}', "has start_s True, expected seconds from 0"),
        ('{"audio": "a.wav", "start_s": 5, "end_s": 4}', "ends at 4 s, before it begins at 5 s"),
    ],
)
def test_a_bad_line_is_named_and_the_others_are_used(line, why):
    parsed = lists.manifest(f'{{"audio": "good.wav"}}\n{line}\n'.encode(), "m.jsonl")
    assert [item.path for item in parsed.lines] == ["good.wav"]
    assert parsed.faults == (f"line 2 of m.jsonl {why}",)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it is empty"),
        (b"\xff\xff\x00\x81", "m.jsonl is not text in UTF-8, UTF-16 or GB 18030"),
        (b'{"audio": "/etc/passwd"}', "line 1 of m.jsonl names '/etc/passwd', which is outside the dataset"),
        (b'{"audio": "C:\\\\a.wav"}', "line 1 of m.jsonl names 'C:\\a.wav', which is outside the dataset"),
    ],
)
def test_a_list_of_which_nothing_can_be_used_is_refused(place, ingested, data, why):
    place.put(PREFIX + "m.jsonl", data)
    with pytest.raises(context.BadData) as error:
        ingested("ManifestJSONL", "m.jsonl")
    assert (error.value.reason, error.value.message) == ("DatasetInvalid", f"no line of m.jsonl can be used: {why}")


def test_a_list_that_is_not_there_is_named(place, ingested):
    with pytest.raises(
        context.BadData, match=r"the list 'esd\.list' is not there in '.*' in the store: upload it"
    ) as error:
        ingested("EsdList", "esd.list")
    assert error.value.reason == "DatasetInvalid"


def test_a_table_without_its_column_leaves_the_recordings_without_text(place, tmp_path, ingested):
    put_sound(place, tmp_path, "a.wav")
    place.put(PREFIX + "metadata.csv", "a|你好。|你好。\n".encode())
    corpus = ingested()
    assert told(corpus) == {"a.wav": ("Khazix", "", 3.0)}
    assert corpus.notes == ("metadata.csv lacks the column file_name in its first line",)


def test_many_bad_lines_are_told_by_number(place, tmp_path, ingested):
    put_sound(place, tmp_path, "a.wav")
    place.put(PREFIX + "m.jsonl", b'{"audio": "a.wav"}\n' + b"x\n" * 250)
    corpus = ingested("ManifestJSONL", "m.jsonl")
    assert len(corpus.notes) == 101
    assert corpus.notes[-1] == "and 150 more lines that cannot be used"


def test_a_file_once_looked_at_is_not_decoded_again(place, tmp_path, ingested, monkeypatch):
    put_sound(place, tmp_path, "a.wav")
    before = ingested()

    def never(*_):
        raise AssertionError("decoded again")

    monkeypatch.setattr(decoding, "decode", never)
    assert ingested() == before
    put_sound(place, tmp_path, "a.wav", seconds=4)
    with pytest.raises(AssertionError, match="decoded again"):
        ingested()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_list_with_faults_at_worst(data):
    for parse in (lists.manifest, lists.esd, lists.table):
        parsed = parse(data, "any")
        assert all("any" in fault and "\n" not in fault for fault in parsed.faults)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="./\\ab:C\0", max_size=12), st.sampled_from(["", "x/", "x/y/"]))
def test_no_path_in_a_list_leads_outside(path, root):
    key = lists.locate(path, root + "in", root)
    assert key is None or (key.startswith(root) and store.check_key(key) == key)


def test_stretches_are_accounted_for_once(place, tmp_path, ingested):
    put_sound(place, tmp_path, "talk.wav", seconds=6)
    place.put(PREFIX + "m.jsonl", manifest_of({"audio": "talk.wav", "start_s": 1, "end_s": 2, "speaker": "Nobody"}))
    corpus = ingested("ManifestJSONL", "m.jsonl")
    assert {item.reason for item in corpus.rejections} == {"UnknownSpeaker", "NotListed"}
    assert sum(account.rejected_s[reason] for account in accounts.balance(corpus) for reason in account.rejected_s) == (
        pytest.approx(6.0)
    )
