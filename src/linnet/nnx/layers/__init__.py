"""The layers that NNX comes with, one file for each family."""
