"""Trains a voice from scratch on the stand-in speaker's recordings, through the whole pipeline, as a pod would.

`python benchmarks/learning/prove.py --out FOLDER --steps N` starts it and, run again, goes on from the last checkpoint.
Recordings, labels, store and checkpoints all lie below FOLDER; `evaluate.py` scores the checkpoints there.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from kelong_contract import codec, layout, names, orders
from kelong_contract import store as stores
from kelong_demo import assets, processes, recordings, speaker, whisper

HERE = Path(__file__).resolve().parent
READING = HERE / "reading.txt"
NAMESPACE, VOICE, SPEAKER = "proof", "standin", "Standin"
# Sentences of a few seconds: what the voice is later asked to say, and short enough for many steps an hour.
SLICING = orders.Slicing(aim_min_s=4.0, aim_max_s=8.0, min_s=2.0, max_s=15.0)


def make_recordings(out: Path, minutes: float) -> Path:
    """The stand-in's recordings of the demo's sentences and of those in reading.txt."""
    texts = (*recordings.sentences(), *READING.read_text(encoding="utf-8").split())
    settings = recordings.Settings(minutes=minutes, texts=texts)
    folder = out / "recordings"
    recordings.make(folder, out / "recordings-truth.json", settings, speaker.Speaker.load(assets.cache_folder()))
    return folder


def order(out: Path, given: argparse.Namespace) -> orders.TrainingOrder:
    """What the trainer is asked to do."""
    recogniser = f"path:{whisper.assemble(out / 'whisper-base')}"
    return orders.TrainingOrder(
        voice=orders.VoiceName(namespace=NAMESPACE, name=VOICE, uid=given.uid),
        speakers=(orders.Speaker(name=SPEAKER),),
        dataset=orders.Dataset(type="S3", prefix=layout.recordings(NAMESPACE, VOICE)),
        model=orders.Model(preset=given.preset, sources=orders.Sources(recogniser=recogniser)),
        slicing=SLICING,
        training=orders.Training(
            max_steps=given.steps,
            interval_steps=given.interval,
            learning_rate=given.rate,
            batch_frames=given.batch_frames,
            ema_decay=given.ema_decay,
        ),
        device=orders.Device(ranks=given.ranks),
    )


def main() -> int:
    """The command line."""
    given = _arguments()
    out = given.out.resolve()
    store = stores.FolderStore(out / "store")
    for path in sorted(make_recordings(out, given.minutes).iterdir()):
        store.put_file(layout.recordings(NAMESPACE, VOICE) + path.name, path)
    order_file = out / f"order-{given.uid}.json"
    order_file.write_bytes(codec.dumps(order(out, given)))
    environment = {
        **os.environ,
        names.ENV_STORE_URL: (out / "store").as_uri(),
        names.ENV_WORK_DIR: str(out / f"work-{given.uid}"),
        names.ENV_METRICS_PORT: "0",
        names.ENV_THREADS: str(given.threads),
    }
    began = time.monotonic()
    with processes.running("kelong_trainer", ["--order", str(order_file)], environment) as trainer:
        try:
            code = trainer.wait(timeout=given.hours * 3600 if given.hours else None)
        except subprocess.TimeoutExpired:
            trainer.terminate()
            code = trainer.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = {"code": code, "wall_s": round(time.monotonic() - began), "cpu_s": round(used.ru_utime + used.ru_stime)}
    with (out / f"runs-{given.uid}.jsonl").open("a", encoding="utf-8") as runs:
        runs.write(json.dumps(run) + "\n")
    print(run)
    return code


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--uid", default="proof", help="another one is another voice in the same store")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--minutes", type=float, default=25.0, help="length of the recordings")
    parser.add_argument("--hours", type=float, help="stop after so long; everything is saved, run again to go on")
    parser.add_argument("--steps", type=int, default=24_000)
    parser.add_argument("--interval", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--batch-frames", type=int, default=1600)
    parser.add_argument("--ema-decay", type=float, default=0.999)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ranks", type=int, help="processes that train together; they share the threads")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
