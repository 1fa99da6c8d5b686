"""Make a folder that is ready to be pushed to a hosted Space.

python deploy/make_space.py out/space
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "ftddm_core",
    "ftddm_viewer",
    "assets/case",
    "assets/volunteer",
    "assets/weights",
    "LICENSE",
)


def make_space(out: Path) -> None:
    """Copy the app file, its requirements and the page's code, weights and case into a folder.

    Raises
    ------
    FileExistsError
        If there is something in the folder: a file from before would be part of the Space.
    """
    if out.exists() and any(path.name != ".git" for path in out.iterdir()):
        raise FileExistsError(f"{out} is not empty: name a new folder, or an empty checkout.")
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "deploy" / "space", out, ignore=skipped, dirs_exist_ok=True)
    for name in PACKAGES:
        source, target = ROOT / name, out / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=skipped)
        else:
            shutil.copy(source, target)


def main() -> None:
    """Make the folder that is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder to make")
    out = parser.parse_args().out
    try:
        make_space(out)
    except OSError as error:
        parser.exit(2, f"{error}\n")
    print(f"{out} is ready to be pushed.")


if __name__ == "__main__":
    main()
