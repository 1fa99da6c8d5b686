"""What `ftddm run --also` writes besides: maps in T1 space, and DICOM parametric maps."""

from __future__ import annotations

from argparse import Namespace

from ftddm_core.errors import FormatError, SettingsError
from ftddm_core.imaging.volume import Study
from ftddm_core.saving.dicom import check_dicom, dicom_files
from ftddm_core.saving.in_t1_space import NO_T1, t1_files
from ftddm_core.saving.names import study_label
from ftddm_viewer.session.restoring import Restored


def check_further(options: Namespace, study: Study) -> None:
    """Refuse what cannot be written, before any work is done; errors as for `further_files`."""
    if options.dicom_of is not None and "dicom" not in options.also:
        raise SettingsError("--dicom-of needs --also dicom.")
    if "t1" in options.also and study.t1 is None:
        raise FormatError(NO_T1)
    if "dicom" in options.also:
        check_dicom(options.dicom_of)


def further_files(options: Namespace, done: Restored, files: dict[str, bytes]) -> dict[str, bytes]:
    """Return name -> content of the further files of a result, whose own are `files`.

    Raises
    ------
    FtddmError
        If something that is needed is missing, or does not fit the maps.
    """
    found: dict[str, bytes] = {}
    if "t1" in options.also:
        found |= t1_files(done.result, done.study, files)
    if "dicom" in options.also:
        found |= dicom_files(done.result, study_label(done.study), files, options.dicom_of)
    return found
