"""What training loops need besides a model: optimizers, averages of parameters, metrics."""
