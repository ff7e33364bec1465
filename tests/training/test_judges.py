"""The judges of a step, each on speech that is known to be good or bad; and that a missing one gives no figure."""

from __future__ import annotations

import dataclasses
import logging
import pathlib
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
import transformers
from kelong_contract import codec, corpora, layout, manifests, orders
from kelong_demo import speaker, whisper
from kelong_speech import audio, sources
from kelong_speech.text import frontend
from kelong_trainer.corpus.listening import speakers
from kelong_trainer.corpus.sound import quality
from kelong_trainer.scoring import auditions, judges, speaking

SENTENCES = ("今天天气很好，我们去公园散步吧。", "他买了三本书。", "请把窗户关上，外面有点冷。")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, audio.Speech]:
    """Each sentence as the stand-in says it."""
    with warnings.catch_warnings():
        standin = speaker.Speaker.load(tmp_path_factory.mktemp("speaker"))
    sounds = {text: standin.speak(text) for text in SENTENCES}
    return {
        text: audio.Speech(samples=sound.samples, sample_rate_hz=sound.sample_rate_hz) for text, sound in sounds.items()
    }


@pytest.fixture(scope="module")
def whisper_folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return whisper.assemble(tmp_path_factory.mktemp("whisper") / "base")


def order_with(bench, **sources: str) -> orders.TrainingOrder:
    order = bench.order()
    model = orders.Model(preset="tiny", sources=orders.Sources(**sources))
    return orders.TrainingOrder(**{**vars(order), "model": model})


def hold_out(bench, count: int) -> None:
    """Write the corpus with its first clips held out."""
    corpus = bench.corpus()
    chosen = tuple(clip.sha256 for clip in corpus.clips[:count])
    bench.store.put(layout.corpus(bench.place), codec.dumps(corpora.Corpus(**{**vars(corpus), "held_out": chosen})))


def noise_like(speech: audio.Speech) -> audio.Speech:
    noise = 0.1 * np.random.default_rng(1).standard_normal(len(speech.samples))
    return audio.Speech(samples=noise.astype(np.float32), sample_rate_hz=speech.sample_rate_hz)


def higher(speech: audio.Speech) -> audio.Speech:
    """Another speaker, as it were: everything a fourth higher and shorter."""
    return audio.Speech(
        samples=audio.resample(speech, speech.sample_rate_hz * 3 // 4).samples, sample_rate_hz=speech.sample_rate_hz
    )


def test_speech_is_understood_and_sounds_better_than_noise(bench, spoken, whisper_folder, tmp_path) -> None:
    panel = judges.Judges(
        order_with(bench, recogniser=f"path:{whisper_folder}"), bench.store, tmp_path, frontend.analyse
    )
    text = SENTENCES[0]

    good, bad = (panel.judge(sound, text, "Mei") for sound in (spoken[text], noise_like(spoken[text])))

    assert good.heard is not None and "今天天气很好" in good.heard
    assert good.figures.cer <= 0.15
    assert good.figures.pinyin_cer <= good.figures.cer
    assert bad.figures.cer >= 0.8 and bad.figures.pinyin_cer >= 0.8
    assert good.figures.dnsmos > 2.5 > 1.5 > bad.figures.dnsmos
    assert good.figures.clipped_share == bad.figures.clipped_share == 0
    assert good.figures.silent_share < 0.5
    assert good.figures.similarity is bad.figures.similarity is None  # nothing is held out here


def test_the_same_speaker_is_more_alike_than_another(spoken) -> None:
    first, second, third = (spoken[text] for text in SENTENCES)
    likeness = judges.Likeness(speakers.resemblyzer_embedding(), lambda name: [first, second])

    same, other, noise = (likeness.similarity(sound, "Mei") for sound in (third, higher(third), noise_like(third)))

    assert same > 0.85
    assert other < same - 0.1
    assert noise is None or noise < other
    assert likeness.similarity(audio.Speech(samples=np.zeros(48000, np.float32), sample_rate_hz=24000), "Mei") is None


def test_held_out_clips_are_what_a_voice_is_compared_with(bench, spoken, tmp_path) -> None:
    bench.freeze([(text, audio.resample(sound, 44100).samples) for text, sound in spoken.items()])
    hold_out(bench, 2)
    panel = judges.Judges(order_with(bench, recogniser="none"), bench.store, tmp_path, frontend.analyse)

    assert panel.judge(spoken[SENTENCES[2]], SENTENCES[2], "Mei").figures.similarity > 0.85


def test_a_verification_model_of_transformers_can_compare_speakers_too(spoken, tmp_path) -> None:
    torch.manual_seed(3)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    narrow = {"conv_dim": (16, 16, 16, 16, 16, 16, 16), "num_conv_pos_embeddings": 16, "xvector_output_dim": 12}
    tdnn = {"tdnn_dim": (16, 16, 16, 16, 24), "num_conv_pos_embedding_groups": 4}
    made = transformers.WavLMForXVector(transformers.WavLMConfig(**sizes, **narrow, **tdnn))
    made.save_pretrained(tmp_path)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    embed = speakers.x_vector_embedding(tmp_path, "path:x")

    likeness = judges.Likeness(embed, lambda name: [spoken[SENTENCES[0]]])

    assert likeness.similarity(spoken[SENTENCES[0]], "Mei") == pytest.approx(1, abs=1e-5)
    assert likeness.similarity(noise_like(spoken[SENTENCES[0]]), "Mei") < 0.9999
    with pytest.raises(sources.ModelSourceUnavailable, match="holds no speaker verification model"):
        speakers.x_vector_embedding(tmp_path / "nothing", "path:x")


def test_quality_is_the_figure_that_the_package_itself_gives(spoken) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from speechmos import dnsmos

    # One window: of several, the package loses those whose end a rounding error moves by a sample.
    samples = np.resize(audio.resample(spoken[SENTENCES[0]], 16000).samples, round(9.5 * 16000))

    ours = quality.Dnsmos().overall(audio.Speech(samples=samples, sample_rate_hz=16000))

    assert ours == pytest.approx(dnsmos.run(samples, 16000)["ovrl_mos"], abs=1e-5)


@pytest.mark.parametrize(
    ("wanted", "heard", "cer", "pinyin_cer"),
    [
        ("他买了三本书。", "他买了3本书", 0, 0),
        ("他买了三本书。", "她买了三本书！", 1 / 6, 0),
        ("他买了三本书。", "", 1, 1),
        ("他买了三本书。", "ありがとう ♪", 1, 1),
        ("他买了三本书。", "谢谢观看请不吝点赞订阅转发打赏支持明镜与点点栏目", 1, 1),
        ("他买[sp2]了三本书。", "他买了三本。", 1 / 6, 1 / 6),
    ],
)
def test_error_rates_count_what_is_said_not_how_it_is_written(
    wanted: str, heard: str, cer: float, pinyin_cer: float
) -> None:
    assert judges.error_rates(wanted, heard, frontend.analyse) == pytest.approx((cer, pinyin_cer))


def test_where_nothing_was_to_be_said_nothing_can_be_wrong() -> None:
    assert judges.error_rates("[sp2]", "谢谢观看", frontend.analyse) == (None, None)


def test_a_sentence_that_a_step_cannot_end_counts_as_not_understood_and_one_that_nobody_can_say_does_not(
    bench, whisper_folder, tmp_path
) -> None:
    texts = (orders.AuditionText(name="endless", text=SENTENCES[1]), orders.AuditionText(name="mute", text="……"))
    order = dataclasses.replace(order_with(bench, recogniser=f"path:{whisper_folder}"), auditions=texts)
    publisher, save, _ = bench.publisher(bench.lease("one"))
    slow = {**save.snapshot.generator, "dp.proj.bias": torch.tensor([50.0])}
    publisher.save(dataclasses.replace(save, snapshot=dataclasses.replace(save.snapshot, generator=slow)))
    publisher.close()
    panel = judges.Judges(order, bench.store, tmp_path, frontend.analyse)

    judged = speaking.hear(bench.store, order, 2, tmp_path / "weights", None, panel)
    unjudged = speaking.hear(bench.store, order, 2, tmp_path / "weights", None)

    assert [failure.name for failure in judged.failures] == ["endless", "mute"] and judged.auditions == ()
    assert judged.figures == manifests.Figures(cer=1.0, pinyin_cer=1.0)
    assert unjudged.figures == manifests.Figures()
    assert judges.means([panel.unsaid(), manifests.Figures(cer=0.5, dnsmos=3.0)]).cer == 0.75


def test_without_a_recogniser_nothing_is_told_of_what_was_not_said(bench, tmp_path) -> None:
    panel = judges.Judges(order_with(bench, recogniser="none"), bench.store, tmp_path, frontend.analyse)
    assert panel.unsaid() == manifests.Figures()


def test_what_is_clipped_or_silent_is_measured() -> None:
    tone = 0.5 * np.sin(np.arange(24000) / 10).astype(np.float32)
    loud = np.clip(4 * tone, -1, 1)
    half = np.concatenate([tone, np.zeros_like(tone)])
    shares: list[Callable[[audio.Speech], float | None]] = [judges.clipped_share, judges.silent_share]

    clean, clipped, silent, nothing = (
        [share(audio.Speech(samples=samples, sample_rate_hz=24000)) for share in shares]
        for samples in (tone, loud, half, tone[:0])
    )

    assert clean == [0, 0]
    assert 0.6 < clipped[0] < 0.7
    assert silent == [0, 0.5]
    assert nothing == [None, None]


def test_means_leave_out_what_no_judge_told() -> None:
    told = [manifests.Figures(cer=0.2, dnsmos=3.0), manifests.Figures(cer=0.4), manifests.Figures()]

    assert judges.means(told) == manifests.Figures(cer=pytest.approx(0.3), dnsmos=3.0)
    assert judges.means([]) == manifests.Figures()


def test_a_missing_judge_gives_no_figure_and_is_named_once(bench, spoken, tmp_path, caplog) -> None:
    order = order_with(bench, recogniser="store:./whisper/", speaker_embedding="none")
    hold_out(bench, 1)
    panel = judges.Judges(order, bench.store, tmp_path, frontend.analyse)

    with caplog.at_level(logging.WARNING):
        verdicts = [panel.judge(spoken[text], text, "Mei") for text in SENTENCES[1:]]

    for verdict in verdicts:
        figures = verdict.figures
        assert (verdict.heard, figures.cer, figures.pinyin_cer, figures.similarity) == (None, None, None, None)
        assert figures.dnsmos is not None
    named = [record.getMessage() for record in caplog.records]
    assert len(named) == 2
    assert "no error rates" in named[0] and "store:./whisper/" in named[0]
    assert "no speaker similarity" in named[1] and "speakerEmbedding" in named[1]


def test_a_step_is_judged_beside_its_audition_and_the_metrics_say_so(bench, here) -> None:
    publisher, save, _ = bench.publisher(bench.lease("one"), step=2)
    publisher.save(save)
    publisher.close()
    context = bench.context()

    with auditions.running(context) as heard:
        heard.add(2)
        heard.finish()

    key = layout.audition_report(bench.place, 2)
    report = codec.loads(manifests.AuditionReport, bench.store.get(key), key)
    [audition] = report.auditions
    assert report.figures == audition.figures
    assert 0.5 < report.figures.dnsmos < 5  # an untrained voice, with the judge that comes with the packages
    assert report.figures.cer is None
    labels = {"namespace": "default", "voice": "mei"}
    value = context.telemetry.registry.get_sample_value
    assert value("kelong_audition_step", labels) == 2
    assert value("kelong_audition_figure", {**labels, "figure": "dnsmos"}) == report.figures.dnsmos
    assert value("kelong_audition_figure", {**labels, "figure": "cer"}) is None


def test_a_judge_that_takes_its_process_down_costs_the_figures_not_the_audition(bench, here, caplog) -> None:
    publisher, save, _ = bench.publisher(bench.lease("one"), step=2)
    publisher.save(save)
    publisher.close()
    bench.store.put(layout.corpus(bench.place), b"{")  # whoever reads it ends

    with caplog.at_level(logging.WARNING), auditions.running(bench.context()) as heard:
        heard.add(2)
        heard.finish()

    key = layout.audition_report(bench.place, 2)
    report = codec.loads(manifests.AuditionReport, bench.store.get(key), key)
    assert len(report.auditions) == 1 and report.failures == ()
    assert report.figures == manifests.Figures()
    assert "nothing is judged" in caplog.text
    assert speaking.UNJUDGED not in caplog.text
