"""Kelong on one laptop: stand-in recordings and recogniser, and the whole road from recordings to speech."""
