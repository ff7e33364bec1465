"""The Chinese front end: written text to phonemes, tones and the characters they came from."""
