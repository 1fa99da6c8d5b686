"""`python -m ftddm_viewer`: the command `ftddm`, where its script is not on the path."""

import sys

from ftddm_viewer.cli import main

if __name__ == "__main__":
    sys.exit(main())
