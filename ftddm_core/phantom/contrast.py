r"""T1w and FLAIR images from signal equations.

Spoiled gradient echo, S = PD sin(a) (1 - E1) / (1 - E1 cos(a)) with E1 = exp(-TR/T1), and inversion
recovery, S = PD \|1 - 2 exp(-TI/T1) + exp(-TR/T1)\| exp(-TE/T2). T1 at 3 T in ms
of tumour, oedema and white matter is that of Cancers 2024 16:943; the other T1 and every T2 are
rounded textbook values, T2 somewhat longer than that paper's 86, 102 and 43 ms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ftddm_core.phantom.anatomy import TISSUES, voxel_size
from ftddm_core.phantom.fields import RandomField

FloatArray = NDArray[np.float32]

# Proton density, T1 and T2 in ms.
RELAXATION: dict[str, tuple[float, float, float]] = {
    "air": (0.0, 1000, 50),
    "white": (0.70, 950, 60),
    "cortex": (0.82, 1400, 75),
    "deep_grey": (0.80, 1200, 65),
    "cerebellar_white": (0.70, 980, 60),
    "cerebellar_grey": (0.83, 1350, 75),
    "brainstem": (0.74, 1050, 65),
    "csf": (1.00, 4000, 2000),
    "soft_tissue": (0.75, 1200, 45),
    "fat": (0.90, 380, 70),
    "bone": (0.10, 500, 20),
    "tumour": (0.85, 1724, 100),
    "oedema": (0.80, 1756, 115),
    "necrosis": (0.95, 2600, 300),
}


T1W_GREY = 0.95
FLAIR_GREY = 1.05
"""Limits of cortex relative to white matter: sequences that show cortex brighter in T1w, or darker
in FLAIR, are discarded."""


@dataclass(frozen=True, eq=False)
class Contrast:
    """One patient's MRI: tissue properties, sequences, coil and noise.

    Parameters
    ----------
    properties
        Proton density, T1 and T2 (ms) in the order of `RELAXATION`, shape (14, 3).
    flip_angle, t1w_tr
        Parameters of the T1-weighted gradient echo, in rad and ms.
    flair_te, flair_ti, flair_tr
        Parameters of the FLAIR, in ms.
    bias
        Two smooth fields: coil sensitivity of the two images.
    bias_amplitude
        Standard deviation of the log sensitivity.
    noise
        Standard deviation of the noise relative to the white matter signal.
    resolution
        Full width at half maximum in mm of the two images' point spread: T1w in all directions,
        FLAIR in the plane, FLAIR across it (often thick slices). Never finer than the grid.
    """

    properties: FloatArray
    flip_angle: float
    t1w_tr: float
    flair_te: float
    flair_ti: float
    flair_tr: float
    bias: RandomField
    bias_amplitude: float
    noise: float
    resolution: tuple[float, float, float]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Contrast:
        """Draw sequence parameters and tissue properties.

        White matter is brighter than cortex in T1w, and darker in FLAIR.
        """
        density_spread, t1_spread, t2_spread = 0.03, 0.06, 0.08
        while True:
            properties = np.array(list(RELAXATION.values()))
            spread = (density_spread, t1_spread, t2_spread)
            properties = properties * np.exp(rng.normal(0, spread, properties.shape))
            flair_tr = rng.uniform(8000, 10000)
            # The inversion time nulls fluid: S = 0 in the second equation above.
            fluid_t1 = properties[list(RELAXATION).index("csf"), 1]
            null = fluid_t1 * np.log(2 / (1 + np.exp(-flair_tr / fluid_t1)))
            drawn = cls(
                properties=properties.astype(np.float32),
                flip_angle=np.deg2rad(rng.uniform(12, 28)),
                t1w_tr=rng.uniform(15, 35),
                flair_te=rng.uniform(80, 140),
                flair_ti=null * rng.normal(1, 0.02),
                flair_tr=flair_tr,
                bias=RandomField.draw(rng, 60.0, 2),
                bias_amplitude=rng.uniform(0.0, 0.15),
                noise=rng.uniform(0.01, 0.05),
                resolution=(rng.uniform(0.8, 2), rng.uniform(0.8, 2.5), rng.uniform(1, 6)),
            )
            t1w, flair = (signal[TISSUES.index("cortex")] for signal in drawn.signals())
            if t1w < T1W_GREY and flair > FLAIR_GREY:
                return drawn

    def signals(self) -> tuple[FloatArray, FloatArray]:
        """Return the T1w and FLAIR signals of pure substances, each (14,), 1 for white matter."""
        density, t1, t2 = self.properties.T
        e1 = np.exp(-self.t1w_tr / t1)
        t1w = density * np.sin(self.flip_angle) * (1 - e1) / (1 - e1 * np.cos(self.flip_angle))
        recovery = np.abs(1 - 2 * np.exp(-self.flair_ti / t1) + np.exp(-self.flair_tr / t1))
        flair = density * recovery * np.exp(-self.flair_te / t2)
        white = TISSUES.index("white")
        return t1w / t1w[white], flair / flair[white]

    def images(
        self, composition: FloatArray, points: FloatArray, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        """Return T1w and FLAIR (X, Y, Z) of voxels composed of the 14 substances.

        Parameters
        ----------
        composition
            Share of each substance, in the order of `RELAXATION`, shape (14, X, Y, Z).
        points
            World positions (X, Y, Z, 3) in mm, for the coil sensitivity.
        rng
            Of the noise.
        """
        coil = np.exp(self.bias_amplitude * self.bias(points))
        fine, in_plane, across = self.resolution
        images = []
        for number, widths in enumerate(((fine,) * 3, (in_plane, in_plane, across))):
            clean = np.tensordot(self.signals()[number], composition, 1) * coil[..., number]
            clean = ndimage.gaussian_filter(clean, _sigmas(points, widths))
            noise = rng.standard_normal(clean.shape, np.float32) * np.float32(self.noise)
            images.append(np.abs(clean + noise).astype(np.float32))
        return images[0], images[1]


def _sigmas(points: FloatArray, widths: tuple[float, ...]) -> list[float]:
    """Return the deviations in voxels that bring a grid to the given widths in mm.

    The grid's own voxels, a box of size d, already blur by d / sqrt(12).
    """
    size = voxel_size(points)
    missing = (np.array(widths) / 2.355) ** 2 - size**2 / 12
    return [float(sigma) for sigma in np.sqrt(np.maximum(missing, 0)) / size]
