"""Recordings in, checkpoints out: one program that prepares a corpus, trains a voice on it and publishes each step."""
