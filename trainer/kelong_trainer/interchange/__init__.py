"""The original's files and model sources, to and from ours: import, export, mirror."""
