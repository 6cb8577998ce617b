"""JAX's transformations for functions of objects, over the one engine in ``lift``."""
