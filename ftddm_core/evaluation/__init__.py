"""Evaluation of results, compared with simpler methods on the same cases."""
