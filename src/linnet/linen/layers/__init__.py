"""The layers of Linen, one file for each family."""
