"""Whatever a file does to the process that decodes it, the run goes on, and says which file it was."""

import os
import pathlib
import signal
import threading
import time

import numpy as np
import pytest
import soundfile
from kelong_contract import names, orders, store
from kelong_trainer.context import Stopped
from kelong_trainer.corpus.sound import channels, contained, decoding, media
from kelong_trainer.corpus.sources import recordings
from kelong_trainer.stages import ingest

PREFIX = "recordings/lab/khazix/"
RATE_HZ = 16_000


def noise(seconds, channels_=1):
    shape = (round(seconds * RATE_HZ), channels_)
    return (0.1 * np.random.default_rng(1).standard_normal(shape)).astype(np.float32)


@pytest.fixture(scope="module")
def shared():
    """A decoder for tests that leave it in order."""
    decoder = contained.Decoder()
    yield decoder
    decoder.close()


@pytest.fixture
def decoder():
    """A decoder that may be ill-treated; it waits for two seconds only."""
    decoder = contained.Decoder(most_wait_s=2.0)
    yield decoder
    decoder.close()


def soon(decoder, path):
    """Begins with a file, and gives what follows: the process is there, and in the middle of it."""
    blocks = decoder.read(path).blocks()
    next(blocks)
    return blocks


@pytest.mark.parametrize(("suffix", "channels_"), [("wav", 1), ("flac", 2), ("ogg", 2)])
def test_another_process_gives_the_very_same_sound(tmp_path, shared, suffix, channels_):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, noise(9.0, channels_), RATE_HZ)
    here, there = media.Reader(path), shared.read(path)
    for own, other in zip(here.blocks(), there.blocks(), strict=True):
        assert own.rate_hz == other.rate_hz
        np.testing.assert_array_equal(own.samples, other.samples)
    assert (here.codec, here.places, here.damaged) == (there.codec, there.places, there.damaged)
    assert decoding.decode(path, tmp_path / "1.flac") == decoding.decode(
        path, tmp_path / "2.flac", lambda: None, shared.read
    )
    assert (tmp_path / "1.flac").read_bytes() == (tmp_path / "2.flac").read_bytes()


def test_a_file_that_is_left_early_leaves_the_process_in_order(tmp_path, shared):
    soundfile.write(tmp_path / "a.wav", noise(60.0), RATE_HZ)
    soundfile.write(tmp_path / "b.wav", noise(3.0), 8000)
    assert channels.guess(shared.read(tmp_path / "a.wav")).of == 1  # reads a block of it
    pid = shared.pid
    reader = shared.read(tmp_path / "a.wav")
    left = [next(reader.blocks()).rate_hz for _ in range(3)]
    [block, *_] = shared.read(tmp_path / "b.wav").blocks()
    assert (left, block.rate_hz, shared.pid) == ([RATE_HZ] * 3, 8000, pid)


def test_what_cannot_be_read_is_refused_in_the_same_words(tmp_path, shared):
    (tmp_path / "a.mp3").write_bytes(np.random.default_rng(1).bytes(50_000))
    said = []
    for read in (media.Reader, shared.read):
        with pytest.raises(media.Undecodable) as error:
            decoding.decode(tmp_path / "a.mp3", tmp_path / "out.flac", lambda: None, read)
        said.append(str(error.value))
    assert said[0] == said[1]
    with pytest.raises(FileNotFoundError):
        decoding.decode(tmp_path / "gone.mp3", tmp_path / "out.flac", lambda: None, shared.read)


def test_the_process_is_told_no_secrets_and_has_a_limit_of_memory(tmp_path, monkeypatch, decoder):
    monkeypatch.setenv("KELONG_STORE_SECRET_KEY", "secret")
    soundfile.write(tmp_path / "a.wav", noise(30.0), RATE_HZ)
    blocks = soon(decoder, tmp_path / "a.wav")
    status = pathlib.Path(f"/proc/{decoder.pid}")
    assert b"secret" not in (status / "environ").read_bytes()
    [limit] = [line for line in (status / "limits").read_text().splitlines() if line.startswith("Max address space")]
    assert limit.split()[3] == str(4 << 30)
    blocks.close()


@pytest.mark.parametrize(("number", "lasts"), [(signal.SIGSEGV, True), (signal.SIGABRT, True), (signal.SIGKILL, False)])
def test_a_decoder_that_dies_in_the_middle_is_named_with_its_signal_and_replaced(tmp_path, decoder, number, lasts):
    soundfile.write(tmp_path / "a.wav", noise(120.0), RATE_HZ)
    blocks = soon(decoder, tmp_path / "a.wav")
    os.kill(decoder.pid, number)
    with pytest.raises(contained.Crashed, match=number.name) as error:
        list(blocks)
    assert error.value.is_lasting == lasts
    assert sum(block.samples.shape[1] for block in decoder.read(tmp_path / "a.wav").blocks()) == 120 * RATE_HZ


def test_a_decoder_that_hangs_is_ended(tmp_path, decoder):
    soundfile.write(tmp_path / "a.wav", noise(120.0), RATE_HZ)
    blocks = soon(decoder, tmp_path / "a.wav")
    pid = decoder.pid
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(contained.Crashed, match="gave nothing for 2 s"):
        list(blocks)
    assert not pathlib.Path(f"/proc/{pid}").exists()


def test_who_waits_for_a_decoder_can_be_stopped(tmp_path, decoder):
    soundfile.write(tmp_path / "a.wav", noise(120.0), RATE_HZ)
    decoder.most_wait_s = 600.0
    is_stopped = threading.Event()

    def check():
        if is_stopped.is_set():
            raise Stopped("asked to stop")

    blocks = decoder.read(tmp_path / "a.wav", check).blocks()
    next(blocks)
    os.kill(decoder.pid, signal.SIGSTOP)
    is_stopped.set()
    began_s = time.monotonic()
    with pytest.raises(Stopped):
        list(blocks)
    assert time.monotonic() - began_s < 30


def test_nobody_is_left_when_the_source_is_gone(tmp_path, order_of, trainer):
    soundfile.write(tmp_path / "a.wav", noise(3.0), RATE_HZ)
    before = set(children())
    source = recordings.Source(trainer(store.FolderStore(tmp_path / "store"), order_of()))
    source.decode(tmp_path / "a.wav", "0" * 64)
    [pid] = set(children()) - before
    del source
    assert pid not in children()


def children():
    """The processes that decode for us."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            command = (process / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        if parent == os.getpid() and contained.decoder.__name__.encode() in command:
            found.append(int(process.name))
    return found


class Assassin(threading.Thread):
    """Kills whoever decodes for us a file of this name, as a broken decoder would kill itself."""

    def __init__(self, name):
        super().__init__(daemon=True)
        self.name_of_file, self.killed, self.done = name, [], threading.Event()

    def run(self):
        while not self.done.is_set():
            for pid in children():
                if pid not in self.killed and self.has_open(pid):
                    os.kill(pid, signal.SIGSEGV)
                    self.killed.append(pid)

    def has_open(self, pid):
        try:
            return any(
                os.readlink(file).endswith(self.name_of_file) for file in pathlib.Path(f"/proc/{pid}/fd").iterdir()
            )
        except (FileNotFoundError, ProcessLookupError):
            return False


def test_a_recording_that_crashes_its_decoder_is_rejected_by_name_and_the_others_are_used(
    tmp_path, monkeypatch, order_of, trainer
):
    volume = tmp_path / "volume"
    volume.mkdir()
    monkeypatch.setattr(names, "DATASET_MOUNT", str(volume))
    for name, seconds in (("a.wav", 3.0), ("c.wav", 4.0)):
        soundfile.write(volume / name, noise(seconds), RATE_HZ)
    with soundfile.SoundFile(volume / "b-poison.flac", "w", RATE_HZ, 1) as file:
        for _ in range(240):  # four hours: whatever else this machine does, the decoder is met in the middle of it
            file.write(np.zeros(60 * RATE_HZ, np.float32))
    order = order_of(dataset=orders.Dataset(type="PersistentVolumeClaim", prefix=""))
    context = trainer(store.FolderStore(tmp_path / "store"), order)
    assassin = Assassin("b-poison.flac")
    assassin.start()
    try:
        corpus = ingest.run(context, recordings.Source(context).listing(), {"Khazix": 0})
    finally:
        assassin.done.set()
        assassin.join()
    assert len(assassin.killed) >= 2  # a second decoder tried; one that dies as it is told to leave off is not counted
    [rejection] = corpus.rejections
    assert (rejection.recording, rejection.reason) == ("b-poison.flac", "Undecodable")
    assert rejection.message == "b-poison.flac: the decoder crashed on it (SIGSEGV)"
    assert [round(item.duration_s, 2) for item in corpus.recordings] == [3.0, 0.0, 4.0]
