"""A child's head in MR: a patch of malformed cortex in the right frontal lobe with a band down to the ventricle."""

import numpy as np

from deploy.sandbox.imaging.brain import FIELD_OF_VIEW, SIZE, Brain, Weighting, inside, weighting
from deploy.sandbox.imaging.shapes import Grid, Plane, Triple, ellipsoid, paint, soft

LESION: Triple = (-39.0, -34.0, 28.0)
VENTRICLE: Triple = (-13.0, -12.0, 15.0)
T1 = weighting("T1", (12, 860, 60, 330, 150, 430, 620, 500, 180, 440, 455, 450, 130), 12)
T2 = weighting("T2", (12, 520, 50, 210, 990, 500, 300, 390, 950, 560, 545, 560, 60), 13)
FLAIR = weighting("FLAIR", (12, 450, 50, 230, 60, 440, 320, 380, 110, 640, 600, 610, 60), 14)


def coronal(y: float, size: int, field_of_view: float) -> Grid:
    """A coronal slice at `y`: columns run to the patient's left, rows to the feet."""
    pixel = field_of_view / size
    line = ((np.arange(size, dtype=np.float32) - (size - 1) / 2) * pixel).astype(np.float32)
    x, z = np.meshgrid(line, -line)
    return Grid(x, np.full_like(x, y), z, pixel)


class ChildsBrain(Brain):
    """The same anatomy without a tumour."""

    def coronal(self, y: float, kind: Weighting) -> Plane:
        """One coronal slice, the patient's right to the left."""
        return self.finish(self.tissues(coronal(y, SIZE, FIELD_OF_VIEW), kind.values), kind, int(y * 7))

    def tumour(self, image: Plane, grids: tuple[Grid, Grid], within: Plane, value: dict[str, float]) -> None:
        """Thick cortex without a border to the white matter, and a band that tapers to the ventricle."""
        plain, grid = grids
        lumps = self.lumps.at(plain)
        moved = grid.shifted(1.5 * lumps, -1.2 * lumps)
        shell = soft(inside(grid, (0, 0, 4), (68, 86, 66)) - 3, 3) * soft(17 - inside(grid, (0, 0, 4), (68, 86, 66)), 8)
        paint(image, within * 0.6 * ellipsoid(moved, LESION, (15, 15, 14), 9), value["oedema"])
        paint(image, within * 0.8 * shell * ellipsoid(moved, LESION, (13, 13, 12), 5), value["tumour"])
        axis = np.array(VENTRICLE) - np.array(LESION)
        long = float(axis @ axis)
        dx, dy, dz = grid.x - LESION[0], grid.y - LESION[1], grid.z - LESION[2]
        share = np.clip((dx * axis[0] + dy * axis[1] + dz * axis[2]) / long, 0, 1)
        away = np.sqrt((dx - share * axis[0]) ** 2 + (dy - share * axis[1]) ** 2 + (dz - share * axis[2]) ** 2)
        paint(image, within * 0.75 * soft(5.5 * (1 - 0.75 * share) - away, 3), value["oedema"])
