"""A process for test_ranks: trains a few steps as one of several ranks, and says what it found.

python one_rank.py RANK SIZE PORT FOLDER
"""

from __future__ import annotations

import json
import sys
import threading

import conftest
import torch
from kelong_trainer import launch
from kelong_trainer.training import batches, loop, meeting, step
from kelong_trainer.training.ranks import Part

# Clips by name, phonemes and frames. The second batch is too small for two ranks.
BATCHES = ([("a", 7, 24), ("bb", 11, 36), ("ccc", 9, 30)], [("d", 8, 40)], [("e", 5, 20), ("ff", 6, 31)])


def main(rank: int, size: int, port: int) -> None:
    """Print losses and gradient norms of each step, the codebooks, and a sum of each tensor."""
    loop.deterministic(torch.device("cpu"))
    torch.set_num_threads(1)
    workshop = conftest.Workshop()
    state, settings = workshop.state(), workshop.settings()
    seat = launch.Seat(rank=rank, size=size, local_size=size, port=port)
    told = meeting.Told(attempt=1, corpus_digest="", step=0, precision="FP32")
    stopping, device = threading.Event(), torch.device("cpu")
    if seat.leads:
        ranks = meeting.lead(seat, told, device, stopping)
    else:
        guest = meeting.wait_for_leader(seat, stopping, lambda: False)
        assert guest is not None and guest.told == told
        ranks = guest.come_in(device, stopping)
    results = [step.run(state, _part(workshop, batch, seat), 2e-4, settings, ranks) for batch in BATCHES]
    tensors = {name: tensor for network in state.networks.values() for name, tensor in network.state_dict().items()}
    found = {
        "losses": [result.losses for result in results],
        "gradient_norms": results[0].gradient_norms,
        "codes": state.generator.enc_p.emo_vq._codebook.embed_avg.flatten()[:64].tolist(),
        "sums": {name: tensor.double().sum().item() for name, tensor in tensors.items()},
    }
    print(json.dumps(found))
    ranks.any(False)  # nobody leaves while another still computes


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


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
