"""Plain names: one file a metabolite, `tNAA.nii.gz`, beside its CRLB, masks and MRI.

`RULES` is the whole convention. A name that matches none of them is a map if a known metabolite
stands in it, and else is not recognised.
"""

from __future__ import annotations

from collections.abc import Sequence

from ftddm_core.imaging.io.layouts.layout import Found, Layout, Reading, Rule
from ftddm_core.imaging.io.roles import Role
from ftddm_core.imaging.metabolites import metabolite_in, ratio_in

_REST = r"(?:[_-].*)?"
_LABELS = (
    r"(?:[^_.+-]*(?:seg|segmentations?)|segmented|labels?|labelmap|atlas|\w*parc|parcellations?)"
)
_UNIT = r"(?:[_-](?:maps?|percent|perc|pct|relative|rel|mrsi))*"
_CONTRAST = r"(?:contrast|postcontrast|post|ce|gd|gad|gado|gadolinium|enhanced)"
# Processing steps of an image. Not "corrected": tNAA_T1_corrected is a map.
_DONE = (
    r"(?:[_-](?:brain|head|bet|stripped|skullstripped|(?:co)?reg(?:istered)?|resampled|warped|"
    r"native|orig|mni|acpc|n4|norm|preproc|iso|defaced|denoised|crop(?:ped)?|masked|bc|biascorr|"
    r"mprage|[0-9.]+mm))*"
)
_TISSUE = r"(?:gm|wm|csf|grey|gray|white|c[1-6]t1w?)"

MASK_RULES = (
    Rule(r"(?P<name>.+?)_(?:desc-)?ftddm.*", Role.DERIVED, "tNAA_ftddm"),
    Rule(
        rf"(?:.*[_-])?(?:skull|lipid|fat|tumou?r|lesion|{_TISSUE})[_-]?mask",
        Role.SEGMENTATION,
        "tumour_mask",
    ),
    Rule(r"(?:(?P<name>.+)[_-])?spikes?[_-]?(?:mask)?", Role.SPIKES, "spikemask"),
    Rule(
        r"(?:(?P<name>(?!fit[_-]).+?)[_-])?(?:fit[_-]?)?fail(?:ed|ures?)?(?:[_-].*)?",
        Role.FAILED,
        "fit_failed",
    ),
    Rule(
        r"(?:(?P<name>.+)[_-])?(?:qc|q|qual|quality)[_-]?mask",
        Role.QUALITY_MASK,
        "quality_mask",
    ),
    Rule(r"(?:.*[_-])?(?:brain|head)[_-]?mask", Role.MASK, "brain_mask", rank=2),
    Rule(r"(?P<name>.+)_mask", Role.MASK, "tNAA_mask", rank=1),
    Rule(r".*mask.*", Role.MASK, "mask", rank=1),
)
"""Shared by the layouts that name masks in plain words."""

RULES = (
    Rule(r"(?P<name>.+?)_(?:desc-)?ftddm.*", Role.DERIVED, "tNAA_ftddm"),
    Rule(
        rf"(?:.*[_-])?(?:skull|lipid|fat|tumou?r|lesion|{_TISSUE})[_-]?mask",
        Role.SEGMENTATION,
        "tumour_mask",
    ),
    Rule(rf"(?:.*[_.+-])?{_LABELS}(?:[_.+-].*)?", Role.SEGMENTATION, "aseg"),
    Rule(
        rf"(?:.*_)?pve(?:seg)?(?:_\d)?|(?:.*[_-])?seg[_-].*|(?:.*_)?{_TISSUE}",
        Role.SEGMENTATION,
        "T1_fast_pve_0",
    ),
    *MASK_RULES,
    Rule(rf"(?P<name>.+?)(?:_desc)?[_-]?crlbs?{_UNIT}", Role.CRLB, "tNAA_crlb"),
    Rule(rf"(?P<name>.+?)[_-](?:sd|std|stdev|stat-sd){_UNIT}", Role.CRLB, "tNAA_sd"),
    Rule(rf"(?:.*_)?(?:crlbs?|sd|std|stdev){_UNIT}[_-](?P<name>.+)", Role.CRLB, "crlb_tNAA"),
    Rule(r".*crlb.*", Role.CRLB, "crlb"),
    Rule(r"(?:.*_)?ce-.*", Role.OTHER_MRI, "sub-01_ce-gadolinium_T1w"),
    Rule(rf"(?:.*_)?(?:T1w?|FLAIR)[_+-]?(?:{_CONTRAST}|c){_REST}", Role.OTHER_MRI, "T1ce"),
    Rule(
        rf"(?:.*_)?(?:T1w?|FLAIR)[_-].*(?<!pre)[_-](?:{_CONTRAST}|c){_REST}",
        Role.OTHER_MRI,
        "T1w_brain_gd",
    ),
    Rule(rf"(?:.*(?<!pre)_)?{_CONTRAST}_(?:T1w?|FLAIR){_REST}", Role.OTHER_MRI, "post_T1w"),
    Rule(rf"(?:.*_)?(?:T1w?|T2w?)[_-]?map{_REST}", Role.OTHER_MRI, "T1map"),
    Rule(rf"(?:.*_)?(?:T1w{_REST}|T1{_DONE})|(?:.*_)?(?:mprage|mp2rage){_REST}", Role.T1, "T1w"),
    Rule(rf"(?:.*_)?(?:T2w?[_-]?)?FLAIR{_REST}", Role.FLAIR, "FLAIR"),
    Rule(rf"(?:.*_)?(?:T2w|T2star|PDw|SWI|DWI|ADC|bold){_REST}", Role.OTHER_MRI, "T2w"),
    Rule(rf"(?:.*_)?(?:T2|PD){_DONE}", Role.OTHER_MRI, "T2"),
    Rule(r"(?:(?P<name>.+)[_-])?snr(?:[_-]maps?)?", Role.SNR, "SNR_map"),
    Rule(r"(?:(?P<name>.+)[_-])?(?:fwhm|linewidth|lw)(?:[_-]maps?)?", Role.FWHM, "FWHM_map"),
    Rule(
        r"(?:.*_)?(?:p0|p1|phase\d?|(?:combined_)?(?:lw|shift|sigma|gamma)|B0|B1|dB0|freq(?:uency)?|"
        r"water|wref|h2o|residuals?|baseline)(?:[_-](?:maps?|ref|signal))*",
        Role.NUISANCE,
        "B0_map",
    ),
    Rule(r"(?P<name>.+)_ratio(?:_.*)?", Role.RATIO, "tNAA_tCr_ratio"),
)


def _claims(files: Sequence[Found]) -> bool:
    return True


PLAIN = Layout("plain names", "One file a metabolite, named after it.", _claims, RULES)


def read_plain(file: Found) -> Reading:
    """Return what the plain name of a file tells; every file gets an answer."""
    if reading := PLAIN.read(file):
        return reading
    if ratio_in(file.stem):
        return Reading(Role.RATIO, file.stem, "named like tNAA_over_tCr")
    if name := metabolite_in(file.stem):
        return Reading(Role.MAP, name, f"{name} is a known metabolite")
    return Reading(Role.UNKNOWN, "", "its name contains no known metabolite")
