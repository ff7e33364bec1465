"""Clips: where they are cut, what they are worth, what a person overruled, and their marks and features."""
