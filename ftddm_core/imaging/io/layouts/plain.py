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
_BOUND = r"(?:[_-]?crlbs?|[_-]crbs?|[_-](?:%|p|perc|pct)?(?:sd|std|stdev)|[_-]stat-sd)"
CONTRAST = (
    r"(?:contrast|postcontrast|post|ce|c\+|gd|gad|gado\w*|postgd|gdpost|enhanced|km|mitkm|"
    r"kontrast\w*|inj(?:ect\w*)?)"
)
_WITH = r"(?<!pre)(?<!no)(?<!non)(?<!without)(?<!ohne)(?<!sans)"
_MRI = r"(?:T1w?|FLAIR|mp2?rage)"
# Processing steps of an image. Not "corrected": tNAA_T1_corrected is a map.
_DONE = (
    r"(?:[_-](?:brain|head|bet|stripped|skullstripped|(?:co)?reg(?:istered)?|resampled|warped|"
    r"native|orig|mni|acpc|n4|norm|preproc|iso|defaced|denoised|crop(?:ped)?|masked|bc|biascorr|"
    r"mprage|[0-9.]+mm))*"
)
_TISSUE = r"(?:gm|wm|csf|grey|gray|white|(?:gr[ea]y|white)[_-]?matter|c[1-6]t1w?)"
_PATHOLOGY = r"(?:lesions?|wmh|(?:o?e|ö)dema?|necrosis|stroke|infarct|resection|cavity|[gcp]tv)"
_REGION = (
    rf"(?:skull|scalp|bone|air|lipids?|fat|tumou?rs?|core|{_PATHOLOGY}|l(?:ae|ä)sion(?:en|s)?|"
    r"roi\d*|ventricles?|vessels?|sinus|thalamus|hippocamp(?:us|i)|caudate|putamen|cortex|"
    rf"cerebellum|left|right|lh|rh|{_TISSUE})"
)
_NOT_TRUSTED = (
    r"(?:excl\w*|bad|invalid|reject\w*|outliers?|art[ei]fa[ck]ts?|noise|background|bg|"
    r"inv(?:erse|erted)?|non?[_-]?brain|not|outside|untrusted)"
)
NO_AMOUNT = (
    r"(?:err(?:or)?s?|unc(?:ertaint(?:y|ies))?|var(?:iance)?|z-?(?:scores?|maps?|stats?)|"
    r"t-?(?:scores?|maps?|stats?)|p-?(?:vals?|values?|maps?)|diff(?:erence)?s?|change|delta|"
    r"template|outliers?|reject(?:ed)?|(?:in)?valid|weights?|overlay|rgb|colou?r|bin(?:ary)?|"
    r"thr(?:esh(?:olded)?)?|roi|fit|spec(?:tr(?:um|a))?|qc|cov)"
)
"""What is computed from maps or about them."""

DERIVED_MRI_RULES = (
    Rule(
        r"(?:[smwr]*[cp][0-6](?![\d_-]|rage)|i?y_|u_r?c1).*(?:T[12]w?|FLAIR|anat|mprage).*|"
        r"(?:.*_)?desc-[cp][0-6]_T1w",
        Role.SEGMENTATION,
        "c1sub-01_T1w",
    ),
    Rule(
        rf"(?=(?:.*[_-])?(?:T[12]w?|FLAIR){_REST}$)(?:.*[_-])?(?:lesions?|wmh){_REST}|"
        rf"(?:.*_)?(?:T[12]w?|FLAIR)[_-](?:.*[_-])?(?:{_PATHOLOGY}|tumou?rs?|roi\d*|"
        rf"prob(?:ability)?){_REST}",
        Role.SEGMENTATION,
        "FLAIR_lesion",
    ),
    Rule(
        rf"(?:.*_)?{_MRI}[_-]?(?:.*[_-])?(?:bias(?:field)?(?![_-]corr)|\d?(?:inverse)?warp|jac\w*|inv-?[12]|"
        rf"diff(?:erence)?|subtraction){_REST}",
        Role.OTHER_MRI,
        "T1w_biasfield",
    ),
    Rule(
        rf"(?:.*_)?(?:acq|desc|rec)-(?![^_]*(?:pre|no|non|without)(?:gd|contrast|post|KM))[^_]*"
        r"(?:gd|gado|post(?!proc)|contrast|KM(?![a-z])|(?:-|T1w?|mprage|FLAIR)ce(?![a-z]))[^_]*_"
        rf"(?:.*_)?(?:T1w|FLAIR){_REST}",
        Role.OTHER_MRI,
        "sub-01_acq-postGd_T1w",
    ),
)
"""Shared by the layouts: what is computed from an MRI, or shows contrast agent."""

BOUND_RULES = (
    Rule(rf"(?P<name>.+?)(?:_desc)?{_BOUND}{_UNIT}", Role.CRLB, "tNAA_crlb"),
    Rule(
        rf"(?:.*_)?(?:crlbs?|crbs?|(?:%|p|perc|pct)?(?:sd|std|stdev)){_UNIT}[_-](?P<name>.+)",
        Role.CRLB,
        "crlb_tNAA",
    ),
    Rule(r".*crlb.*", Role.CRLB, "crlb"),
)
"""Shared by the layouts: bounds of the fit."""

MASK_RULES = (
    Rule(r"(?P<name>.+?)_(?:desc-)?ftddm.*", Role.DERIVED, "tNAA_ftddm"),
    Rule(
        rf"(?:.*[_-])?{_NOT_TRUSTED}(?:[_-]?|[_-].*[_-])(?:mask|maske|masque)s?{_REST}|"
        rf"(?:.*[_-])?(?:mask|maske|masque)[_-](?:.*[_-])?{_NOT_TRUSTED}{_REST}",
        Role.UNKNOWN,
        "exclusion_mask",
    ),
    Rule(
        rf"(?:.*[_-])?{_REGION}(?:[_-]?|[_-].*[_-])(?:mask|maske|masque)s?{_REST}|"
        rf"(?:.*[_-])?(?:mask|maske|masque)[_-]?(?:.*[_-])?{_REGION}{_REST}",
        Role.SEGMENTATION,
        "tumour_mask",
    ),
    Rule(r"mask[_-]?spikes?(?:[_-](?P<name>.+))?", Role.SPIKES, "mask_spikes"),
    Rule(r"(?:(?P<name>.+)[_-])?spikes?[_-]?(?:mask)?", Role.SPIKES, "spikemask"),
    Rule(
        r"(?:(?P<name>(?!fit[_-]).+?)[_-])?(?:fit[_-]?)?fail(?:ed|ures?)?(?:[_-].*)?",
        Role.FAILED,
        "fit_failed",
    ),
    Rule(
        r"(?:(?P<name>.+)[_-])?(?:qc|q|qual|quality|good|valid)[_-]?mask|"
        r"(?:.*[_-])?mask[_-](?:qc|qual|quality|good|valid)",
        Role.QUALITY_MASK,
        "quality_mask",
    ),
    Rule(r"(?:.*[_-])?(?:brain|head)[_-]?mask", Role.MASK, "brain_mask", rank=2),
    Rule(r"(?P<name>.+)_mask", Role.MASK, "tNAA_mask", rank=1),
    Rule(r"mask_(?P<name>.+)", Role.MASK, "mask_tNAA", rank=1),
    Rule(r".*mas(?:k|que).*", Role.MASK, "mask", rank=1),
)
"""Shared by the layouts that name masks in plain words."""

RULES = (
    Rule(r"(?P<name>.+?)_(?:desc-)?ftddm.*", Role.DERIVED, "tNAA_ftddm"),
    Rule(rf"(?:.*[_.+-])?{_LABELS}(?:[_.+-].*)?", Role.SEGMENTATION, "aseg"),
    Rule(
        rf"(?:.*_)?pve(?:seg)?(?:_\d)?|(?:.*[_-])?seg[_-].*|(?:.*_)?{_TISSUE}",
        Role.SEGMENTATION,
        "T1_fast_pve_0",
    ),
    *MASK_RULES,
    *DERIVED_MRI_RULES,
    *BOUND_RULES,
    Rule(r"(?:.*_)?ce-.*", Role.OTHER_MRI, "sub-01_ce-gadolinium_T1w"),
    Rule(rf"(?:.*_)?{_MRI}[_+-]?(?:{CONTRAST}|c){_REST}", Role.OTHER_MRI, "T1ce"),
    Rule(
        rf"(?:.*_)?{_MRI}[_-].*{_WITH}[_-](?:{CONTRAST}|c){_REST}",
        Role.OTHER_MRI,
        "T1w_brain_gd",
    ),
    Rule(rf"(?:.*{_WITH}_)?{CONTRAST}_{_MRI}{_REST}", Role.OTHER_MRI, "post_T1w"),
    Rule(rf"(?:.*_)?(?:T1w?|T2w?)[_-]?map{_REST}", Role.OTHER_MRI, "T1map"),
    Rule(rf"(?:.*_)?(?:T1w{_REST}|T1{_DONE})|(?:.*_)?(?:mprage|mp2rage){_REST}", Role.T1, "T1w"),
    Rule(rf"(?:.*_)?(?:T2w?[_-]?)?FLAIR{_REST}", Role.FLAIR, "FLAIR"),
    Rule(rf"(?:.*_)?(?:T2w|T2star|PDw|SWI|DWI|ADC|bold){_REST}", Role.OTHER_MRI, "T2w"),
    Rule(rf"(?:.*_)?(?:T2|PD){_DONE}", Role.OTHER_MRI, "T2"),
    Rule(r"(?:(?P<name>.+)[_-])?snr(?:[_-]maps?)?", Role.SNR, "SNR_map"),
    Rule(r"(?:.*_)?snr(?:[_-]maps?)?[_-](?P<name>.+)", Role.SNR, "snr_tNAA"),
    Rule(r"(?:(?P<name>.+)[_-])?(?:fwhm|linewidth|lw)(?:[_-]maps?)?", Role.FWHM, "FWHM_map"),
    Rule(r"(?:.*_)?(?:fwhm|linewidth)(?:[_-]maps?)?[_-](?P<name>.+)", Role.FWHM, "fwhm_tNAA"),
    Rule(
        r"(?:.*_)?(?:p0|p1|phase\d?|(?:combined_)?(?:lw|shift|sigma|gamma)|B0|B1|dB0|freq(?:uency)?|"
        r"water|wref|h2o|residuals?|baseline)(?:[_-](?:maps?|ref|signal))*",
        Role.NUISANCE,
        "B0_map",
    ),
    Rule(r"(?P<name>.+)_ratio(?:_.*)?", Role.RATIO, "tNAA_tCr_ratio"),
    Rule(r"(?:.*[_-])?ratios?(?:to.*|[_-].*)?", Role.RATIO, "ratio_map_tNAA"),
    Rule(rf"(?:.*[_-])?{NO_AMOUNT}{_REST}|.*_z", Role.UNKNOWN, "tNAA_zscore"),
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
