"""A process for test_ranks: trains voices of several kinds a few steps as one of several ranks, and says what it found.

python one_rank.py RANK SIZE PORT FOLDER
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
import threading
from typing import Any

import conftest
import torch
from kelong_trainer import launch
from kelong_trainer.training import batches, loop, meeting, state, step, wavlm
from kelong_trainer.training.ranks import Part, Ranks

# Clips by name, phonemes and frames. The second batch is too small for two ranks.
BATCHES = ([("a", 7, 24), ("bb", 11, 36), ("ccc", 9, 30)], [("d", 8, 40)], [("e", 5, 20), ("ff", 6, 31)])
# What is trained, and how. Which clips lose their features is drawn by clip, so it may be chance here.
LEFT_OUT = {"text_feature_dropout": 0.5, "style_dropout": 0.5}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "fixed": ("tiny", {**LEFT_OUT, "duration_discriminator": "On"}),
    "as-original": ("tiny", {"profile": "as-original", "style_dropout": 0.5}),
    "small": ("small", {**LEFT_OUT, "duration_discriminator": "On"}),
}


def main(rank: int, size: int, port: int, folder: pathlib.Path) -> None:
    """Write what each kind of voice found into FOLDER."""
    loop.deterministic(torch.device("cpu"))
    torch.set_num_threads(1)
    heard_with = conftest.make_wavlm(folder / f"wavlm-{rank}-{size}")
    seat = launch.Seat(rank=rank, size=size, local_size=size, port=port)
    ranks = _met(seat)
    found = {kind: _trained(kind, heard_with, seat, ranks) for kind in KINDS}
    (folder / f"found-{rank}-{size}.json").write_text(json.dumps(found))
    ranks.any(False)  # nobody leaves while another still computes


def _trained(kind: str, heard_with: pathlib.Path, seat: launch.Seat, ranks: Ranks) -> dict[str, Any]:
    """Losses and gradient norms of each step, the codebooks, and a sum of each tensor."""
    preset, options = KINDS[kind]
    workshop = conftest.Workshop(preset=preset)
    ears = wavlm.Ears.load(heard_with, workshop.config().audio.sample_rate_hz, torch.device("cpu"))
    at = workshop.state(wavlm_channels=ears.channels, **options)
    for part in (at.duration_discriminator, at.generator.sdp):
        if part is not None:
            part.eval()  # its dropout, whose share is fixed, is drawn by the rank
    settings = dataclasses.replace(workshop.settings(ears=ears, **options), judges_from=1)
    results = [step.run(at, _part(workshop, batch, seat), 2e-4, settings, ranks) for batch in BATCHES]
    return _found(at, results)


def _met(seat: launch.Seat) -> Ranks:
    told = meeting.Told(attempt=1, corpus_digest="", step=0, precision="FP32")
    stopping, device = threading.Event(), torch.device("cpu")
    if seat.leads:
        return meeting.lead(seat, told, device, stopping)
    guest = meeting.wait_for_leader(seat, stopping, lambda: False)
    assert guest is not None and guest.told == told
    return guest.come_in(device, stopping)


def _part(workshop: conftest.Workshop, clips: list[tuple[str, int, int]], seat: launch.Seat) -> batches.Batch:
    positions = batches.divide([frames for _, _, frames in clips], seat.size)[seat.rank]
    part = Part(
        positions=positions,
        items=len(clips),
        frames=sum(frames for _, _, frames in clips),
        phones=sum(phones for _, phones, _ in clips),
    )
    own = [clips[place] for place in positions] or [min(clips, key=lambda clip: clip[2])]
    return batches.collate([workshop.example(*clip) for clip in own], workshop.config().audio.hop_samples, part)


def _found(at: state.TrainingState, results: list[step.StepResult]) -> dict[str, Any]:
    tensors = {
        f"{name}.{key}": tensor for name, network in at.networks.items() for key, tensor in network.state_dict().items()
    }
    return {
        "losses": [result.losses for result in results],
        "gradient_norms": [result.gradient_norms for result in results],
        "codes": at.generator.enc_p.emo_vq._codebook.embed_avg.flatten()[:64].tolist(),
        "sums": {name: tensor.double().sum().item() for name, tensor in tensors.items()},
    }


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), pathlib.Path(sys.argv[4]))
