"""Results and studies as files, with their records."""
