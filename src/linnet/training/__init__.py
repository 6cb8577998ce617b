"""Training: the state of a training run, and data spread over devices."""
