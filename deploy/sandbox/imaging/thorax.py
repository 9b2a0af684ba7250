"""A contrast CT of a chest in Hounsfield units: body wall, bones, lungs, heart, great vessels, upper abdomen.

`Thorax(seed).slice(z)` draws one axial slice; HEIGHTS are those of the examination.  The frame: x = y = 0 in the
middle of the chest, z = 0 at the middle of the heart, the front of the body at negative y.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from deploy.sandbox.imaging.bones import breastbone, ribs, shoulder_blades, spine
from deploy.sandbox.imaging.shapes import (
    Chain,
    Grid,
    Plane,
    Stack,
    Triple,
    around,
    axial,
    cover,
    ellipsoid,
    enlarge,
    grain,
    paint,
    soft,
    solid,
    tube,
    waves,
)

SIZE = 512
FIELD_OF_VIEW = 370.0
HEIGHTS = [float(z) for z in range(-150, 150)]
LESION: Triple = (-68.0, 26.0, 62.0)


def cavity(z: float) -> tuple[float, float]:
    """Half width and half depth of the chest's inside at a height; it closes as a dome above the lung tips."""
    above = max(0.0, (z + 40) / 178)
    scale = float(np.sqrt(max(0.0025, 1 - above**2.6)))
    return 132 * scale + 4, 82 * scale + 4


@dataclass(frozen=True)
class Solid:
    """One organ: an ellipsoid with its value, and how much the vessels' texture shows in it."""

    centre: Triple
    radii: Triple
    value: float


HEART = [
    Solid((24, -22, -28), (72, 56, 62), -75),
    Solid((24, -22, -28), (66, 50, 57), 60),
    Solid((50, -8, -40), (36, 35, 46), 112),
    Solid((52, -8, -38), (24, 22, 35), 318),
    Solid((10, -42, -38), (38, 24, 42), 205),
    Solid((-30, -22, -26), (23, 26, 33), 190),
    Solid((14, 24, -2), (34, 19, 22), 325),
]
ABDOMEN = [
    Solid((-58, -2, -150), (90, 88, 82), 108),
    Solid((20, -38, -150), (66, 42, 52), 106),
    Solid((92, 40, -150), (40, 48, 58), 128),
    Solid((58, -30, -138), (44, 44, 44), 38),
]
GASTRIC_AIR: tuple[Triple, Triple] = ((58, -30, -138), (40, 40, 40))
BETWEEN_LUNGS: list[tuple[Triple, Triple]] = [
    ((24, -22, -28), (75, 59, 65)),
    ((0, 10, 70), (34, 36, 90)),
    ((2, -20, 44), (40, 34, 60)),
    ((26, 42, -20), (17, 17, 110)),
    ((-28, 0, -60), (19, 26, 50)),
]
DOMES = [Solid((-58, 0, -152), (92, 90, 86), 0), Solid((70, 8, -152), (76, 84, 72), 0)]


AORTA: list[Triple] = [(22, -6, -12), (2, -20, 10), (-14, -22, 36), (-8, -12, 64), (12, 12, 76), (27, 38, 62)]
DESCENDING: list[Triple] = [(27, 38, 62), (28, 46, 30), (26, 47, -30), (14, 44, -100), (4, 40, -155)]
LEFT_SUBCLAVIAN: list[Triple] = [(20, 22, 74), (30, 22, 112), (44, 14, 150)]


def great_vessels() -> list[Chain]:
    """Oesophagus, veins, aorta with its branches, pulmonary vessels, airways, in the order of painting."""
    return [*veins(), *arteries(), *pulmonary(), *airways()]


def veins() -> list[Chain]:
    """Oesophagus, azygos, caval veins, hepatic veins, the left brachiocephalic vein."""
    return [
        tube([(4, 36, 155), (6, 40, 60), (12, 40, -40), (20, 26, -130)], 7, 42),
        tube([(5, 37, 155), (7, 40, 60), (12, 40, -40)], 1.6, -500),
        tube([(-9, 52, 40), (-9, 54, -140)], 3.2, 150),
        tube([(-30, -14, 130), (-30, -14, 40), (-30, -20, -20)], (8, 10), 420),
        tube([(-28, -8, -60), (-26, 18, -100), (-24, 26, -155)], (12, 11), 150),
        *hepatic_veins(),
        tube([(50, 4, 128), (20, -28, 100), (-28, -18, 84)], 6, 430),
    ]


def arteries() -> list[Chain]:
    """The aorta and the branches of its arch."""
    return [
        tube(AORTA, (16.5, 13.5), 330),
        tube(DESCENDING, (12.5, 10.5), 332),
        tube([(-10, -12, 74), (-18, -6, 104), (-26, 0, 150)], (7, 5), 328),
        tube([(4, 2, 78), (16, 0, 112), (20, 4, 150)], (4.5, 4), 328),
        tube(LEFT_SUBCLAVIAN, (5.5, 4.5), 328),
    ]


def pulmonary() -> list[Chain]:
    """The pulmonary trunk, its arteries, the veins to the left atrium."""
    return [
        tube([(22, -42, -8), (26, -32, 16), (24, -12, 34)], (15, 13.5), 262),
        tube([(22, -14, 32), (-6, -4, 30), (-42, 6, 24), (-58, 12, 10)], (11, 7), 262),
        tube([(24, -10, 34), (46, 14, 36), (58, 26, 20)], (11, 7), 262),
        tube([(-10, 22, 0), (-34, 16, -4), (-56, 18, -12)], (8, 4), 305),
        tube([(36, 24, 0), (56, 24, -2), (70, 26, -12)], (8, 4), 305),
    ]


def airways() -> list[Chain]:
    """Windpipe and main bronchi: walls first, then the air in them."""
    airway: list[Triple] = [(0, 8, 155), (1, 14, 100), (0, 18, 50)]
    right: list[Triple] = [(0, 18, 50), (-20, 20, 36), (-42, 22, 22)]
    left: list[Triple] = [(0, 18, 50), (22, 22, 34), (46, 26, 18)]
    return [
        tube(airway, 10.5, 30),
        tube(right, (8.2, 7), 20),
        tube(left, (7.8, 6.6), 20),
        tube(airway, 8.8, -995),
        tube(right, (6.8, 5.2), -990),
        tube(left, (6.2, 4.8), -990),
    ]


def hepatic_veins() -> list[Chain]:
    """The liver's veins, from the caval vein outwards, and the portal branches."""
    root: Triple = (-28, 8, -92)
    tips: list[Triple] = [(-110, 20, -128), (-70, -50, -122), (-20, -60, -118), (-95, 50, -140)]
    veins = [tube([root, ((t[0] - 28) / 2, t[1] / 2 + 2, -104), t], (5.5, 1.5), 150) for t in tips]
    portal: list[Triple] = [(-120, -10, -140), (-80, 40, -138), (-60, -55, -146)]
    return veins + [tube([(-30, -8, -142), ((t[0] - 30) / 2, t[1] / 2 - 6, -138), t], (5, 1.5), 148) for t in portal]


def in_lung(point: np.ndarray, margin: float = 4.0) -> bool:
    """Whether a point lies inside a lung, `margin` millimetres away from the ribs and the domes."""
    x, y, z = (float(c) for c in point)
    a, b = cavity(z)
    inside = (x / (a - margin)) ** 2 + ((y + 2) / (b - margin)) ** 2 < 1 if a > margin + 6 else False
    clear = all(
        sum(((p - c) / (r + margin)) ** 2 for p, c, r in zip((x, y, z), dome.centre, dome.radii, strict=True)) > 1
        for dome in [*DOMES, Solid((24, -22, -28), (72, 56, 62), 0)]
    )
    return inside and clear and abs(x) > 16


def vessel_tree(rng: np.random.Generator, side: int) -> list[Chain]:
    """The branching vessels of one lung (side -1 the right, +1 the left), from the hilum down to half a millimetre."""
    chains: list[Chain] = []
    start = np.array([side * 46.0, 18.0, 16.0])
    stems = rng.standard_normal((34, 3)) + np.array([side * 0.55, 0.05, -0.45])
    todo = [(start + rng.normal(0, 7, 3), stem / np.linalg.norm(stem), rng.uniform(2.6, 4.0)) for stem in stems]
    while todo:
        at, heading, radius = todo.pop()
        end = at + heading * rng.uniform(6.5, 10.5) * (0.55 + radius * 0.42)
        if radius < 0.42 or not in_lung(end):
            continue
        chains.append(tube([tuple(at), tuple(end)], (radius, radius * 0.9), 60.0 if radius > 1 else 10.0))
        for spread, shrink in ((0.35, rng.uniform(0.84, 0.93)), (0.85, rng.uniform(0.55, 0.78))):
            turned = heading + spread * rng.standard_normal(3) * 0.8
            todo.append((end, turned / np.linalg.norm(turned), radius * shrink))
    return chains


@lru_cache(maxsize=1)
def lung_vessels() -> Stack:
    """The vessels of both lungs, equal values together; every chest has the same, they take a second to grow."""
    rng = np.random.default_rng(7)
    return Stack(sorted([*vessel_tree(rng, -1), *vessel_tree(rng, 1)], key=lambda chain: chain.value), 1.0)


def spicules(rng: np.random.Generator) -> list[Chain]:
    """The strands around the mass, and a tail to the pleura."""
    centre = np.array(LESION)
    rays = rng.standard_normal((26, 3))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    strands = [
        tube([tuple(centre + 12 * ray), tuple(centre + rng.uniform(20, 28) * ray)], (1.5, 0.5), -120.0) for ray in rays
    ]
    return [*strands, tube([LESION, (-92, 46, 62), (-108, 50, 60)], (2.2, 0.9), -60.0)]


class Thorax:
    """The drawing of one chest; `lesion=False` leaves the tumour and its node out (an earlier examination)."""

    breasts = True

    def __init__(self, seed: int, lesion: bool = True, field_of_view: float = FIELD_OF_VIEW) -> None:
        rng = np.random.default_rng(seed)
        self.seed, self.lesion, self.field_of_view = seed, lesion, field_of_view
        self.warps = [waves(rng, 70, 5), waves(rng, 70, 5)]
        self.coarse, self.fine = waves(rng, 46, 6), waves(rng, 13, 8)
        self.bones = Stack([*ribs(cavity), *shoulder_blades()], 1.0)
        self.soft_tubes = Stack(self.great_vessels(), 1.0)
        self.lungs = lung_vessels()
        self.strands = Stack(spicules(rng), 1.0)
        self.noise = [grain(rng, SIZE, 0.9) * 9 + grain(rng, SIZE, 2.2) * 5 for _ in range(5)]

    def great_vessels(self) -> list[Chain]:
        """The tubes between the lungs."""
        return great_vessels()

    def slice(self, z: float) -> Plane:
        """One slice: coarse solids on half the matrix, then bones, vessels and noise on the whole."""
        plain = axial(z, SIZE // 2, self.field_of_view)
        small = plain.half()
        grid = plain.shifted(*(2.2 * enlarge(warp.at(small)) for warp in self.warps))
        image = np.full_like(plain.x, -1000)
        texture, coarse = enlarge(self.fine.at(small)), enlarge(self.coarse.at(small))
        table(image, plain)
        wall(image, grid, z, coarse, self.breasts)
        lungs = chest(image, grid, z, texture)
        image = enlarge(image)
        self.vessels(image, z, enlarge(lungs))
        pixel = self.field_of_view / SIZE
        self.soft_tubes.draw(image, z, pixel)
        self.bones.draw(image, z, pixel)
        whole = axial(z, SIZE, self.field_of_view)
        spine(image, whole, z)
        breastbone(image, whole, z, -cavity(z)[1])
        if self.lesion:
            self.findings(image, whole, z)
        return self.noisy(image, z)

    def vessels(self, image: Plane, z: float, lungs: Plane) -> None:
        """The lungs' vessels, only where there is lung."""
        drawn = image.copy()
        self.lungs.draw(drawn, z, self.field_of_view / SIZE)
        paint(image, lungs, drawn)

    def findings(self, image: Plane, grid: Grid, z: float) -> None:
        """A spiculated mass in the right upper lobe and an enlarged node beside the trachea."""
        self.strands.draw(image, z, self.field_of_view / SIZE)
        window = around(grid, LESION, (24, 24, 22))
        if window is not None:
            part, piece = grid.part(window), image[window]
            lumps = self.fine.at(part)
            paint(piece, ellipsoid(part.shifted(2.2 * lumps, -1.8 * lumps), LESION, (17, 15.5, 16)), 62 + 7 * lumps)
            paint(piece, ellipsoid(part, (-70, 24, 61), (5, 4, 5), 4), 22)
        solid(image, grid, (-17, 4, 66), (8.5, 7, 10), 88)

    def noisy(self, image: Plane, z: float) -> Plane:
        """Add the scanner's noise, another piece of it for each height."""
        rng = np.random.default_rng([self.seed, round(z * 10) + 10_000])
        base = self.noise[int(rng.integers(len(self.noise)))]
        shift = rng.integers(0, SIZE, 2)
        rolled = np.roll(base, (int(shift[0]), int(shift[1])), (0, 1))
        return np.clip(image + rolled, -1024, 3071).astype(np.float32)


def table(image: Plane, grid: Grid) -> None:
    """The scanner's table: a thin curved shell below the body."""
    height = grid.y - (136 - (grid.x / 215) ** 2 * 40)
    shell = soft(2.0 - np.abs(height), 1.5) * soft(195 - np.abs(grid.x), 2)
    paint(image, shell, -480)
    foam = soft(9 - np.abs(height - 11), 2) * soft(192 - np.abs(grid.x), 2)
    paint(image, foam, -925)


def outline(grid: Grid, half_width: float, half_depth: float) -> Plane:
    """Distance to a rounded rectangle, positive inside."""
    power = np.abs(grid.x / half_width) ** 2.6 + np.abs(grid.y / half_depth) ** 2.6
    return np.asarray(((1 - power) * min(half_width, half_depth) / 2.6), dtype=np.float32)


def wall(image: Plane, grid: Grid, z: float, coarse: Plane, breasts: bool = True) -> None:
    """Skin, fat, breasts and muscle with fat between its layers."""
    width = 162 + 6 * np.sin(z / 60) - max(0, z - 90) * 0.35
    sunk = max(0.0, z - 70) * 0.16
    body = Grid(grid.x, grid.y - np.float32(sunk), grid.z, grid.pixel)
    depth = 113 - sunk
    skin = outline(body, width, depth)
    for side in (-1, 1) if breasts else ():
        skin = np.maximum(skin, lump(grid, (side * 84.0, -84, -8), (58, 46, 66)))
    paint(image, soft(skin, 1.5), 20)
    paint(image, soft(skin - 2.2, 1.5), -104 + 5 * coarse)
    for side in (-1, 1) if breasts else ():
        gland = ellipsoid(grid, (side * 86.0, -100, -10), (32, 17, 36), 6) * soft(coarse + 0.25, 1.0)
        paint(image, gland * 0.75, 25)
    inner = outline(body, width - 15, depth - 12) - 1.2 * coarse
    paint(image, soft(inner, 2.2), 58 + 3 * coarse)
    a, b = cavity(z)
    planes = np.hypot(grid.x * b / a, grid.y) - b - 11
    layer = soft(1.0 - np.abs((planes + 1.5 * coarse) % 17 - 6), 1.4) * soft(coarse + 0.45, 0.5)
    paint(image, soft(inner, 3) * layer, -88)


def lump(grid: Grid, centre: Triple, radii: Triple) -> Plane:
    """Distance to an ellipsoid's surface, positive inside, about right near the surface."""
    parts = ((axis - c) / r for axis, c, r in zip((grid.x, grid.y, grid.z), centre, radii, strict=True))
    return np.asarray(((1 - np.sqrt(sum(part * part for part in parts))) * min(radii)), dtype=np.float32)


def chest(image: Plane, grid: Grid, z: float, texture: Plane) -> Plane:
    """Everything inside the ribs, without tubes; returns where there is lung."""
    a, b = cavity(z)
    inside = ellipsoid(grid, (0, -2, z), (a, b, 1.0), 1.2)
    paint(image, inside, -92 + 4 * texture)
    closed = mediastinum(grid, z)
    for dome in DOMES:
        cover(closed, grid, dome.centre, dome.radii)
    lungs = inside * (1 - closed)
    paint(image, lungs, (-868 + 0.34 * (grid.y + 60) + 9 * texture).astype(np.float32))
    fissure(image, grid, lungs)
    for organ in HEART:
        solid(image, grid, organ.centre, organ.radii, organ.value + 3 * texture)
    belly = image.copy()
    for organ in ABDOMEN if z < -40 else []:
        solid(belly, grid, organ.centre, organ.radii, organ.value + 4 * texture)
    gas = ellipsoid(grid, *GASTRIC_AIR) * soft(-46 - grid.y, 1)
    paint(belly, gas, -970)
    paint(image, inside, belly)
    return lungs


def mediastinum(grid: Grid, z: float) -> Plane:
    """What lies between the lungs at this height: heart sac, vessels, a thin strip in front and behind."""
    mask = soft(1.6 - np.abs(grid.x - 7 - 0.1 * grid.z), 1.5) * (grid.y < 0)
    for centre, radii in BETWEEN_LUNGS:
        cover(mask, grid, centre, radii)
    cover(mask, grid, (2, 62, z), (30, 34, 1.0))
    return mask


def fissure(image: Plane, grid: Grid, lungs: Plane) -> None:
    """The oblique fissures as faint planes."""
    for side in (-1, 1):
        plane = grid.y * 0.72 - grid.z * 0.69 - 14 + side * 4
        line = soft(0.7 - np.abs(plane), 1.5) * lungs * (side * grid.x > 12)
        paint(image, (line * 0.35).astype(np.float32), -600)
