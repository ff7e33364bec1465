"""Measures how well recordings become a corpus: `python benchmarks/preparing.py`, or `--only PART` of it.

The recordings are made on the spot with exactly known words, pauses and breaths (`benchmarks/corpus`).
"""

from corpus import measure

if __name__ == "__main__":
    measure.main()
