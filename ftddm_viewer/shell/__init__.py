"""What a program started from a shell owes it: its streams, its paths, and an end when asked."""
