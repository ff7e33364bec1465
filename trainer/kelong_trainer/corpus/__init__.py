"""What the stages of preprocessing work with: sources, sound, listening, words, clips, and the report on all of it."""
