"""How state crosses a JAX transformation; both façades build their transformations on it."""
