"""Object graphs taken apart into structure and state, and put together again."""
