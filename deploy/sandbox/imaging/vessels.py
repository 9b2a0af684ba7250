"""Two more chests: large-vessel arteritis in CT angiography, a narrow, calcified aortic valve in CT of the root."""

import numpy as np

from deploy.sandbox.imaging.shapes import Chain, Grid, Plane, Stack, Triple, solid, tube
from deploy.sandbox.imaging.thorax import (
    AORTA,
    DESCENDING,
    HEART,
    LEFT_SUBCLAVIAN,
    SIZE,
    Solid,
    Thorax,
    airways,
    arteries,
    pulmonary,
    veins,
)

ANGIOGRAPHY_HEIGHTS = [float(z) for z in np.arange(-100, 146, 3)]
ROOT_HEIGHTS = [round(float(z), 2) for z in np.arange(-44, 20, 0.8)]
ROOT_FIELD_OF_VIEW = 230.0
VALVE: Triple = (17.0, -10.0, -6.0)


class Arteritis(Thorax):
    """Walls thick by half a centimetre around arch and descending aorta, the left subclavian artery narrowed."""

    def great_vessels(self) -> list[Chain]:
        """The tubes between the lungs, thick walls before the lumens they surround."""
        walls = [
            tube(AORTA[2:], (19.5, 19), 68),
            tube(DESCENDING, (18, 13.5), 66),
            tube([(-10, -12, 74), (-18, -6, 104), (-26, 0, 150)], (9.5, 7), 70),
            tube([(4, 2, 78), (16, 0, 112), (20, 4, 150)], (8.4, 7.5), 70),
            tube(LEFT_SUBCLAVIAN, (9.5, 7.5), 72),
        ]
        lumens = [
            *arteries()[:3],
            tube([(4, 2, 78), (16, 0, 112), (20, 4, 150)], (3.6, 2.6), 350),
            tube([(20, 22, 74), (25, 22, 92)], (5.0, 1.2), 350),
            tube([(25, 22, 92), (30, 22, 112)], (1.2, 1.4), 330),
            tube([(30, 22, 112), (44, 14, 150)], (1.6, 3.6), 345),
        ]
        return [*veins(), *walls, *lumens, *pulmonary(), *airways()]

    def findings(self, image: Plane, grid: Grid, z: float) -> None:
        """Nothing besides the vessels: the lungs are clear."""


class Root(Thorax):
    """The heart at higher magnification, with calcified cusps in a trefoil root and calcium in the ring."""

    breasts = False

    def __init__(self, seed: int) -> None:
        super().__init__(seed, field_of_view=ROOT_FIELD_OF_VIEW)
        self.root = Stack(root_tubes(), 0.8)
        self.calcium = Stack(calcium(np.random.default_rng(seed)), 0.8)

    def findings(self, image: Plane, grid: Grid, z: float) -> None:
        """Outflow tract, sinuses, cusps, coronary arteries and calcium over the plain heart."""
        for organ in (*HEART[2:4], Solid((34, -10, -22), (22, 20, 20), 110)):
            solid(image, grid, organ.centre, organ.radii, organ.value)
        pixel = self.field_of_view / SIZE
        self.root.draw(image, z, pixel)
        self.cusps(image, z, pixel)
        self.calcium.draw(image, z, pixel)

    def cusps(self, image: Plane, z: float, pixel: float) -> None:
        """Three thick cusps that meet in the middle: dark lines in the bright root."""
        height = (z - VALVE[2]) / 9
        if not -1 < height < 1:
            return
        shapes = []
        for turn in (0.5, 2.6, 4.7):
            reach = 15 * (1 - 0.25 * abs(height))
            edge: Triple = (VALVE[0] + reach * float(np.cos(turn)), VALVE[1] + reach * float(np.sin(turn)), z)
            shapes.append(tube([(VALVE[0], VALVE[1], z), edge], (1.5, 1.0), 95))
        Stack(shapes, 0.8).draw(image, z, pixel)


def root_tubes() -> list[Chain]:
    """Contrast from the ventricle through the ring into three sinuses and the ascending aorta; the coronaries."""
    outflow: list[Triple] = [(48, -8, -38), (36, -9, -24), (24, -9, -14), VALVE]
    chains = [tube(outflow, (17, 11.5), 325)]
    for turn in (1.55, 3.65, 5.75):
        bulge: Triple = (VALVE[0] + 7.5 * float(np.cos(turn)), VALVE[1] + 7.5 * float(np.sin(turn)), -2.0)
        chains.append(tube([(bulge[0], bulge[1], -7.0), bulge, (bulge[0] - 3, bulge[1] - 3, 4.0)], 10.5, 330))
    chains.append(tube([(15, -12, -2), (5, -18, 8), (-4, -21, 20)], (14, 15), 332))
    chains += [
        tube([(26, -10, 2), (36, -22, 4), (48, -40, -6), (58, -52, -24), (66, -52, -44)], (2.2, 1.3), 320),
        tube([(36, -16, 4), (50, -6, 4), (66, 4, -8), (76, 10, -30)], (1.9, 1.2), 318),
        tube([(10, -22, 0), (-4, -40, -4), (-22, -42, -18), (-30, -30, -40)], (2.0, 1.4), 318),
    ]
    return chains


def calcium(rng: np.random.Generator) -> list[Chain]:
    """Lumps on the cusps' hinges and free edges, a bar in the ring, specks in the arteries."""
    chains: list[Chain] = []
    for turn in (0.5, 2.6, 4.7):
        for _ in range(13):
            reach, angle = rng.uniform(2, 13), turn + rng.normal(0, 0.22)
            place = np.array([VALVE[0] + reach * np.cos(angle), VALVE[1] + reach * np.sin(angle), rng.normal(-5, 2.6)])
            end = place + rng.normal(0, 1.8, 3)
            chains.append(tube([tuple(place), tuple(end)], float(rng.uniform(0.9, 2.3)), float(rng.uniform(750, 1300))))
    ring = [(17 + 12.5 * float(np.cos(a)), -10 + 12.5 * float(np.sin(a)), -12.0) for a in np.linspace(3.0, 4.6, 6)]
    chains.append(tube(ring, 1.8, 1150))
    for at in ((40.0, -28.0, 2.0), (50.0, -42.0, -9.0), (46.0, -9.0, 4.0)):
        chains.append(tube([at, (at[0] + 3, at[1] - 3, at[2] - 1)], 1.5, 900))
    return chains
