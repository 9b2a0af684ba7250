"""Soft-edged solids, chains of spheres and smooth random fields: what the phantoms are made of.

Coordinates are millimetres in the patient (DICOM: x to the left, y to the back, z to the head).  Every random
choice takes a `numpy.random.Generator` from the caller, so equal seeds draw equal images.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.floating[Any]]
Window = tuple[slice, slice]


@dataclass(frozen=True)
class Grid:
    """The points of one slice: three planes of coordinates of equal shape, and the distance of two pixels."""

    x: Plane
    y: Plane
    z: Plane
    pixel: float

    def part(self, window: "Window") -> "Grid":
        """The rectangle of the slice that `window` names."""
        return Grid(self.x[window], self.y[window], self.z[window], self.pixel)

    def half(self) -> "Grid":
        """Every second point each way."""
        every = (slice(None, None, 2), slice(None, None, 2))
        return Grid(self.x[every], self.y[every], self.z[every], 2 * self.pixel)

    def shifted(self, dx: Plane, dy: Plane) -> "Grid":
        """The same slice seen through a displacement: solids painted on it come out less regular."""
        return Grid(self.x + dx, self.y + dy, self.z, self.pixel)


def axial(z: float, size: int, field_of_view: float) -> Grid:
    """An axial slice at height `z`, centred on x = y = 0."""
    pixel = field_of_view / size
    line = ((np.arange(size, dtype=np.float32) - (size - 1) / 2) * pixel).astype(np.float32)
    x, y = np.meshgrid(line, line)
    return Grid(x, y, np.full_like(x, z), pixel)


def sagittal(x: float, size: int, field_of_view: float) -> Grid:
    """A sagittal slice at `x`: columns run to the back, rows run to the feet."""
    pixel = field_of_view / size
    line = ((np.arange(size, dtype=np.float32) - (size - 1) / 2) * pixel).astype(np.float32)
    y, z = np.meshgrid(line, -line)
    return Grid(np.full_like(y, x), y, z, pixel)


Triple = tuple[float, float, float]


def ellipsoid(grid: Grid, centre: Triple, radii: Triple, edge: float = 1.0) -> Plane:
    """How much of each pixel lies inside an ellipsoid, 0 to 1; the edge is `edge` pixels wide."""
    dx, dy, dz = ((axis - c) / r for axis, c, r in zip((grid.x, grid.y, grid.z), centre, radii, strict=True))
    rest = 1 - (dx * dx + dy * dy + dz * dz)
    return soft(np.asarray(rest * (min(radii[0], radii[1]) / 2)), grid.pixel * edge)


def around(grid: Grid, centre: Triple, radii: Triple, margin: float = 9.0) -> Window | None:
    """The rectangle of an axial slice in which an ellipsoid can show; None when the slice misses it."""
    if abs(float(grid.z[0, 0]) - centre[2]) >= radii[2]:
        return None
    spans = []
    for size, middle, radius in zip(grid.x.shape, (centre[1], centre[0]), (radii[1], radii[0]), strict=True):
        first = (middle - radius - margin) / grid.pixel + (size - 1) / 2
        last = (middle + radius + margin) / grid.pixel + (size - 1) / 2
        spans.append(slice(max(0, int(first)), max(0, min(size, int(last) + 1))))
    return spans[0], spans[1]


def solid(image: Plane, grid: Grid, centre: Triple, radii: Triple, value: float | Plane) -> None:
    """Paint an ellipsoid on an axial slice, looking only where it is."""
    window = around(grid, centre, radii)
    if window is not None:
        paint(
            image[window],
            ellipsoid(grid.part(window), centre, radii, 1.2),
            value if isinstance(value, float | int) else value[window],
        )


def cover(mask: Plane, grid: Grid, centre: Triple, radii: Triple) -> None:
    """Add an ellipsoid to a mask of an axial slice, in place."""
    window = around(grid, centre, radii)
    if window is not None:
        np.maximum(mask[window], ellipsoid(grid.part(window), centre, radii), out=mask[window])


def soft(distance: Plane, width: float) -> Plane:
    """Turn a distance to an edge (positive inside) into coverage 0 to 1 over `width` millimetres."""
    return np.asarray(np.clip(distance / np.float32(width) + np.float32(0.5), 0, 1), dtype=np.float32)


def paint(image: Plane, mask: Plane, value: float | Plane) -> None:
    """Blend `value` over the image where the mask covers it, in place."""
    image += mask * (value - image)


@dataclass(frozen=True)
class Waves:
    """A smooth random field: a sum of plane waves of about one wavelength, mean 0, deviation 1."""

    vectors: NDArray[np.float32]
    phases: NDArray[np.float32]

    def at(self, grid: Grid) -> Plane:
        """The field's value at each point of a slice."""
        total = np.zeros_like(grid.x)
        for (kx, ky, kz), phase in zip(self.vectors, self.phases, strict=True):
            total += np.cos(kx * grid.x + ky * grid.y + kz * grid.z + phase)
        return (total * np.float32(np.sqrt(2 / len(self.phases)))).astype(np.float32)


def waves(rng: np.random.Generator, wavelength: float, count: int = 12, spread: float = 0.35) -> Waves:
    """Choose the waves of a random field with the given wavelength in millimetres."""
    directions = rng.standard_normal((count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = 2 * np.pi / (wavelength * (1 + spread * rng.uniform(-1, 1, count)))
    vectors = (directions * lengths[:, None]).astype(np.float32)
    return Waves(vectors, rng.uniform(0, 2 * np.pi, count).astype(np.float32))


@dataclass(frozen=True)
class Chain:
    """Spheres along a curve, each with a radius and a value: vessels, airways, ribs."""

    points: NDArray[np.float32]
    radii: NDArray[np.float32]
    value: float


def tube(path: list[Triple], radius: float | tuple[float, float], value: float) -> Chain:
    """A chain along a smooth curve through the points of `path`, its radius going from the first to the last value."""
    knots = np.asarray(path, dtype=np.float64)
    first, last = radius if isinstance(radius, tuple) else (radius, radius)
    longest = float(np.linalg.norm(np.diff(knots, axis=0), axis=1).max())
    count = max(3, int((len(knots) - 1) * longest / max(0.6, 0.4 * min(first, last))))
    at = np.linspace(0, len(knots) - 1, count)
    points = catmull_rom(knots, at) if len(knots) > 2 else knots[0] + np.outer(at, knots[1] - knots[0])
    return Chain(points.astype(np.float32), np.linspace(first, last, count, dtype=np.float32), value)


def catmull_rom(knots: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points of the Catmull-Rom spline through the knots at fractional knot numbers."""
    padded = np.vstack([2 * knots[0] - knots[1], knots, 2 * knots[-1] - knots[-2]])
    index = np.minimum(at.astype(int), len(knots) - 2)
    t = (at - index)[:, None]
    a, b, c, d = (padded[index + shift] for shift in range(4))
    spline = 2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * (b - c) + d - a) * t**3
    return np.asarray(spline / 2, dtype=np.float64)


class Stack:
    """Chains cut into slices: for each slice the discs to draw, in the order in which the chains were given."""

    def __init__(self, chains: list[Chain], thickness: float) -> None:
        self.points = np.concatenate([chain.points for chain in chains])
        self.radii = np.concatenate([chain.radii for chain in chains])
        self.values = np.concatenate([np.full(len(chain.radii), chain.value, np.float32) for chain in chains])
        self.reach = np.maximum(self.radii, thickness / 2)

    def draw(self, image: Plane, z: float, pixel: float) -> None:
        """Draw onto a square slice at height `z` the discs that the spheres leave in it."""
        near = np.abs(self.points[:, 2] - z) < self.reach
        centre = (image.shape[0] - 1) / 2
        depth = self.points[near, 2] - z
        radii = np.sqrt(np.maximum(self.radii[near] ** 2 - depth**2, 0.15)) / pixel
        columns, rows = self.points[near, 0] / pixel + centre, self.points[near, 1] / pixel + centre
        for column, row, radius, value in zip(
            columns.tolist(), rows.tolist(), radii.tolist(), self.values[near].tolist(), strict=True
        ):
            disc(image, (column, row), radius, value)


def disc(image: Plane, at: tuple[float, float], radius: float, value: float) -> None:
    """Blend one soft disc (pixels) into the image, in place; parts outside are left out."""
    column, row = at
    left, right = max(0, int(column - radius - 1)), min(image.shape[1], int(column + radius + 3))
    top, bottom = max(0, int(row - radius - 1)), min(image.shape[0], int(row + radius + 3))
    if left >= right or top >= bottom:
        return
    dy = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(row)
    dx = np.arange(left, right, dtype=np.float32)[None, :] - np.float32(column)
    mask = np.clip(np.float32(radius + 0.5) - np.sqrt(dx * dx + dy * dy), 0, 1)
    part = image[top:bottom, left:right]
    part += mask * (np.float32(value) - part)


def enlarge(image: Plane) -> Plane:
    """Twice the size, bilinear: four pixels out of each, the edges repeated."""
    padded = np.pad(image, 1, mode="edge")
    rows = np.empty((2 * image.shape[0], padded.shape[1]), np.float32)
    rows[0::2] = 0.75 * padded[1:-1] + 0.25 * padded[:-2]
    rows[1::2] = 0.75 * padded[1:-1] + 0.25 * padded[2:]
    out = np.empty((rows.shape[0], 2 * image.shape[1]), np.float32)
    out[:, 0::2] = 0.75 * rows[:, 1:-1] + 0.25 * rows[:, :-2]
    out[:, 1::2] = 0.75 * rows[:, 1:-1] + 0.25 * rows[:, 2:]
    return out


def grain(rng: np.random.Generator, size: int, correlation: float) -> Plane:
    """A square of noise with neighbours alike over `correlation` pixels; mean 0, deviation 1; edges wrap around."""
    spectrum = np.fft.rfft2(rng.standard_normal((size, size)))
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]
    spectrum *= np.exp(-2 * (np.pi * correlation) ** 2 * (fx * fx + fy * fy))
    noise = np.fft.irfft2(spectrum, s=(size, size))
    return np.asarray(noise / noise.std(), dtype=np.float32)
