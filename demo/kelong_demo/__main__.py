"""`make demo`: from recordings to a voice on one machine, through the front doors that a cluster's pods use.

Recordings are uploaded to a store in a folder, the trainer gets its order, a step is promoted, the server speaks.
With REVIEW=1 it ends at the report of the recordings.
"""

import contextlib
import io
import os
import signal
import sys
import time
from pathlib import Path

import soundfile
from kelong_contract import corpora, names, orders, store

from kelong_demo import assets, material, recordings, serving, settings, training

EXIT_INTERRUPTED = 130
CORRECTIONS = orders.Dataset.corrections  # where the trainer looks for it, and what the report calls it
REFUSALS = (
    assets.AssetsMissing,
    material.NoMaterial,
    recordings.RecordingsRefused,
    serving.ServingFailed,
    settings.BadSettings,
    store.StoreError,
    training.TrainingEnded,
)


def main(arguments: list[str]) -> int:
    """The command line; returns the exit code."""
    # All of them mean Ctrl-C here, so that no child outlives us; a shell's background job starts with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        asked = settings.read(
            arguments,
            os.environ,
            at_terminal=sys.stdin.isatty() and sys.stdout.isatty(),
            cache=assets.cache_folder(),
        )
        run(asked)
    except REFUSALS as refused:
        print(refused, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to go on from here.", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


def run(asked: settings.Settings) -> Path:
    """All of it, told as it goes; returns the WAV file, or the report for a review.

    What an earlier run finished is used again.
    """
    started = time.monotonic()
    asked.out.mkdir(parents=True, exist_ok=True)
    folder = store.FolderStore(asked.out / "store")
    environment = pod_environment(asked.out)

    tell(1, "Recordings and recogniser")
    prepared = material.gather(asked)
    for note in prepared.notes:
        print(note, flush=True)
    material.upload(prepared, folder)
    order = training.order(asked, prepared)
    material.lend(folder, order.voice.place())
    if asked.review:
        tell(2, "Cutting and judging the recordings, for you to look at")
        training.prepare(order, asked.out / "review-order.json", folder, environment)
        return tell_what_to_review(asked, prepared.folder, order, folder)

    tell(2, f"Training {asked.steps} steps from scratch (Ctrl-C saves; the same command goes on)")
    training.train(order, asked.out / "training-order.json", folder, environment)

    promoted = training.last_step(order, folder)
    tell(3, f"Promoting step {promoted.number} and starting the server")
    log_file = asked.out / "server.log"
    with serving.serving(serving.order(order, promoted), asked.port, environment, log_file) as server:
        wav_file = asked.out / f"step-{promoted.number}.wav"
        wav_file.write_bytes(server.speak(asked.text))
        tell_what_was_made(asked, order, folder, promoted, wav_file, started)
        if asked.keep:
            wait_at(server)
        else:
            print(f"With KEEP=1 the server stays, its page at {server.address}.", flush=True)
    return wav_file


def pod_environment(out: Path) -> dict[str, str]:
    """The environment the operator would give a pod, with a folder for a store."""
    return {
        **os.environ,
        names.ENV_STORE_URL: (out / "store").as_uri(),
        names.ENV_WORK_DIR: str(out / "work"),
        names.ENV_METRICS_PORT: "0",
    }


def tell(number: int, what: str) -> None:
    """A heading in the demo's own voice."""
    print(f"\n== {number} of 3: {what}", flush=True)


def tell_what_to_review(
    asked: settings.Settings, recordings_folder: Path, order: orders.TrainingOrder, folder: store.FolderStore
) -> Path:
    """Where the report is and what comes next; returns the report."""
    heard = training.report(order, folder)
    page = folder.path(heard.page)
    lines = (
        "",
        f"The recordings wait for a review: {seconds_of(heard)}.",
        *left_out(heard),
        *(f"  advice       {sentence}" for sentence in heard.advice),
        "",
        f"1. Open the report in a browser, listen, mend texts, keep or drop clips:  {page.as_uri()}",
        f"2. 'Download corrections' there, and put the file into the recordings:  {recordings_folder / CORRECTIONS}",
        f"3. Train with them:  {asked.command}",
        f"   or look at the report with them in it first:  {asked.command} REVIEW=1",
    )
    print("\n".join(lines), flush=True)
    return page


def seconds_of(heard: corpora.CorpusReport) -> str:
    """How much there is and what became of it."""
    return f"{heard.duration_s:.0f} s in {heard.recordings} files; {heard.kept_s:.0f} s became {heard.clips} clips"


def tell_what_was_made(
    asked: settings.Settings,
    order: orders.TrainingOrder,
    folder: store.FolderStore,
    promoted: training.Step,
    wav_file: Path,
    started: float,
) -> None:
    """What there is now, where, and how good it can be, in plain words."""
    sound = soundfile.info(io.BytesIO(wav_file.read_bytes()))
    heard = training.report(order, folder)
    lines = (
        "",
        f"A voice was trained and spoke, in {(time.monotonic() - started) / 60:.1f} minutes:",
        f"  recordings   {seconds_of(heard)}, labelled by Whisper",
        *left_out(heard),
        f"  report       {folder.path(heard.page).as_uri()}",
        f"  voice        step {promoted.number} of the 'tiny' preset, from scratch",
        f"  it said      {asked.text}",
        f"  into         {wav_file} ({sound.duration:.1f} s at {sound.samplerate} Hz)",
        f"  all else     {folder.root / order.voice.place().prefix} (clips, checkpoints, auditions of each)",
        "",
        "Do not expect to understand it: a voice this small babbles after so few steps.",
        f"The same command with STEPS={asked.steps * 10} goes on from here; RECORDINGS=folder takes your own voice.",
    )
    print("\n".join(lines), flush=True)


def left_out(heard: corpora.CorpusReport) -> list[str]:
    """The seconds that were not used, by reason, and the files that could not be used at all."""
    seconds = ", ".join(f"{dropped.duration_s:.0f} s {dropped.reason}" for dropped in heard.dropped)
    lines = [f"  left out     {seconds}"] if seconds else []
    for refused in heard.rejected_recordings:
        folder, _, name = refused.recording.rpartition("/")
        lines.append(f"    {name}: {refused.message.replace(f'{folder}/', '')}")
    return lines


def wait_at(server: serving.Server) -> None:
    """The server stays for the page and for requests until Ctrl-C, or until it ends itself."""
    print(f"\nThe page is at {server.address} - open it in a browser. Ctrl-C ends the server.", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.process.wait()
        raise serving.ServingFailed("The server ended by itself; see its log.")
    print("\nThe server is ending.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
