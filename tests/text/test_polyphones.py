"""Models that read polyphones: g2pM's weights by our arithmetic, g2pW's files by onnxruntime, and no model."""

import importlib.util
import pathlib
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import numpy as np
import pytest
from kelong_speech.text import bopomofo, frontend, phonemes, pinyin, polyphones


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, pathlib.Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


onnx_files = _load("onnx_files")


ONLY_THE_MODEL_DECIDES = "他背着我"  # no dictionary has it, and no rule of grammar


@pytest.fixture(scope="module")
def bundled() -> polyphones.PolyphoneModel:
    return polyphones.open_model(None)


def _said(model: polyphones.PolyphoneModel, text: str) -> dict[str, str]:
    return {
        char: f"{choice.reading.spelling}{choice.reading.tone}"
        for char, choice in zip(text, model.choices(text), strict=True)
        if choice
    }


# --- g2pM


@pytest.mark.parametrize(
    ("text", "char", "said"),
    [
        ("他在银行工作。", "行", "hang2"),
        ("他在街上行走。", "行", "xing2"),
        ("这个音乐真好听。", "乐", "yue4"),
        ("大家都很快乐。", "乐", "le4"),
        ("我觉得很好。", "觉", "jue2"),
        ("他在睡觉。", "觉", "jiao4"),
    ],
)
def test_the_bundled_model_reads_a_character_by_its_sentence(
    bundled: polyphones.PolyphoneModel, text: str, char: str, said: str
) -> None:
    assert _said(bundled, text)[char] == said


def test_the_bundled_model_computes_what_the_paper_says(bundled: polyphones.PolyphoneModel) -> None:
    """The same as a plain LSTM, cell by cell, in double precision."""
    found = importlib.util.find_spec("g2pM")
    assert found is not None
    folder = pathlib.Path((found.submodule_search_locations or [""])[0])
    weights, characters = (
        polyphones.unpickle_arrays((folder / name).read_bytes()) for name in ("np_ckpt.pkl", "char2idx.pkl")
    )
    text = "他在银行工作，行长说：长大很快乐。"
    ids = [characters["시"], *(characters.get(char, characters["<UNK>"]) for char in text), characters["끝"]]
    sides = []
    for suffix, order in (("", ids), ("_reverse", ids[::-1])):
        hidden, cell, states = np.zeros(32), np.zeros(32), []
        for number in order:
            gates = weights[f"lstm.weight_ih_l0{suffix}"] @ weights["embedding.weight"][number].astype(float)
            gates += weights[f"lstm.bias_ih_l0{suffix}"] + weights[f"lstm.bias_hh_l0{suffix}"]
            gates += weights[f"lstm.weight_hh_l0{suffix}"] @ hidden
            taken, kept, new, shown = np.split(gates, 4)
            cell = _logistic(kept) * cell + _logistic(taken) * np.tanh(new)
            hidden = _logistic(shown) * np.tanh(cell)
            states.append(hidden)
        sides.append(states if not suffix else states[::-1])
    both = np.concatenate(sides, axis=1)[1:-1]
    inner = np.maximum(both @ weights["logit_layer.0.weight"].T + weights["logit_layer.0.bias"], 0)
    wanted = inner @ weights["logit_layer.2.weight"].T + weights["logit_layer.2.bias"]
    assert isinstance(bundled, polyphones.G2pM)
    np.testing.assert_allclose(bundled.scores(text, range(len(text))), wanted, atol=1e-3)


def _logistic(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def test_only_readings_a_voice_can_say_are_chosen(bundled: polyphones.PolyphoneModel) -> None:
    text = "嗯，呣，哼，儿，不得了，着，了，地，得，女绿，佛，给，血。" * 30
    choices = bundled.choices(text)
    assert len(choices) == len(text)
    for choice in filter(None, choices):
        assert phonemes.is_syllable(choice.reading.spelling)
        assert 1 <= choice.reading.tone <= 5
        assert 0 < choice.share <= 1


def test_a_sentence_is_read_alike_alone_and_among_others(bundled: polyphones.PolyphoneModel) -> None:
    first, second = "他长大了。", "银行行长说话。"
    assert bundled.choices(first + second) == bundled.choices(first) + bundled.choices(second)
    assert bundled.choices("") == []


def test_threads_get_the_same_choices(bundled: polyphones.PolyphoneModel) -> None:
    texts = [f"银行行长长大了{'很' * count}快乐。" for count in range(12)] * 4
    alone = [bundled.choices(text) for text in texts]
    with ThreadPoolExecutor(max_workers=6) as pool:
        assert list(pool.map(bundled.choices, texts)) == alone


def test_a_pickle_that_names_anything_but_arrays_is_refused() -> None:
    with pytest.raises(ValueError, match=r"names pathlib\.\w+; only arrays were expected"):
        polyphones.unpickle_arrays(pickle.dumps({"weights": pathlib.PurePosixPath("x")}))


def test_the_switch_turns_the_model_off() -> None:
    model = polyphones.open_model("none")
    assert model.choices("银行") == [None, None]
    assert model.identity == "none"
    assert frontend.FrontEnd(polyphones=model).analyse(ONLY_THE_MODEL_DECIDES).tones[3] == 1
    assert frontend.analyse(ONLY_THE_MODEL_DECIDES).tones[3] == 4


def test_the_bundled_model_is_loaded_once_a_process(bundled: polyphones.PolyphoneModel) -> None:
    assert polyphones.open_model("bundled") is polyphones.open_model(None) is bundled


def test_identities_tell_models_apart(bundled: polyphones.PolyphoneModel) -> None:
    assert bundled.identity.startswith("g2pM:")
    assert polyphones.open_model("bundled").identity == bundled.identity


# --- g2pW

TABLE = "行\tㄒㄧㄥ2\n行\tㄏㄤ2\n乐\tㄌㄜ4\n乐\tㄩㄝ4\n人\tㄖㄣ2\n"
LABELS = sorted({line.split("\t")[1] for line in TABLE.splitlines()})
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "银", "行", "走", "音", "乐", "快", "人", "。"]
HINTS = {"银": "ㄏㄤ2", "走": "ㄒㄧㄥ2", "音": "ㄩㄝ4", "快": "ㄌㄜ4"}


def _folder(path: pathlib.Path) -> pathlib.Path:
    """g2pW's files around a graph that sums, over the tokens it is shown, how much each speaks for each label."""
    speaks_for = np.full((len(VOCABULARY), len(LABELS)), 0.01, np.float32)
    speaks_for[0] = 1e6  # a padding token that is not masked would drown everything
    for char, label in HINTS.items():
        speaks_for[VOCABULARY.index(char), LABELS.index(label)] = 1.0
    node = onnx_files.Node
    whole = {"input_ids": "int64", "token_type_ids": "int64", "attention_mask": "int64"}
    content = onnx_files.model(
        {
            **{name: (kind, ("questions", "tokens")) for name, kind in whole.items()},
            "phoneme_mask": ("float32", ("questions", "labels")),
            "char_ids": ("int64", ("questions",)),
            "position_ids": ("int64", ("questions",)),
        },
        ("probs", ("questions", "labels")),
        {"speaks_for": speaks_for, "last": np.array([2], np.int64), "tokens": np.array([1], np.int64)},
        [
            node("Gather", ("speaks_for", "input_ids"), "each"),
            node("Cast", ("attention_mask",), "shown", {"to": 1}),
            node("Unsqueeze", ("shown", "last"), "column"),
            node("Mul", ("each", "column"), "kept"),
            node("ReduceSum", ("kept", "tokens"), "summed", {"keepdims": 0}),
            node("Mul", ("summed", "phoneme_mask"), "allowed"),
            node("ReduceSum", ("allowed", "tokens"), "total"),
            node("Div", ("allowed", "total"), "probs"),
        ],
    )
    (path / "g2pw.onnx").write_bytes(content)
    (path / "POLYPHONIC_CHARS.txt").write_text(TABLE, "utf-8")
    (path / "vocab.txt").write_text("\n".join(VOCABULARY), "utf-8")
    (path / "config.py").write_text("import nothing\nwindow_size = 32\nuse_mask = True\n", "utf-8")
    return path


def test_a_model_of_ones_own_reads_characters_in_their_window(tmp_path: pathlib.Path) -> None:
    model = polyphones.open_model("path:/model", _folder(tmp_path))
    assert _said(model, "银行.") == {"行": "hang2"}
    assert _said(model, "行走.") == {"行": "xing2"}
    assert _said(model, "银行人.音乐.快乐.") == {"行": "hang2", "乐": "le4"}
    choices = model.choices("音乐" + "人" * 40 + "快乐")
    assert [choice.reading for choice in choices if choice] == [pinyin.Syllable("yue", 4), pinyin.Syllable("le", 4)]
    assert frontend.FrontEnd(polyphones=model).analyse("音我乐").phones[5:7] == ("y", "ve")
    assert frontend.analyse("音我乐").phones[5:7] == ("l", "e")


def test_other_files_are_another_model(tmp_path: pathlib.Path) -> None:
    folder = _folder(tmp_path)
    before = polyphones.open_model("path:/model", folder).identity
    assert polyphones.open_model("store:model", folder).identity == before
    (folder / "POLYPHONIC_CHARS.txt").write_text(TABLE.replace("人\tㄖㄣ2\n", ""), "utf-8")
    assert polyphones.open_model("path:/model", folder).identity != before


@pytest.mark.parametrize("name", ["g2pw.onnx", "POLYPHONIC_CHARS.txt", "vocab.txt"])
def test_a_folder_that_lacks_a_file_is_refused_by_name(tmp_path: pathlib.Path, name: str) -> None:
    (_folder(tmp_path) / name).unlink()
    with pytest.raises(ValueError, match=rf"has no {name}; expected g2pW's"):
        polyphones.open_model("path:/model", tmp_path)


def test_a_file_that_is_no_onnx_model_is_refused(tmp_path: pathlib.Path) -> None:
    (_folder(tmp_path) / "g2pw.onnx").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"g2pw\.onnx cannot be read as an ONNX model"):
        polyphones.open_model("path:/model", tmp_path)


def test_an_onnx_model_with_other_inputs_is_refused(tmp_path: pathlib.Path) -> None:
    content = onnx_files.model(
        {"x": ("float32", ("n",))}, ("y", ("n",)), {}, [onnx_files.Node("Identity", ("x",), "y")]
    )
    (_folder(tmp_path) / "g2pw.onnx").write_bytes(content)
    with pytest.raises(ValueError, match=r"takes \['x'\]; g2pW takes \['attention_mask'"):
        polyphones.open_model("path:/model", tmp_path)


@pytest.mark.parametrize(
    ("written", "spelling"),
    [
        ("ㄏㄤ2", "hang2"),
        ("ㄓ1", "zhi1"),
        ("ㄩㄝ4", "yue4"),
        ("ㄐㄩㄢ3", "juan3"),
        ("ㄌㄩ4", "lv4"),
        ("ㄨㄥ1", "weng1"),
        ("ㄉㄨㄥ1", "dong1"),
        ("ㄒㄩㄥ2", "xiong2"),
        ("ㄧㄡ3", "you3"),
        ("ㄌㄧㄡ4", "liu4"),
        ("ㄦ2", "er2"),
        ("ㄙ5", "si5"),
    ],
)
def test_bopomofo_is_pinyin(written: str, spelling: str) -> None:
    assert bopomofo.syllable(written) == pinyin.syllable(spelling)
