"""The bones of the chest for the CT phantom: spine, ribs with their cartilage, breastbone, shoulder blades."""

from collections.abc import Callable

import numpy as np

from deploy.sandbox.imaging.shapes import Chain, Grid, Plane, Triple, solid, tube

VERTEBRA = 23.0
CORTEX = 620.0
MARROW = 235.0


def spine(image: Plane, grid: Grid, z: float) -> None:
    """The vertebra or disc at a height: body, canal, arch, transverse and spinous processes."""
    phase = (z % VERTEBRA) / VERTEBRA
    centre = (0.0, 62.0, z)
    waist = 1 - 0.09 * np.sin(np.pi * phase)
    if phase < 0.2:
        solid(image, grid, centre, (17.5, 14, 1), 85)
    else:
        end_plate = 1.0 if phase < 0.26 or phase > 0.95 else 0.0
        solid(image, grid, centre, (18.5 * waist, 15 * waist, 1), CORTEX)
        marrow = MARROW + 260 * end_plate
        solid(image, grid, centre, (16.6 * waist, 13.2 * waist, 1), marrow)
    arch(image, grid, z, phase)
    solid(image, grid, (0, 84, z), (10, 8.5, 1), -20)
    solid(image, grid, (0, 84, z), (8.6, 7.4, 1), 22)
    solid(image, grid, (0, 84, z), (5.4, 4.4, 1), 42)


def arch(image: Plane, grid: Grid, z: float, phase: float) -> None:
    """Pedicles, lamina and processes: they come and go with the height within one vertebra."""
    strength = float(np.clip(np.sin(np.pi * (phase - 0.1)), 0, 1))
    if strength > 0.45:
        solid(image, grid, (0, 83, z), (15, 13, 1), CORTEX * 0.85)
        for side in (-1, 1):
            solid(image, grid, (side * 13, 76, z), (5.5, 9, 1), CORTEX * 0.8)
            solid(image, grid, (side * 26, 86, z), (13, 4.5, 1), CORTEX * 0.75)
            solid(image, grid, (side * 26, 86, z), (11, 2.6, 1), MARROW)
    elif phase < 0.35:
        for side in (-1, 1):
            solid(image, grid, (side * 13, 90, z), (5, 5.5, 1), CORTEX * 0.9)
    length = 8 + 6 * np.sin(2 * np.pi * phase)
    solid(image, grid, (0, 96 + length * 0.35, z), (3, length, 1), CORTEX * 0.8)
    solid(image, grid, (0, 96 + length * 0.35, z), (1.5, length - 2, 1), MARROW)


Inside = Callable[[float], tuple[float, float]]


def rib_path(cavity: Inside, number: int, side: int) -> list[Triple]:
    """Points of one rib from its head at the spine around the chest, sloping down to the front."""
    head = 128.0 - VERTEBRA * (number - 1)
    path: list[Triple] = [(side * 20.0, 70.0, head)]
    for step in range(1, 12):
        t = step / 11
        angle = np.radians(18 + (118 if number < 9 else 96) * t)
        z = head - (40 + 6.5 * min(number, 8)) * t**1.15
        a, b = cavity(z)
        path.append((side * (a + 5) * float(np.sin(angle)), -2 + (b + 5) * float(np.cos(angle)), z))
    return path


def ribs(cavity: Inside) -> list[Chain]:
    """Eleven pairs of ribs with marrow inside, cartilage to the breastbone, and the breastbone."""
    chains: list[Chain] = []
    for number in range(1, 12):
        for side in (-1, 1):
            path = rib_path(cavity, number, side)
            chains += [tube(path, 4.9, CORTEX), tube(path, 3.2, 190)]
            if number < 8:
                a, b = cavity(path[-1][2])
                front: Triple = (side * 22.0, -b - 8, path[-1][2] - 4)
                chains.append(tube([path[-1], front], 4.6, 105))
    return chains


def breastbone(image: Plane, grid: Grid, z: float, front: float) -> None:
    """The breastbone at a height, `front` being the front of the chest's inside: a flat shell with marrow."""
    if not -58 < z < 96:
        return
    width = 15 + 9 * float(np.clip((z - 60) / 36, 0, 1)) - 5 * float(np.clip((-z - 20) / 38, 0, 1))
    for shrink, value in ((0.0, CORTEX * 0.8), (1.6, 160.0)):
        window_radii = (width - shrink, 6.2 - shrink, 1.0)
        solid(image, grid, (0, front - 10, z), window_radii, value)


def shoulder_blades() -> list[Chain]:
    """Two thin plates behind the ribs, made of strands from top to bottom, and the collar bones' inner ends."""
    chains: list[Chain] = []
    for side in (-1, 1):
        for step in range(40):
            t = step / 39
            x, y = side * (72 + 58 * t), 88 - 4 * t - 40 * t**2 + 3 * np.sin(5 * t)
            chains.append(tube([(x, y - 14, 150), (x, y - 5, 90), (x, y, 36 + 50 * abs(t - 0.25))], 1.9, 430))
        chains.append(tube([(side * 16.0, -66, 104), (side * 60.0, -72, 116), (side * 112.0, -40, 134)], 6, CORTEX))
        chains.append(tube([(side * 16.0, -66, 104), (side * 60.0, -72, 116), (side * 112.0, -40, 134)], 4, 200))
    return chains
