"""BIDS derivatives of MRSI, as MRSIPrep writes them.

An examination is a folder `sub-01/ses-V1` with folders `mrsi`, `anat` and `confounds`, or the
`mrsi` folder alone. A map is `sub-01_ses-V1_space-orig_met-NAANAAG_desc-signal_mrsi`, in older
versions `..._acq-conc_desc-NAANAAG_mrsi`. Maps of the scan's own space go before resampled ones,
raw ones before filtered or corrected ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ftddm_core.imaging.io.layouts.layout import Found, Layout, Reading, Rule, entity
from ftddm_core.imaging.io.layouts.plain import DERIVED_MRI_RULES, MASK_RULES, NO_AMOUNT
from ftddm_core.imaging.io.roles import Role

_MET = r"(?:.*_)?met-(?P<name>[^_]+)"
OTHER_SPACE = 10
"""Rank that is added to what was resampled to a space other than the scan's."""

RULES = (
    Rule(
        r"(?:.*_)?met-(?:water|h2o|wref|waterref)_.*",
        Role.NUISANCE,
        "sub-01_met-water_desc-signal_mrsi",
    ),
    Rule(rf"{_MET}_(?:.*_)?desc-ftddm.*", Role.DERIVED, "sub-01_met-NAANAAG_desc-ftddm_mrsi"),
    Rule(rf"{_MET}_.*spike.*mask.*", Role.SPIKES, "sub-01_met-NAANAAG_desc-spikemask_mask"),
    Rule(
        rf"{_MET}_.*(?:qc|q|qual|quality)mask.*",
        Role.QUALITY_MASK,
        "sub-01_met-NAANAAG_desc-qcmask_mask",
    ),
    Rule(rf"{_MET}_.*mask.*", Role.MASK, "sub-01_met-NAANAAG_mask"),
    Rule(rf"{_MET}_.*(?:crlb|stat-sd).*", Role.CRLB, "sub-01_met-NAANAAG_desc-crlb_mrsi"),
    Rule(rf"{_MET}_.*fail.*", Role.FAILED, "sub-01_met-NAANAAG_desc-failed_mrsi"),
    Rule(rf"{_MET}_(?:.*_)?desc-snr.*", Role.SNR, "sub-01_met-NAANAAG_desc-snr_mrsi"),
    Rule(
        rf"{_MET}_(?:.*_)?desc-(?:fwhm|linewidth).*", Role.FWHM, "sub-01_met-NAANAAG_desc-fwhm_mrsi"
    ),
    Rule(rf"{_MET}_(?:.*_)?desc-signal(?:_mrsi)?", Role.MAP, "sub-01_met-NAANAAG_desc-signal_mrsi"),
    Rule(rf"{_MET}_(?:.*_)?desc-ratio.*", Role.RATIO, "sub-01_met-NAANAAG_desc-ratio_mrsi"),
    Rule(
        rf"{_MET}_(?:.*_)?(?:desc|stat)-{NO_AMOUNT}(?:_.*)?",
        Role.UNKNOWN,
        "sub-01_met-NAANAAG_desc-zscore_mrsi",
    ),
    Rule(
        rf"{_MET}_(?:.*_)?desc-(?P<choice>signal_.*?|[^_]+)(?:_mrsi)?",
        Role.MAP,
        "sub-01_met-NAANAAG_desc-signal_filtbiharmonic_mrsi",
        rank=2,
    ),
    Rule(r"(?=.*crlb)(?:.*_)?met-(?P<name>[^_]+)(?:_.*)?", Role.CRLB, "crlb_met-NAANAAG"),
    Rule(rf"{_MET}(?:_.*)?", Role.MAP, "sub-01_met-NAANAAG_mrsi", rank=1),
    Rule(
        r"(?:.*_)?acq-conc_desc-(?P<name>[^_]+)_mrsi",
        Role.MAP,
        "sub-01_acq-conc_desc-NAANAAG_mrsi",
    ),
    Rule(
        r"(?:.*_)?acq-crlb_desc-(?P<name>[^_]+)_mrsi",
        Role.CRLB,
        "sub-01_acq-crlb_desc-NAANAAG_mrsi",
    ),
    Rule(r"(?:.*_)?desc-spikemask_.*", Role.SPIKES, "sub-01_desc-spikemask_mask"),
    Rule(
        r"(?:.*_)?desc-(?:qc|q|qual|quality)mask_.*",
        Role.QUALITY_MASK,
        "sub-01_desc-qcmask_mask",
    ),
    Rule(r"(?:.*_)?desc-brainmask_.*", Role.MASK, "sub-01_desc-brainmask_mask", rank=2),
    Rule(r"(?:.*_)?desc-snr_mrsi", Role.SNR, "sub-01_desc-snr_mrsi"),
    Rule(r"(?:.*_)?desc-(?:fwhm|linewidth)_mrsi", Role.FWHM, "sub-01_desc-fwhm_mrsi"),
    Rule(r"(?:.*_)?label-.*|.*_(?:probseg|dseg)", Role.SEGMENTATION, "sub-01_label-GM_probseg"),
    *DERIVED_MRI_RULES,
    Rule(r"(?:.*_)?ce-.*", Role.OTHER_MRI, "sub-01_ce-gadolinium_T1w"),
    Rule(r"(?:.*_)?desc-preproc_T1w", Role.T1, "sub-01_desc-preproc_T1w"),
    Rule(r"(?:.*_)?desc-(?P<choice>[^_]+)_T1w", Role.T1, "sub-01_desc-brain_T1w", rank=2),
    Rule(r"(?:.*_)?T1w", Role.T1, "sub-01_T1w", rank=1),
    Rule(r"(?:.*_)?desc-preproc_FLAIR", Role.FLAIR, "sub-01_desc-preproc_FLAIR"),
    Rule(r"(?:.*_)?desc-(?P<choice>[^_]+)_FLAIR", Role.FLAIR, "sub-01_desc-brain_FLAIR", rank=2),
    Rule(r"(?:.*_)?FLAIR", Role.FLAIR, "sub-01_FLAIR", rank=1),
    *MASK_RULES,
)


def _claims(files: Sequence[Found]) -> bool:
    entity = re.compile(r"(?:^|_)(?:met-|acq-(?:conc|crlb)_desc-|desc-\w+_mrsi$)", re.IGNORECASE)
    # Results of this program beside plain names do not make a folder one of BIDS.
    stems = [file.stem for file in files]
    others = [stem for stem in stems if "desc-ftddm" not in stem]
    return any(map(entity.search, others or stems))


def _rank(file: Found, reading: Reading) -> int:
    elsewhere = entity(file.stem, "space").casefold() not in ("", "orig", "mrsi", "native")
    return reading.rank + OTHER_SPACE * elsewhere


BIDS = Layout(
    "BIDS derivatives (MRSIPrep)",
    "Names of entities, `sub-01_ses-V1_met-NAANAAG_desc-signal_mrsi`; folders `mrsi` and `anat`.",
    _claims,
    RULES,
    _rank,
    own_maps=True,
)
