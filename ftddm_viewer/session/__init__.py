"""The session that both front ends share, and all that it knows; no toolkit."""
