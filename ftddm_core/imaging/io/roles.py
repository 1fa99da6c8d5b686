"""What a file of an examination is."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """Role of a file; a name and what the program does with it."""

    MAP = "metabolite map"
    DERIVED = "result of this program"
    """Computed from a map: read only if it is listed and its metabolite has no map."""
    RATIO = "ratio"
    CRLB = "CRLB"
    """Cramér-Rao lower bound, or standard deviation of the fit, of one metabolite."""
    MASK = "mask"
    """Trusted voxels: of one metabolite if its name is that of a map, else of the study."""
    QUALITY_MASK = "quality mask"
    """A mask by the quality of the fit: preferred to other masks."""
    SPIKES = "mask of spikes"
    """Voxels that are not to be trusted."""
    FAILED = "failed fits"
    """Voxels whose fit failed: not to be trusted."""
    T1 = "T1"
    FLAIR = "FLAIR"
    SNR = "signal-to-noise ratio"
    FWHM = "line width"
    NUISANCE = "nuisance map"
    """Phase, frequency, B0, water: part of the fit, no metabolite."""
    SEGMENTATION = "segmentation"
    OTHER_MRI = "other MRI"
    SPECTRA = "spectra"
    UNKNOWN = "not recognised"


CHOOSABLE = (
    *(Role.MAP, Role.CRLB, Role.MASK, Role.QUALITY_MASK, Role.SPIKES, Role.FAILED),
    *(Role.T1, Role.FLAIR, Role.SNR, Role.FWHM),
)
"""Roles that a user may give to a file."""

OF_ONE_METABOLITE = (Role.MAP, Role.CRLB)
"""Roles that need the name of a metabolite."""

MASKS = (Role.MASK, Role.QUALITY_MASK)
"""Roles of which one file each says which voxels are trusted."""
