"""What everything else stands on: types, configuration, errors, the doorway to JAX internals."""
