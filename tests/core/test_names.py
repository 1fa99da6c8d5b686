"""Roles read from names: plain ones, entities of BIDS, and the folders of producers."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftddm_core.imaging.io.layouts import LAYOUTS, Found, role_of
from ftddm_core.imaging.io.roles import Role

BIDS = "sub-01_ses-02_space-orig"


ROLES_OF = {
    "tNAA": (Role.MAP, "tNAA"),
    "GPC+PCh": (Role.MAP, "GPC+PCh"),
    "patient_7_Glu": (Role.MAP, "Glu"),
    f"{BIDS}_met-CrPCr_desc-signal_mrsi": (Role.MAP, "CrPCr"),
    f"{BIDS}_met-NAANAAG_mrsi": (Role.MAP, "NAANAAG"),
    f"{BIDS}_met-CrPCr_desc-crlb_mrsi": (Role.CRLB, "CrPCr"),
    f"{BIDS}_met-CrPCr_desc-ftddm_mrsi": (Role.DERIVED, "CrPCr"),
    f"{BIDS}_met-CrPCr_desc-qmask_mrsi": (Role.QUALITY_MASK, "CrPCr"),
    f"{BIDS}_met-CrPCr_mask": (Role.MASK, "CrPCr"),
    f"{BIDS}_desc-snr_mrsi": (Role.SNR, ""),
    f"{BIDS}_desc-fwhm_mrsi": (Role.FWHM, ""),
    "Glu_CRLB": (Role.CRLB, "Glu"),
    "Glu_mask": (Role.MASK, "Glu"),
    "Glu_ftddm": (Role.DERIVED, "Glu"),
    "Glu_snr": (Role.SNR, "Glu"),
    "quality_mask": (Role.QUALITY_MASK, ""),
    "brainmask": (Role.MASK, ""),
    "T1w": (Role.T1, ""),
    "t1": (Role.T1, ""),
    "sub-01_desc-brain_T1w": (Role.T1, ""),
    "T1w_contrast": (Role.OTHER_MRI, ""),
    "sub-01_ce-gadolinium_T1w": (Role.OTHER_MRI, ""),
    "T1ce": (Role.OTHER_MRI, ""),
    "FLAIR": (Role.FLAIR, ""),
    "sub-01_flair": (Role.FLAIR, ""),
    "T2w": (Role.OTHER_MRI, ""),
    "tumour_segmentation_automatic": (Role.SEGMENTATION, ""),
    "sub-01_dseg": (Role.SEGMENTATION, ""),
    "labels": (Role.SEGMENTATION, ""),
}

ROLES_OF |= {
    stem: (Role.CRLB, name)
    for stem, name in {
        "crlb_tNAA": "tNAA",
        "CRLB_map_tNAA": "tNAA",
        "sub-01_crlb_tNAA": "tNAA",
        "tNAA_CRLB_map": "tNAA",
        "tNAA-crlb": "tNAA",
        "tNAA_crlb_percent": "tNAA",
        "tNAA_CRLBs": "tNAA",
        "tNAA_desc-crlb_mrsi": "tNAA",
        "sub-01_tNAA_crlb": "sub-01_tNAA",
        f"{BIDS}_met-tNAA_crlb": "tNAA",
        f"{BIDS}_met-tNAA_CRLB_map": "tNAA",
        "crlb_met-tNAA": "tNAA",
        "crlb": "",
    }.items()
}
ROLES_OF |= dict.fromkeys(
    (
        *("T1w_brain", "sub-01_T1w_reg", "T1_brain", "sub-01_ses-post_T1w", "T1w_pre_contrast"),
        *("sub-01_desc-brain_T1w_reg", "T1_reg_1mm"),
    ),
    (Role.T1, ""),
)
ROLES_OF |= dict.fromkeys(
    ("FLAIR_reg", "T2FLAIR", "sub-01_FLAIR_brain", "T2_FLAIR", "sub-01_T2w-FLAIR_reg"),
    (Role.FLAIR, ""),
)
ROLES_OF |= dict.fromkeys(
    (
        *("T1w_contrast_reg", "T1ce_brain", "T1w_brain_gd", "T1c", "T1_post", "post_T1w"),
        *("sub-01_ce-gadolinium_T1w_brain", "FLAIR_ce", "T1map", "T1w_map", "T2w_reg", "T2_brain"),
    ),
    (Role.OTHER_MRI, ""),
)
ROLES_OF |= dict.fromkeys(
    (
        *("aseg", "aparc+aseg", "T1w_seg", "FLAIR_lesionseg", "sub-01_label-GM_probseg"),
        *("brain_atlas", "wmparc", "tumour-segmentation"),
        *("mrsi_seg_gm", "T1_fast_pve_0", "c1T1", "GM", "lesion_mask", "lipid_mask"),
    ),
    (Role.SEGMENTATION, ""),
)
ROLES_OF |= {
    stem: (Role.MAP, name)
    for stem, name in {
        "sub-parc01_tNAA": "tNAA",
        "labelled_NAA": "NAA",
        "sub-seg01_tNAA": "tNAA",
        "atlases_Glu": "Glu",
        "relabel_tCr": "tCr",
        "tNAA_T1_corrected": "tNAA",
        "T1_tNAA": "tNAA",
        "tNAA_B1_corrected": "tNAA",
        "sub-01_space-T1w_tNAA": "tNAA",
    }.items()
}
ROLES_OF |= {
    "magnitude": (Role.UNKNOWN, ""),
    "fit": (Role.UNKNOWN, ""),
    "Glu_Lac": (Role.UNKNOWN, ""),
    "ser_12": (Role.UNKNOWN, ""),
    "tNAA_sd": (Role.CRLB, "tNAA"),
    "Ins_std": (Role.CRLB, "Ins"),
    "spikemask": (Role.SPIKES, ""),
    "fit_failed": (Role.FAILED, ""),
    "tCr_failed": (Role.FAILED, "tCr"),
    "B0_map": (Role.NUISANCE, ""),
    "water": (Role.NUISANCE, ""),
    "cho2naa": (Role.RATIO, "cho2naa"),
    "tNAA_over_tCr": (Role.RATIO, "tNAA_over_tCr"),
    "CNI": (Role.RATIO, "CNI"),
    f"{BIDS}_acq-conc_desc-NAANAAG_mrsi": (Role.MAP, "NAANAAG"),
    f"{BIDS}_acq-crlb_desc-NAANAAG_mrsi": (Role.CRLB, "NAANAAG"),
    f"{BIDS}_met-NAANAAG_desc-spikemask_mask": (Role.SPIKES, "NAANAAG"),
    f"{BIDS}_desc-brainmask_mrsi": (Role.MASK, ""),
    "fit/concs/internal/NAA+NAAG": (Role.MAP, "NAA+NAAG"),
    "fit/uncertainties/NAA+NAAG_sd": (Role.CRLB, "NAA+NAAG"),
    "NAA+NAAG_amp_map": (Role.MAP, "NAA+NAAG"),
}
# What is computed from maps, about them or beside them is no map.
ROLES_OF |= dict.fromkeys(
    (
        *(
            "tNAA_zscore",
            "zscore_tNAA",
            "tNAA_error",
            "NAA_uncertainty",
            "NAA_variance",
            "NAA_pvalue",
        ),
        *("NAA_diff", "NAA_template", "NAA_outliers", "NAA_overlay", "NAA_roi", "Ser_12"),
        *("exclusion_mask", "mask_bad", "invalid_mask", "artefactmask", "mask_inverted", "bg_mask"),
        *("tNAA_in_T1", "NAA_to_T1w", "tCr_FLAIR"),
    ),
    (Role.UNKNOWN, ""),
)
ROLES_OF |= dict.fromkeys(
    (
        *("mask_tumor", "mask_WM", "mask_lesion_2", "white_matter_mask", "thalamus_mask"),
        *("roi_mask", "gtv_mask", "left_mask", "Tumormaske", "wm_mask_NAA"),
        *(
            "c3sub-01_T1w",
            "mwc1T1",
            "y_T1",
            "iy_sub-01_T1w",
            "mwp1T1w",
            "FLAIR_lesion",
            "FLAIR_WMH",
        ),
    ),
    (Role.SEGMENTATION, ""),
)
ROLES_OF |= dict.fromkeys(
    (
        *("mprage_km", "MPRAGE_GD", "T1_KM", "T1mitKM", "T1_avec_gado", "T1_inj", "FLAIR_KM"),
        *("sub-01_acq-postGd_T1w", "sub-01_acq-T1ce_T1w", "sub-01_acq-mprageKM_T1w"),
        *("mp2rage_INV1", "T1w_biasfield", "T1w_1InverseWarp"),
    ),
    (Role.OTHER_MRI, ""),
)
ROLES_OF |= dict.fromkeys(
    (
        *("sub-01_acq-space_T1w", "sub-01_acq-nocontrast_T1w", "sub-01_desc-postproc_T1w"),
        *("T1w_bias_corrected", "T1w_sub-01", "stroke_T1w", "sub-lesion01_T1w"),
        *("mp2rage_UNI", "p1_T1w", "sub-01_rec-defaced_T1w", "t1_mprage_sag_p2_iso"),
    ),
    (Role.T1, ""),
)
ROLES_OF |= {
    f"{BIDS}_met-NAANAAG_desc-zscore_mrsi": (Role.UNKNOWN, "NAANAAG"),
    f"{BIDS}_met-NAANAAG_desc-ratio_mrsi": (Role.RATIO, "NAANAAG"),
    "NAA_pSD": (Role.CRLB, "NAA"),
    "%SD_NAA": (Role.CRLB, "NAA"),
    "NAA_CRB": (Role.CRLB, "NAA"),
    "snr_NAA": (Role.SNR, "NAA"),
    "fwhm_NAA": (Role.FWHM, "NAA"),
    "mask_NAA": (Role.MASK, "NAA"),
    "mask_qc": (Role.QUALITY_MASK, ""),
    "mask_spikes": (Role.SPIKES, ""),
    "masque_cerveau": (Role.MASK, ""),
    "coregistered_mask": (Role.MASK, "coregistered"),
    "Notre_mask": (Role.MASK, "Notre"),
    "ratio_map_NAA": (Role.RATIO, ""),
    "NAA_RatioToCr": (Role.RATIO, ""),
    "tot_NAA": (Role.MAP, "tot_NAA"),
    "sub-z01_NAA": (Role.MAP, "NAA"),
    "fitted_NAA": (Role.MAP, "NAA"),
}
ROLES_OF |= {"sub-crlb01_met-tNAA_desc-signal_mrsi": (Role.MAP, "tNAA")}


@pytest.mark.parametrize(("stem", "expected"), ROLES_OF.items())
def test_roles_are_read_from_names(stem, expected):
    assert role_of(Path("/data", f"{stem}.nii.gz")) == expected


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_every_rule_matches_its_own_example(layout):
    """The examples are what docs/inputs.md shows: each is read by its rule, not by another."""
    for rule in layout.rules:
        path = Path("/data", f"{rule.example}.nii.gz")
        file = Found(path, path.name.removesuffix(".nii.gz"))
        assert rule.match(file), rule
        assert layout.read(file).why == f"named like {rule.example}"
