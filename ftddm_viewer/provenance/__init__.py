"""Where a result came from: its sidecar is read, its inputs are found, and it is made again."""
