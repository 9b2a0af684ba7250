"""A head in MR: one anatomy, several weightings, axial and sagittal, with a tumour in the left frontal lobe.

Frame: x to the patient's left, y to the back, z to the head; the middle of the brain is the origin.
"""

from dataclasses import dataclass

import numpy as np

from deploy.sandbox.imaging.shapes import (
    Grid,
    Plane,
    Triple,
    axial,
    ellipsoid,
    grain,
    paint,
    sagittal,
    soft,
    waves,
)

SIZE = 256
FIELD_OF_VIEW = 240.0
TUMOUR: Triple = (33.0, -34.0, 22.0)
TISSUES = ("air", "fat", "bone", "muscle", "csf", "grey", "white", "deep", "eye", "oedema", "tumour", "rim", "vessel")


@dataclass(frozen=True)
class Weighting:
    """How bright each tissue is in one kind of sequence, and how noisy the image."""

    name: str
    values: dict[str, float]
    noise: float


def weighting(name: str, values: tuple[float, ...], noise: float) -> Weighting:
    """A weighting from the values in the order of TISSUES."""
    return Weighting(name, dict(zip(TISSUES, values, strict=True)), noise)


T1 = weighting("T1", (12, 900, 60, 330, 170, 430, 590, 500, 190, 380, 320, 330, 120), 13)
T1_CONTRAST = weighting("T1+C", (12, 900, 60, 350, 170, 440, 600, 510, 190, 385, 340, 800, 820), 13)
T2 = weighting("T2", (12, 560, 50, 210, 960, 480, 310, 380, 930, 700, 760, 690, 60), 14)
FLAIR = weighting("FLAIR", (12, 470, 50, 230, 70, 430, 330, 370, 110, 740, 800, 700, 60), 15)


class Brain:
    """The drawing of one head: `axial` and `sagittal` slices in any weighting show the same anatomy."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.folds = waves(rng, 23, 46, 0.25)
        self.ripple = waves(rng, 9, 26, 0.4)
        self.shape = waves(rng, 60, 8)
        self.lumps = waves(rng, 15, 14)
        self.bias = waves(rng, 260, 4)
        self.noise = [(grain(rng, SIZE, 0.7), grain(rng, SIZE, 0.7)) for _ in range(4)]

    def axial(self, z: float, kind: Weighting) -> Plane:
        """One axial slice."""
        return self.finish(self.tissues(axial(z, SIZE, FIELD_OF_VIEW), kind.values), kind, int(z * 7))

    def sagittal(self, x: float, kind: Weighting) -> Plane:
        """One sagittal slice, the face to the left."""
        return self.finish(self.tissues(sagittal(x, SIZE, FIELD_OF_VIEW), kind.values), kind, int(x * 7))

    def tissues(self, plain: Grid, value: dict[str, float]) -> Plane:
        """Paint head, brain, inner structures and tumour with the values of one weighting."""
        bump = self.shape.at(plain)
        grid = plain.shifted(0.8 * bump, -0.5 * bump)
        image = np.full_like(grid.x, value["air"])
        depth = head(image, grid, value)
        paint(image, soft(depth, 1.2), value["csf"])
        self.cortex(image, (plain, grid), depth, value)
        inner(image, grid, value)
        hindbrain(image, grid, self.ripple.at(plain), value)
        self.tumour(image, (plain, grid), soft(depth - 2, 1), value)
        sinuses(image, grid, value)
        return image

    def cortex(self, image: Plane, grids: tuple[Grid, Grid], depth: Plane, value: dict[str, float]) -> None:
        """White matter, a folded ribbon of grey matter on it, fluid in the furrows and between the halves."""
        plain, grid = grids
        bridge = inside(grid, (0, 2, 2), (60, 44, 24))
        cleft = np.abs(grid.x + 0.5 * self.shape.at(plain)) - 0.3 + np.clip(bridge, 0, 8)
        field = self.folds.at(plain) + 0.3 * self.ripple.at(plain)
        furrow = np.abs(field) * 5.2
        fade = np.clip((depth - 17) / 9, 0, 1) * 16
        below = np.minimum(np.minimum(depth - 0.8, furrow + fade - 0.5), cleft)
        paint(image, soft(below.astype(np.float32), 1.3), value["grey"])
        white = np.minimum(np.minimum(depth - 3.9, furrow + fade - 3.2), cleft - 3.0)
        paint(image, soft(white.astype(np.float32), 1.5), value["white"])

    def tumour(self, image: Plane, grids: tuple[Grid, Grid], within: Plane, value: dict[str, float]) -> None:
        """An infiltrating tumour with oedema along the white matter and one small enhancing nodule."""
        plain, grid = grids
        lumps = self.lumps.at(plain)
        moved = grid.shifted(3.2 * lumps, -2.6 * lumps)
        paint(image, within * 0.85 * ellipsoid(moved, TUMOUR, (27, 33, 24), 7), value["oedema"])
        paint(image, within * 0.95 * ellipsoid(moved, TUMOUR, (18, 21, 17), 5), value["tumour"])
        paint(image, within * ellipsoid(moved, (30, -42, 24), (6.5, 7.5, 6.5), 2), value["rim"])
        paint(image, within * ellipsoid(grid, (30, -42, 24), (3.2, 4, 3.4), 2), value["tumour"])
        paint(image, within * ellipsoid(grid, (40, -22, 16), (4, 5, 4), 2), value["csf"])

    def finish(self, image: Plane, kind: Weighting, key: int) -> Plane:
        """Coil shading and Rician noise; 0 to 4095."""
        real, other = self.noise[key % len(self.noise)]
        turn = (key * 37) % SIZE
        shade = 1 + 0.06 * np.linspace(-1, 1, SIZE, dtype=np.float32)[:, None]
        noisy = np.hypot(image * shade + kind.noise * np.roll(real, turn, 0), kind.noise * np.roll(other, turn, 1))
        return np.asarray(np.clip(noisy, 0, 4095), dtype=np.float32)


def inside(grid: Grid, centre: Triple, radii: Triple) -> Plane:
    """Distance to an ellipsoid's surface in millimetres, positive inside (right near the surface)."""
    parts = [(axis - c) / r for axis, c, r in zip((grid.x, grid.y, grid.z), centre, radii, strict=True)]
    norm = np.sqrt(sum(part * part for part in parts))
    slope = np.sqrt(sum((part / r) ** 2 for part, r in zip(parts, radii, strict=True))) / np.maximum(norm, 1e-3)
    return np.asarray(((1 - norm) / np.maximum(slope, 1e-3)), dtype=np.float32)


def head(image: Plane, grid: Grid, value: dict[str, float]) -> Plane:
    """Scalp, skull, face and neck; returns the distance to the brain's surface, positive inside."""
    vault = inside(grid, (0, 0, 4), (68, 86, 66))
    narrow = np.float32(0.055) * np.maximum(0, -grid.y)
    brain = vault - narrow - np.maximum(0, (-grid.z - 18) * 0.55) * (grid.y < 18)
    for side in (-1, 1):
        brain = np.maximum(brain, inside(grid, (side * 37.0, -10, -28), (21, 34, 22)))
    face = np.maximum(inside(grid, (0, -52, -58), (58, 46, 62)), inside(grid, (0, -98, -46), (13, 16, 24)))
    neck = inside(grid, (0, 20, -120), (60, 58, 95))
    skin = np.maximum(np.maximum(vault + 14 - narrow, face), neck)
    paint(image, soft(skin, 1.4), value["muscle"])
    paint(image, soft(skin - 1.8, 1.4) * soft(7.5 - skin, 3), value["fat"])
    paint(image, soft(vault + 8.5 - narrow, 1.4), value["bone"])
    marrow = soft(1.6 - np.abs(vault + 4.8 - narrow), 1.4) * (grid.z > -30)
    paint(image, marrow * 0.7, value["fat"])
    skull_base(image, grid, value)
    return np.asarray(brain, dtype=np.float32)


def skull_base(image: Plane, grid: Grid, value: dict[str, float]) -> None:
    """Eyes, air spaces, clivus and neck muscles below the brain."""
    below = soft(-grid.z - 28 + 0 * grid.x, 4)
    paint(image, below * soft(inside(grid, (0, 10, -90), (50, 70, 70)), 3), value["muscle"])
    for side in (-1, 1):
        paint(image, ellipsoid(grid, (side * 31.0, -66, -34), (19, 22, 18)), value["fat"])
        paint(image, ellipsoid(grid, (side * 32.0, -76, -34), (12, 12, 12)), value["eye"])
        paint(image, ellipsoid(grid, (side * 32.0, -86, -34), (4.5, 2.4, 4.5)), value["muscle"])
        paint(image, ellipsoid(grid, (side * 26.0, -56, -34), (2.2, 14, 2.2)), value["muscle"])
        paint(image, ellipsoid(grid, (side * 28.0, -60, -70), (15, 16, 18)), value["air"])
        paint(image, ellipsoid(grid, (side * 46.0, 22, -48), (14, 18, 16), 3) * 0.85, value["bone"])
    paint(image, ellipsoid(grid, (0, -66, -44), (11, 24, 16)), value["air"])
    paint(image, ellipsoid(grid, (0, -36, -42), (11, 12, 10)), value["air"])
    paint(image, ellipsoid(grid, (0, -18, -52), (12, 10, 18)), value["fat"])
    paint(image, ellipsoid(grid, (0, -28, -90), (14, 9, 42)), value["air"])
    paint(image, ellipsoid(grid, (0, -56, -92), (24, 30, 16), 2), value["muscle"])


def inner(image: Plane, grid: Grid, value: dict[str, float]) -> None:
    """Corpus callosum, ventricles and deep grey matter."""
    arc = inside(grid, (0, 2, -2), (90, 37, 27))
    paint(
        image, soft(3.4 - np.abs(arc - 3.4), 1.2) * soft(grid.z - 0.1, 3) * soft(11 - np.abs(grid.x), 4), value["white"]
    )
    for side in (-1, 1):
        thalamus = ellipsoid(grid, (side * 11.0, 10, 2), (9, 15, 10), 1.5)
        paint(image, ellipsoid(grid, (side * 25.0, -4, 0), (8, 20, 13), 2), value["deep"])
        paint(image, ellipsoid(grid, (side * 33.0, -2, 0), (1.5, 18, 12), 1.5) * 0.6, value["white"])
        paint(image, thalamus, value["deep"])
        squeeze = 0.62 if side > 0 else 1.0
        paint(image, ellipsoid(grid, (side * 11.0, -24, 12), (7 * squeeze, 15, 9)), value["csf"])
        paint(image, ellipsoid(grid, (side * 12.0, 2, 19), (6, 25, 6.5)), value["csf"])
        paint(image, ellipsoid(grid, (side * 22.0, 31, 11), (7, 14, 9)), value["csf"])
        paint(image, ellipsoid(grid, (side * 24.0, 40, 4), (4, 15, 5)), value["csf"])
        paint(image, ellipsoid(grid, (side * 34.0, 6, -20), (3, 15, 3)), value["csf"])
        paint(image, ellipsoid(grid, (side * 13.0, -22, 8), (5, 9, 7), 1.5), value["deep"])
    paint(image, ellipsoid(grid, (0, 8, 2), (2.2, 13, 9)), value["csf"])


def hindbrain(image: Plane, grid: Grid, ripple: Plane, value: dict[str, float]) -> None:
    """Tentorium, cerebellum with its folia, fourth ventricle, brain stem and cord."""
    nest = inside(grid, (0, 48, -37), (53, 35, 26))
    paint(image, soft(nest + 3.0, 1.4), value["csf"])
    paint(image, soft(nest, 1.4), value["grey"])
    folia = np.sin(np.hypot(grid.z + 22, (grid.y - 26) * 0.8) * 1.15 + 0.9 * ripple)
    paint(image, soft(nest - 2, 2) * soft(folia - 0.1, 1.2) * 0.8, value["white"])
    paint(image, soft(nest - 13, 6), value["white"])
    paint(image, ellipsoid(grid, (0, 8, -46), (21, 17, 34), 2), value["csf"])
    paint(image, ellipsoid(grid, (0, 10, -18), (18, 11, 13), 1.5), value["white"])
    paint(image, ellipsoid(grid, (0, 4, -37), (17, 14, 16), 1.5), value["white"])
    paint(image, ellipsoid(grid, (0, 14, -68), (8.5, 7.5, 34), 1.5), value["white"])
    paint(image, ellipsoid(grid, (0, 20, -130), (7, 6, 70), 1.5), value["white"])
    paint(image, ellipsoid(grid, (0, 25, -38), (6.5, 6, 11)), value["csf"])
    paint(image, ellipsoid(grid, (0, 20, -18), (1.6, 1.6, 11)), value["csf"])
    paint(image, ellipsoid(grid, (0, -22, -26), (9, 7, 6)), value["csf"])
    paint(image, ellipsoid(grid, (0, -24, -34), (6, 5, 4)), value["grey"])


def sinuses(image: Plane, grid: Grid, value: dict[str, float]) -> None:
    """The large veins and arteries: flow voids, or bright after contrast."""
    paint(
        image,
        soft(2.4 - np.abs(inside(grid, (0, 0, 4), (300, 83, 63))), 1.4)
        * soft(3.5 - np.abs(grid.x), 1.2)
        * (grid.z > -14),
        value["vessel"],
    )
    for side in (-1, 1):
        paint(image, ellipsoid(grid, (side * 12.0, -24, -34), (2.6, 6, 2.8)), value["vessel"])
        paint(image, ellipsoid(grid, (side * 30.0, -16, -23), (16, 1.6, 1.6)), value["vessel"])
    paint(image, ellipsoid(grid, (0, -11, -40), (1.9, 1.9, 14)), value["vessel"])
