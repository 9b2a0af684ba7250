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
    """The points of one slice: three planes of coordinates of equal shape, and the distance of two pixels.

    `plain`: each coordinate is a part that hangs on the row plus one that hangs on the column.
    """

    x: Plane
    y: Plane
    z: Plane
    pixel: float
    plain: bool = True

    def part(self, window: "Window") -> "Grid":
        """The rectangle of the slice that `window` names."""
        return Grid(self.x[window], self.y[window], self.z[window], self.pixel, self.plain)

    def half(self) -> "Grid":
        """Every second point each way."""
        every = (slice(None, None, 2), slice(None, None, 2))
        return Grid(self.x[every], self.y[every], self.z[every], 2 * self.pixel, self.plain)

    def shifted(self, dx: Plane, dy: Plane) -> "Grid":
        """The same slice seen through a displacement: solids painted on it come out less regular."""
        return Grid(self.x + dx, self.y + dy, self.z, self.pixel, plain=False)


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
    mask = np.zeros_like(grid.x)
    window = within_reach(grid, centre, radii)
    if window is not None:
        part = grid.part(window)
        dx, dy, dz = ((axis - c) / r for axis, c, r in zip((part.x, part.y, part.z), centre, radii, strict=True))
        rest = 1 - (dx * dx + dy * dy + dz * dz)
        mask[window] = soft(np.asarray(rest * (min(radii[0], radii[1]) / 2)), grid.pixel * edge)
    return mask


def within_reach(grid: Grid, centre: Triple, radii: Triple, margin: float = 16.0) -> Window | None:
    """The rectangle of a slice, whichever way it lies, that an ellipsoid can touch; `margin` allows for shifts."""
    spans = [slice(None), slice(None)]
    for axis, c, r in zip((grid.x, grid.y, grid.z), centre, radii, strict=True):
        lines = (axis[:, 0], axis[0])
        moving = [abs(float(line[-1] - line[0])) > 0.6 * grid.pixel * len(line) for line in lines]
        line = lines[moving.index(True)] if any(moving) else axis[:1, 0]
        found = np.flatnonzero(np.abs(line - c) < r + margin)
        if not len(found):
            return None
        if any(moving):
            spans[moving.index(True)] = slice(int(found[0]), int(found[-1]) + 1)
    return spans[0], spans[1]


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
        """The field's value at each point of a slice; on a plain one the waves part into rows and columns."""
        if grid.plain:
            return self.product(grid)
        total = np.zeros_like(grid.x)
        for (kx, ky, kz), phase in zip(self.vectors, self.phases, strict=True):
            total += np.cos(kx * grid.x + ky * grid.y + kz * grid.z + phase)
        return (total * np.float32(np.sqrt(2 / len(self.phases)))).astype(np.float32)

    def product(self, grid: Grid) -> Plane:
        """The same on a plain slice, as one matrix product."""
        axes = (grid.x, grid.y, grid.z)
        rows = np.stack([axis[:, 0] for axis in axes], 1) @ self.vectors.T + self.phases
        columns = np.stack([axis[0] - axis[0, 0] for axis in axes], 1) @ self.vectors.T
        total = np.cos(rows) @ np.cos(columns).T - np.sin(rows) @ np.sin(columns).T
        return np.asarray(total * np.float32(np.sqrt(2 / len(self.phases))), dtype=np.float32)


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
        """Draw onto a square slice at height `z` the discs that the spheres leave in it, equal values together."""
        near = np.flatnonzero(np.abs(self.points[:, 2] - z) < self.reach)
        if not len(near):
            return
        centre = (image.shape[0] - 1) / 2
        depth = self.points[near, 2] - z
        radii = np.sqrt(np.maximum(self.radii[near] ** 2 - depth**2, 0.15)) / pixel
        at = self.points[near, :2] / pixel + centre
        values = self.values[near]
        ends = [*(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
        start = 0
        for end in ends:
            discs(image, at[start:end], radii[start:end], float(values[start]))
            start = end


def discs(image: Plane, at: NDArray[np.floating[Any]], radii: NDArray[np.floating[Any]], value: float) -> None:
    """Blend soft discs (pixels; column, row) of one value into the image, in place: where they overlap, once."""
    low = np.maximum(np.floor((at - radii[:, None]).min(0)).astype(int) - 2, 0)
    high = np.minimum(np.ceil((at + radii[:, None]).max(0)).astype(int) + 3, image.shape[::-1])
    if (low >= high).any():
        return
    mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.float32)
    reach = np.ceil(radii + 0.5).astype(int)
    for size in np.unique(reach).tolist():
        chosen = reach == size
        stamp(mask, (at[chosen] - low).astype(np.float32), radii[chosen].astype(np.float32), size)
    paint(image[low[1] : high[1], low[0] : high[0]], mask, value)


def stamp(mask: Plane, at: Plane, radii: Plane, reach: int) -> None:
    """Raise a mask to the coverage of discs that all fit into windows of `reach` pixels each way."""
    offsets = np.arange(-reach, reach + 1)
    columns = np.rint(at[:, 0]).astype(int)[:, None] + offsets
    rows = np.rint(at[:, 1]).astype(int)[:, None] + offsets
    dx, dy = columns - at[:, :1], rows - at[:, 1:]
    cover = radii[:, None, None] + np.float32(0.5) - np.sqrt(dx[:, None, :] ** 2 + dy[:, :, None] ** 2)
    inside = ((rows >= 0) & (rows < mask.shape[0]))[:, :, None] & ((columns >= 0) & (columns < mask.shape[1]))[
        :, None, :
    ]
    keep = inside & (cover > 0)
    flat = (rows[:, :, None] * mask.shape[1] + columns[:, None, :])[keep]
    np.maximum.at(mask.reshape(-1), flat, np.minimum(cover[keep], 1).astype(np.float32))


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
