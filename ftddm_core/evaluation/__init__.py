"""How good a result is, beside simpler methods on the same cases."""
