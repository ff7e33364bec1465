"""Model sources are kept in the store once, as safetensors, and load from there as from where they came."""

import json

import pytest
import safetensors.torch
import torch
import transformers
from kelong_contract import names
from kelong_speech import features, sources


@pytest.fixture
def small_bert(tmp_path):
    """A text encoder in the form of long ago, with weights that only a pickle holds."""
    torch.manual_seed(0)
    folder = tmp_path / "bert"
    shape = transformers.BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=3, num_attention_heads=2, intermediate_size=16
    )
    model = transformers.BertModel(shape, add_pooling_layer=False)
    shape.architectures = ["BertModel"]
    shape.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"你好世界今天气很"]))
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder


def test_a_mirror_loads_as_its_source_does(here, run, small_bert, tmp_path, capsys):
    (small_bert / "training_args.bin").write_bytes(b"\x80\x02.")
    assert run("mirror", f"path:{small_bert}", "--to", "store:encoders/bert") == names.EXIT_DONE
    out = capsys.readouterr().out
    assert f"path:{small_bert} is store:encoders/bert: 3 files" in out
    assert "left out, because pickles can run programs: training_args.bin" in out

    kept = [item.key.removeprefix("models/encoders/bert/") for item in here.list("models/")]
    assert kept == ["config.json", "mirrored.json", "model.safetensors", "vocab.txt"]
    told = json.loads(here.get("models/encoders/bert/mirrored.json"))
    assert told["source"] == f"path:{small_bert}" and sorted(told["files"]) == sorted(set(kept) - {"mirrored.json"})

    folder = sources.resolve("store:encoders/bert", "default", here, tmp_path / "cache")
    before = features.TextEncoder.load(small_bert).encode("你好", [1, 2, 2, 1])
    assert torch.equal(features.TextEncoder.load(folder).encode("你好", [1, 2, 2, 1]), before)


def test_weights_in_several_files_keep_their_index(here, run, tmp_path):
    folder = tmp_path / "large"
    folder.mkdir()
    shards = {"pytorch_model-00001-of-00002.bin": "a", "pytorch_model-00002-of-00002.bin": "b"}
    shared = torch.arange(4.0)
    for file, name in shards.items():
        torch.save({name: shared, f"{name}.tied": shared}, folder / file)
    index = {"metadata": {}, "weight_map": {name: file for file, name in shards.items()}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))

    assert run("mirror", f"path:{folder}", "--to", "store:large") == names.EXIT_DONE

    kept = json.loads(here.get("models/large/model.safetensors.index.json"))["weight_map"]
    assert kept == {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    for name, file in kept.items():
        tensors = safetensors.torch.load(here.get(f"models/large/{file}"))
        assert torch.equal(tensors[name], shared) and torch.equal(tensors[f"{name}.tied"], shared)


def test_safetensors_are_kept_as_they_are_and_their_pickled_twin_is_left_out(here, run, tmp_path, capsys):
    folder = tmp_path / "both"
    folder.mkdir()
    safetensors.torch.save_file({"a": torch.ones(2)}, folder / "model.safetensors")
    torch.save({"a": torch.zeros(2)}, folder / "pytorch_model.bin")
    assert run("mirror", f"path:{folder}", "--to", "store:both") == names.EXIT_DONE
    assert here.get("models/both/model.safetensors") == (folder / "model.safetensors").read_bytes()
    assert "pytorch_model.bin" in capsys.readouterr().out
    assert not here.exists("models/both/pytorch_model.bin")


def test_ctranslate2_weights_are_no_pickle(here, run, tmp_path):
    folder = tmp_path / "whisper"
    folder.mkdir()
    (folder / "model.bin").write_bytes(b"\x06\0\0\0\x0bWhisperSpec")
    assert run("mirror", f"path:{folder}", "--to", "store:whisper") == names.EXIT_DONE
    assert here.exists("models/whisper/model.bin")


def test_what_is_there_stays_what_it_was(here, run, small_bert, capsys):
    here.put("models/bert/vocab.txt", b"")
    assert run("mirror", f"path:{small_bert}", "--to", "store:bert") == names.EXIT_BAD_DATA
    assert "something lies under models/bert/ already: use it as store:bert" in capsys.readouterr().err


def test_half_a_mirror_is_not_taken_for_the_whole_and_is_completed(here, run, small_bert, tmp_path, capsys):
    assert run("mirror", f"path:{small_bert}", "--to", "store:bert") == names.EXIT_DONE
    whole = {item.key: here.get(item.key) for item in here.list("models/")}
    for name in ("model.safetensors", "vocab.txt"):
        here.delete(f"models/bert/{name}")
    with pytest.raises(sources.ModelSourceUnavailable, match=r"it is not whole: model\.safetensors, vocab\.txt is not"):
        sources.resolve("store:bert", "default", here, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())

    assert run("mirror", f"path:{tmp_path}", "--to", "store:bert") == names.EXIT_BAD_DATA
    assert "something lies under models/bert/ already" in capsys.readouterr().err
    assert run("mirror", f"path:{small_bert}", "--to", "store:bert") == names.EXIT_DONE
    assert {item.key: here.get(item.key) for item in here.list("models/")} == whole
    assert sources.resolve("store:bert", "default", here, tmp_path / "cache")


def test_a_mirror_that_was_changed_since_is_not_used(here, run, small_bert, tmp_path):
    assert run("mirror", f"path:{small_bert}", "--to", "store:bert") == names.EXIT_DONE
    here.put("models/bert/vocab.txt", b"[PAD]")
    with pytest.raises(sources.ModelSourceUnavailable, match=r"vocab\.txt is not there or is another"):
        sources.resolve("store:bert", "default", here, tmp_path / "cache")


def test_a_mirror_of_a_mirror_is_one(here, run, small_bert, tmp_path):
    assert run("mirror", f"path:{small_bert}", "--to", "store:bert") == names.EXIT_DONE
    assert run("mirror", "store:bert", "--to", "store:again") == names.EXIT_DONE
    assert sources.resolve("store:again", "default", here, tmp_path / "cache")


def test_a_program_in_the_weights_does_not_run(here, run, small_bert, capsys):
    torch.save({"a": print}, small_bert / "pytorch_model.bin")
    assert run("mirror", f"path:{small_bert}", "--to", "store:bert") == names.EXIT_BAD_DATA
    assert "pytorch_model.bin holds more than tensors" in capsys.readouterr().err
    assert not list(here.list("models/"))


def test_what_comes_with_the_packages_cannot_be_mirrored(here, run, capsys):
    assert run("mirror", "bundled", "--to", "store:a") == names.EXIT_BAD_DATA
    assert "the source 'bundled' has no files that could be kept" in capsys.readouterr().err


def test_a_source_that_is_not_there_is_named(here, run, tmp_path, capsys):
    assert run("mirror", f"path:{tmp_path / 'nowhere'}", "--to", "store:a") == names.EXIT_BAD_DATA
    assert "there is no folder" in capsys.readouterr().err
