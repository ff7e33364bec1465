"""From a corpus to checkpoints: data set, step, losses, judges, ranks, and what is saved."""
