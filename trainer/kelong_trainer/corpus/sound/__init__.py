"""A file's sound: decoded once, its channel chosen, measured."""
