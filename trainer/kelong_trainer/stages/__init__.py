"""The stages of preprocessing, in the order ingest, transcribe, slice, phonemes, features: each takes a Corpus and returns one."""
