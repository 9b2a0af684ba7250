"""A chest radiograph: the CT phantom seen from behind, as X-rays add it up."""

import numpy as np
from numpy.typing import NDArray

from deploy.sandbox.imaging.shapes import Plane, enlarge, grain
from deploy.sandbox.imaging.thorax import FIELD_OF_VIEW, SIZE, Thorax

PIXEL = FIELD_OF_VIEW / SIZE / 2
WATER_PER_MILLIMETRE = 0.0205
TABLE_STARTS_AT = 125.0


def chest_film(seed: int, step: int = 4) -> NDArray[np.uint16]:
    """A postero-anterior view without the tumour, 12 bit, bright where little passes (MONOCHROME2)."""
    thorax = Thorax(seed, lesion=False)
    keep = int((TABLE_STARTS_AT / FIELD_OF_VIEW + 0.5) * SIZE)
    heights = np.arange(149, -150, -FIELD_OF_VIEW / SIZE * step)
    rows = np.asarray([projection(thorax.slice(float(z))[:keep]) for z in heights])
    at = np.linspace(0, len(rows) - 1, len(rows) * step)
    upper, share = at.astype(int), (at % 1)[:, None].astype(np.float32)
    dense = rows[upper] * (1 - share) + rows[np.minimum(upper + 1, len(rows) - 1)] * share
    return develop(enlarge(dense), np.random.default_rng(seed))


def projection(ct: Plane) -> Plane:
    """The attenuation along y for each column of a slice: bone counts more than its Hounsfield value at low energy."""
    mu = np.maximum(ct + 1000, 0) / 1000 + np.maximum(ct - 150, 0) / 700
    return np.asarray(mu.sum(axis=0) * (FIELD_OF_VIEW / SIZE) * WATER_PER_MILLIMETRE, dtype=np.float32)


def develop(attenuation: Plane, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Scatter, quantum noise and a film curve."""
    light = np.exp(-attenuation) + 0.012
    size = max(light.shape)
    light *= 1 + 0.012 * grain(rng, size, 0.8)[: light.shape[0], : light.shape[1]]
    dark = -np.log(np.maximum(light, 1e-4))
    low, high = np.percentile(dark, (2, 99.5))
    level = np.clip((dark - low) / (high - low), 0, 1)
    curve = level**1.25
    return np.asarray((curve * 4000 + 40), dtype=np.uint16)
