"""Requests in, audio out: the speech server, its page, and the batch door behind SynthesisJob."""
