"""Images in world coordinates, their k-space, and their files."""
