"""Former name of `image_file`."""

from __future__ import annotations

from ftddm_core.imaging.io.image_file import is_image as is_nifti

__all__ = ["is_nifti"]
