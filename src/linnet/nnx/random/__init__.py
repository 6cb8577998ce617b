"""Streams of random keys in NNX, and what is done to all of a model's streams at once."""
