"""An abdomen in the portal venous phase with a mass in the head of the pancreas that widens both ducts.

The frame is that of the chest: x to the left, y to the back, z to the head; z = 0 lies at the head of the pancreas.
"""

import numpy as np

from deploy.sandbox.imaging.bones import CORTEX, MARROW, spine
from deploy.sandbox.imaging.shapes import (
    Chain,
    Grid,
    Plane,
    Stack,
    Triple,
    around,
    axial,
    ellipsoid,
    enlarge,
    grain,
    paint,
    soft,
    solid,
    tube,
    waves,
)
from deploy.sandbox.imaging.thorax import SIZE, outline, table

FIELD_OF_VIEW = 360.0
HEIGHTS = [float(z) for z in np.arange(-95, 105, 2.5)]
FORMER_HEIGHTS = [float(z) for z in np.arange(-95, 105, 5)]
MASS: Triple = (-20.0, 4.0, -2.0)


class Abdomen:
    """The drawing of one abdomen; `growth` 1 is the mass of today, less an earlier one."""

    def __init__(self, seed: int, growth: float = 1.0) -> None:
        rng = np.random.default_rng(seed)
        self.seed, self.growth = seed, growth
        self.warps = [waves(rng, 60, 6), waves(rng, 60, 6)]
        self.coarse, self.fine = waves(rng, 40, 8), waves(rng, 11, 10)
        self.lobules = waves(rng, 7, 14)
        self.vessels = Stack(vessels(), 2.0)
        self.ducts = Stack(ducts(growth), 2.0)
        self.pancreas = Stack(pancreas(), 2.0)
        self.gut = Stack(gut(rng), 2.0)
        self.ribs = Stack(ribs(), 2.0)
        self.noise = [grain(rng, SIZE, 0.9) * 9 + grain(rng, SIZE, 2.4) * 5 for _ in range(5)]

    def slice(self, z: float) -> Plane:
        """One slice: body and organs on half the matrix, vessels, bones and noise on the whole."""
        plain = axial(z, SIZE // 2, FIELD_OF_VIEW)
        grid = plain.shifted(2.4 * self.warps[0].at(plain), 2.4 * self.warps[1].at(plain))
        image = np.full_like(plain.x, -1000)
        coarse, fine = self.coarse.at(plain), self.fine.at(plain)
        table(image, plain)
        wall(image, grid, coarse)
        organs(image, grid, fine)
        image = enlarge(image)
        pixel = FIELD_OF_VIEW / SIZE
        self.gut.draw(image, z, pixel)
        self.pancreas.draw(image, z, pixel)
        whole = axial(z, SIZE, FIELD_OF_VIEW)
        self.texture(image, whole)
        self.tumour(image, whole)
        self.vessels.draw(image, z, pixel)
        self.ducts.draw(image, z, pixel)
        self.ribs.draw(image, z, pixel)
        spine(image, whole, z)
        return self.noisy(image, z)

    def texture(self, image: Plane, grid: Grid) -> None:
        """Fat between the pancreas's lobules."""
        gland = (image > 92) & (image < 98)
        image -= gland * 26 * np.clip(self.lobules.at(grid) - 0.2, 0, 1)

    def tumour(self, image: Plane, grid: Grid) -> None:
        """A dark mass without a clear edge that touches the superior mesenteric vein."""
        size = 17.0 * self.growth
        window = around(grid, MASS, (size + 6, size + 6, size + 6))
        if window is not None:
            part, piece = grid.part(window), image[window]
            lumps = self.fine.at(part)
            bumpy = part.shifted(2.0 * lumps, -1.6 * lumps)
            paint(piece, ellipsoid(bumpy, MASS, (size + 3, size + 1, size + 3), 8) * 0.5, 74)
            paint(piece, ellipsoid(bumpy, MASS, (size, size * 0.9, size), 5), 58 + 5 * lumps)
            paint(piece, ellipsoid(bumpy, (-19, 5, -3), (size * 0.4, size * 0.3, size * 0.4), 6) * 0.7, 36)

    def noisy(self, image: Plane, z: float) -> Plane:
        """The scanner's noise, another piece for each height."""
        rng = np.random.default_rng([self.seed, round(z * 10) + 10_000])
        base = self.noise[int(rng.integers(len(self.noise)))]
        shift = rng.integers(0, SIZE, 2)
        return np.clip(image + np.roll(base, (int(shift[0]), int(shift[1])), (0, 1)), -1024, 3071).astype(np.float32)


def wall(image: Plane, grid: Grid, coarse: Plane) -> None:
    """Skin, fat, the layers of muscle, the back, fat inside."""
    skin = outline(grid, 158, 108)
    paint(image, soft(skin, 1.5), 20)
    paint(image, soft(skin - 2.2, 1.5), -103 + 5 * coarse)
    inner = outline(grid, 139, 88)
    paint(image, soft(inner - 0.8 * coarse, 1.5), 62 + 3 * coarse)
    for depth in (4.0, 8.0):
        layer = soft(0.5 - np.abs(inner - depth - 0.6 * coarse), 0.8) * (grid.y < 30)
        paint(image, layer * 0.8, -80)
    middle = soft(2.2 - np.abs(grid.x), 1.5) * (grid.y < -40)
    paint(image, middle * 0.6, 30)
    paint(image, soft(inner - 12, 2) * soft(52 - grid.y, 8), -98 + 6 * coarse)
    for side in (-1, 1):
        paint(image, ellipsoid(grid, (side * 38.0, 90, float(grid.z[0, 0])), (36, 22, 9)), 60 + 4 * coarse)
        stripe = soft(0.8 - np.abs(np.hypot(grid.x - side * 38, (grid.y - 90) * 1.5) - 22), 1.4)
        paint(image, stripe * 0.5, -60)
        paint(image, ellipsoid(grid, (side * 32.0, 58, float(grid.z[0, 0])), (15, 17, 9)), 62 + 3 * coarse)


def organs(image: Plane, grid: Grid, fine: Plane) -> None:
    """Liver, gall bladder, spleen, stomach, adrenals, kidneys with cortex, medulla and pelvis."""
    solid(image, grid, (-72, -8, 55), (64, 78, 82), 112 + 4 * fine)
    solid(image, grid, (-15, -48, 70), (62, 34, 44), 111 + 4 * fine)
    solid(image, grid, (-58, -30, 8), (21, 17, 36), 14 + 2 * fine)
    solid(image, grid, (100, 42, 62), (31, 38, 52), 126 + 4 * fine)
    solid(image, grid, (50, -38, 62), (48, 34, 46), 82)
    solid(image, grid, (50, -38, 62), (42, 28, 40), 22 + 4 * fine)
    air = ellipsoid(grid, (50, -38, 62), (41, 27, 39)) * soft(-52 - grid.y, 1)
    paint(image, air, -960)
    for side, low in ((-1, -18.0), (1, -4.0)):
        centre: Triple = (side * 64.0, 46, low)
        solid(image, grid, centre, (31, 30, 56), 178 + 5 * fine)
        solid(image, grid, (centre[0] - side * 2, 44, low), (22, 21, 46), 150 + 8 * fine)
        solid(image, grid, (centre[0] - side * 13, 40, low), (17, 13, 30), -70)
        solid(image, grid, (centre[0] - side * 18, 40, low - 4), (12, 7, 12), 18)
        solid(image, grid, (side * 40.0, 42, 50), (4, 14, 12), 70)


def vessels() -> list[Chain]:
    """Aorta with its branches, caval vein, renal, splenic, mesenteric and portal veins."""
    portal: list[Triple] = [(-4, 2, -8), (-10, -2, 14), (-30, -6, 36), (-48, -8, 52)]
    chains = [
        tube([(10, 42, 110), (8, 40, 0), (6, 38, -100)], (11.5, 9), 158),
        tube([(-22, 30, 110), (-20, 38, 20), (-16, 40, -100)], (13, 11), 152),
        tube([(8, 30, 30), (6, 20, 26), (20, 12, 28), (46, 18, 36), (80, 30, 48)], (3.6, 2.2), 160),
        tube([(7, 30, 14), (5, 16, 4), (4, 8, -30), (2, 2, -95)], (3.8, 2.6), 160),
        tube([(-8, 0, -95), (-7, 4, -40), (-4, 2, -8)], (5.0, 6.2), 176),
        tube([(88, 34, 46), (50, 22, 30), (20, 12, 14), (-4, 2, 6)], (4.2, 5.2), 174),
        tube(portal, (7, 6), 176),
        tube([(-48, -8, 52), (-84, 6, 58), (-112, 20, 60)], (5.5, 2), 172),
        tube([(-44, -8, 52), (-30, -36, 66), (-2, -52, 72)], (4.5, 1.8), 172),
    ]
    for tip in ((-120.0, 10.0, 66.0), (-72.0, -56.0, 78.0), (-20.0, -52.0, 84.0), (-108.0, 44.0, 70.0)):
        chains.append(tube([(-24, 22, 104), (tip[0] / 2 - 14, tip[1] / 2 + 6, 92), tip], (6, 1.6), 168))
    for side in (-1, 1):
        chains.append(tube([(side * 14.0 - 4, 38, -8), (side * 34.0, 40, -10), (side * 50.0, 42, -8)], (4, 4.5), 165))
    for branch in range(9):
        x = -60 + 15.0 * branch
        chains.append(tube([(-6, 2, -40), (x * 0.5, -18, -56), (x, -44, -70)], (2.4, 1.0), 160))
    return chains


def pancreas() -> list[Chain]:
    """Head, neck, body and tail, thinner towards the tail behind the widened duct."""
    return [
        tube([(-22, 8, -26), (-20, 6, -2), (-10, -6, 10), (14, -8, 20), (44, 8, 28), (74, 24, 40)], (15, 6.5), 95),
        tube([(-30, 10, -22), (-14, 12, -20), (2, 12, -18)], (11, 6), 95),
    ]


def ducts(growth: float) -> list[Chain]:
    """The bile duct and the pancreatic duct, both wide down to the mass."""
    wide = 0.55 + 0.45 * growth
    bile: list[Triple] = [(-56, -8, 50), (-36, 0, 40), (-30, 6, 24), (-26, 8, 9)]
    chains = [tube(bile, (5.6 * wide, 6.8 * wide), 8)]
    chains.append(tube([(-8, -4, 9), (14, -8, 20), (44, 8, 28), (70, 22, 38)], (3.4 * wide, 1.6), 12))
    for tip in ((-92.0, 0.0, 60.0), (-100.0, 26.0, 52.0), (-64.0, -36.0, 64.0), (-20.0, -44.0, 70.0)):
        chains.append(tube([(-52, -8, 50), ((tip[0] - 52) / 2, tip[1] / 2 - 9, 56), tip], (3.0 * wide, 0.9), 14))
    return chains


def gut(rng: np.random.Generator) -> list[Chain]:
    """Duodenum, colon with gas and stool, loops of small bowel."""
    chains: list[Chain] = []
    duodenum: list[Triple] = [
        (-30, -22, 26),
        (-46, -6, 10),
        (-46, 10, -16),
        (-36, 20, -38),
        (0, 26, -44),
        (30, 14, -36),
    ]
    chains += [tube(duodenum, (12, 10.5), 88), tube(duodenum, (9, 7.5), 24)]
    right: list[Triple] = [(-104, 12, -100), (-106, 6, -40), (-94, -12, -14)]
    across: list[Triple] = [(-94, -30, -14), (-40, -66, -34), (20, -70, -38), (80, -46, 4), (104, -6, 20)]
    left: list[Triple] = [(106, 24, 14), (110, 32, -40), (104, 30, -100)]
    for path in (right, across, left):
        chains += [tube(path, 19, 70), tube(path, 16.5, -720), tube([(x, y + 6, z) for x, y, z in path], 12, 20)]
    at = np.array([0.0, -30.0, -48.0])
    for _ in range(52):
        end = at + rng.normal(0, 26, 3)
        end = np.clip(end, (-74, -58, -108), (78, 12, -22))
        bend = (at + end) / 2 + rng.normal(0, 12, 3)
        loop: list[Triple] = [tuple(at), tuple(bend), tuple(end)]
        wall_value = float(rng.uniform(92, 112))
        chains += [tube(loop, 11, wall_value), tube(loop, 8.2, float(rng.choice([16, 24, 40, 58])))]
        at = end
    return chains


def ribs() -> list[Chain]:
    """The last ribs, sloping down along the wall."""
    chains: list[Chain] = []
    for number in range(4):
        for side in (-1, 1):
            top = 128.0 - 24 * number
            turns = np.linspace(0.35, 2.1 - 0.3 * number, 9)
            path: list[Triple] = [
                (side * 137 * float(np.sin(t)), 4 + 86 * float(np.cos(t)), top - 52 * float(t - 0.35)) for t in turns
            ]
            chains += [tube(path, 4.8, CORTEX), tube(path, 3.1, MARROW)]
    return chains
