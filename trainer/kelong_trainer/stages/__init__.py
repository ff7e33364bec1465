"""The stages of preprocessing: ingest, transcribe, slice, phonemes, features. Each takes a Corpus and returns one."""
