"""How a Linen module works: binding, scopes, methods, and the calls from outside."""
