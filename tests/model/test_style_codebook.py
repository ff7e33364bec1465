"""The style codebook follows the batch in training, keeps still when speaking, and lets no code die."""

import torch
from kelong_speech import draws, style


def quantiser():
    torch.manual_seed(0)
    return style.VectorQuantiser(channels=16, heads=4, code_channels=8, codes=6)


def of_step(step, items):
    return draws.Draws(0, step, [f"clip {item}" for item in range(items)])


def test_speaking_changes_no_code():
    vq = quantiser().eval()
    before = {name: value.clone() for name, value in vq.state_dict().items()}
    vq(torch.randn(5, 1, 16))
    assert all(torch.equal(before[name], value) for name, value in vq.state_dict().items())


def test_each_part_becomes_the_nearest_code_of_its_head():
    vq = quantiser().eval()
    x = torch.randn(3, 1, 16)
    found = vq(x)
    parts = vq.project_in(x).view(3, 4, 8)
    for item in range(3):
        for head in range(4):
            distances = (vq._codebook.embed[head] - parts[item, head]).norm(dim=1)
            assert found.indices[item, 0, head] == distances.argmin()


def test_training_pulls_codes_towards_the_batch_and_revives_dead_ones():
    vq = quantiser().train()
    x = torch.randn(64, 1, 16)
    with torch.no_grad():
        target = vq.project_in(x).view(64, 4, 8)
    for step in range(60):
        vq(x, of_step(step, 64))
    nearest = torch.cdist(target.transpose(0, 1), vq._codebook.embed).min(dim=2).values
    assert float(nearest.mean()) < float(target.norm(dim=2).mean())
    assert bool((vq._codebook.cluster_size >= style.DEAD_BELOW).all())


def test_the_gradient_passes_the_choice_and_the_commitment_counts():
    vq = quantiser().train()
    x = torch.randn(8, 1, 16, requires_grad=True)
    found = vq(x, of_step(1, 8))
    assert float(found.commitment.detach().min()) > 0
    (found.vectors.sum() + found.commitment.sum()).backward()
    assert float(x.grad.abs().sum()) > 0
