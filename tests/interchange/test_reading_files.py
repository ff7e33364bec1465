"""Files of the original are read as tensors and numbers only; what else they hold is refused before it runs."""

import io
import os
import pickle
import tarfile
import zipfile

import pytest
import torch
from kelong_trainer.interchange import original_files

PLAIN = {"model": {"a": torch.ones(3)}, "iteration": 3, "optimizer": None, "learning_rate": 1e-4}


class Program:
    def __reduce__(self):
        return os.mkdir, ("the pickle has run",)


@pytest.fixture
def refused(tmp_path):
    def sentence(path):
        with pytest.raises(original_files.Unusable) as refusal:
            original_files.read(path)
        assert path.name in str(refusal.value)
        return str(refusal.value)

    return sentence


@pytest.mark.parametrize("form", [True, False], ids=["zip", "before 1.6"])
def test_what_was_saved_is_what_is_read(tmp_path, form):
    torch.save(PLAIN, tmp_path / "G_0.pth", _use_new_zipfile_serialization=form)
    found = original_files.read(tmp_path / "G_0.pth")
    assert torch.equal(found.model["a"], torch.ones(3))
    assert (found.iteration, found.learning_rate, found.optimiser) == (3, 1e-4, None)


def test_a_program_in_a_pickle_does_not_run(tmp_path, refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": {"a": Program()}}, tmp_path / "G_0.pth")
    with (tmp_path / "G_1.pth").open("wb") as file:
        pickle.dump({"model": {"a": Program()}}, file)
    assert "more than tensors and plain numbers (posix.mkdir)" in refused(tmp_path / "G_0.pth")
    assert "more than tensors and plain numbers" in refused(tmp_path / "G_1.pth")
    assert not (tmp_path / "the pickle has run").exists()


@pytest.mark.parametrize("kept", [0, 5, 300, -50])
def test_a_damaged_file_is_named(tmp_path, refused, kept):
    torch.save(PLAIN, tmp_path / "G_0.pth")
    data = (tmp_path / "G_0.pth").read_bytes()
    (tmp_path / "G_0.pth").write_bytes(data[:kept])
    assert "damaged" in refused(tmp_path / "G_0.pth")


def test_the_tar_form_of_long_ago_is_refused_with_what_to_do(tmp_path, refused):
    with tarfile.open(tmp_path / "G_0.pth", "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
    assert "tar form of PyTorch before 0.4" in refused(tmp_path / "G_0.pth")


def test_an_archive_that_would_grow_is_not_unpacked(tmp_path, refused):
    with zipfile.ZipFile(tmp_path / "G_0.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 10**6)
    assert "would grow" in refused(tmp_path / "G_0.pth")


def test_a_file_beyond_the_limit_is_refused_by_its_size(tmp_path, refused, monkeypatch):
    torch.save(PLAIN, tmp_path / "G_0.pth")
    monkeypatch.setattr(original_files, "MOST_BYTES", 100)
    assert "the most is" in refused(tmp_path / "G_0.pth")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"weight": torch.ones(1)}, "no dictionary 'model'"),
        ({"model": {"a": 1}}, "'model' must hold tensors by name, and holds a"),
        ({"model": {}}, "holds nothing"),
        ({**PLAIN, "iteration": "many"}, "'iteration' is 'many', expected a number"),
        ({**PLAIN, "optimizer": {"state": {}}}, "not the state of AdamW with one group"),
        ({**PLAIN, "optimizer": {"state": {}, "param_groups": [{"params": [1, 0]}]}}, "not numbered from 0"),
        (
            {
                **PLAIN,
                "optimizer": {"state": {0: {"momentum_buffer": torch.ones(1)}}, "param_groups": [{"params": [0]}]},
            },
            "keeps momentum_buffer of a parameter, expected step, exp_avg, exp_avg_sq",
        ),
        (
            {**PLAIN, "optimizer": {"state": {5: {}}, "param_groups": [{"params": [0]}]}},
            "state of parameter 5 is not understood",
        ),
    ],
)
def test_what_is_not_the_originals_dictionary_is_named(tmp_path, refused, content, said):
    torch.save(content, tmp_path / "G_0.pth")
    assert said in refused(tmp_path / "G_0.pth")


def test_steps_that_an_old_library_counted_in_plain_numbers_are_understood(tmp_path):
    entry = {"step": 7, "exp_avg": torch.ones(3), "exp_avg_sq": torch.ones(3)}
    torch.save({**PLAIN, "optimizer": {"state": {0: entry}, "param_groups": [{"params": [0]}]}}, tmp_path / "G_0.pth")
    assert original_files.read(tmp_path / "G_0.pth").optimiser.moments[0]["step"] == torch.tensor(7.0)


def test_the_newest_step_of_a_folder_is_taken_with_its_companions(tmp_path):
    for name in ("G_0", "D_0", "G_2000", "D_2000", "WD_2000", "D_10000", "notes", "G_1000_release_half"):
        (tmp_path / f"{name}.pth").touch()
    assert {key: path.name for key, path in original_files.find(tmp_path).paths.items()} == {
        "G": "G_2000.pth",
        "D": "D_2000.pth",
        "WD": "WD_2000.pth",
    }
    assert original_files.find(tmp_path, 1000).paths["G"].name == "G_1000_release_half.pth"
    with pytest.raises(original_files.Unusable, match=r"no G_7\.pth; it has the steps 0, 1000, 2000"):
        original_files.find(tmp_path, 7)


def test_a_folder_without_a_generator_says_what_was_looked_for(tmp_path):
    with pytest.raises(original_files.Unusable, match=r"has no G_<step>\.pth"):
        original_files.find(tmp_path)
    with pytest.raises(original_files.Unusable, match="cannot be read: No such file"):
        original_files.find(tmp_path / "nowhere")


def test_a_whole_file_is_taken_before_its_release_form(tmp_path):
    for name in ("G_0_release", "G_0", "G_0_release_half"):
        (tmp_path / f"{name}.pth").touch()
    assert original_files.find(tmp_path).paths["G"].name == "G_0.pth"
