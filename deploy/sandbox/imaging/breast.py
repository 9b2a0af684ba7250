"""Mammograms: two views of each breast as a workstation gets them, the left with a spiculated mass and calcium.

Drawn in half size (fat, glands, ligaments, vessels, muscle) and finished in full size (strands, calcifications, noise).
Coordinates of a view are shares of its picture: u from the chest wall to the nipple, v from top to bottom.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deploy.sandbox.imaging.shapes import Plane, discs, enlarge, grain, paint, soft

ROWS, COLUMNS = 2304, 1792
PIXEL = 0.1
WHITE = 4095


@dataclass(frozen=True)
class View:
    """One projection of one breast: `left` or right, from above (CC) or oblique (MLO), with or without a lesion."""

    left: bool
    oblique: bool
    lesion: bool = False

    @property
    def name(self) -> str:
        """As technologists write it: L CC, R MLO."""
        return f"{'L' if self.left else 'R'} {'MLO' if self.oblique else 'CC'}"


VIEWS = (View(False, False), View(True, False), View(False, True), View(True, True))


def rough(rng: np.random.Generator, shape: tuple[int, int], power: float) -> Plane:
    """Noise whose amplitude falls with the frequency to a power, as breast tissue's does; mean 0, deviation 1."""
    spectrum = np.fft.rfft2(rng.standard_normal(shape).astype(np.float32))
    fy, fx = np.fft.fftfreq(shape[0])[:, None] * shape[0] / shape[1], np.fft.rfftfreq(shape[1])[None, :]
    spectrum /= np.maximum(np.hypot(fx, fy), 1 / shape[1]) ** power
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, s=shape)
    return np.asarray(noise / noise.std(), dtype=np.float32)


class Breast:
    """One woman's breasts; `draw` gives a view with the chest wall where radiologists hang it."""

    def __init__(self, seed: int, density: float = 0.5) -> None:
        self.seed, self.density = seed, density

    def draw(self, view: View, step: int = 1) -> NDArray[np.uint16]:
        """The view in 12 bits, bright where dense, cut out of the black around it."""
        rng = np.random.default_rng([self.seed, view.left, view.oblique])
        half = self.half_size(view, rng)
        picture = enlarge(half)
        if view.lesion:
            calcifications(picture, rng, spot(view))
        inside = picture > 130
        picture += grain(rng, 512, 0.6)[np.arange(ROWS)[:, None] % 512, np.arange(COLUMNS) % 512] * 14 * inside
        out = np.clip(picture, 0, WHITE).astype(np.uint16)
        if not view.left:
            out = out[:, ::-1]
        letters(out, view)
        return np.ascontiguousarray(out[::step, ::step])

    def half_size(self, view: View, rng: np.random.Generator) -> Plane:
        """Everything large, two tenths of a millimetre a pixel."""
        shape = (ROWS // 2, COLUMNS // 2)
        row, column = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij")
        wide = rough(rng, shape, 1.9)
        depth = outline(view, row, column) + 3 * wide
        tissue, net = rough(rng, shape, 1.5), rough(rng, shape, 1.12)
        plump = np.clip(depth / 90, 0, 1) ** 0.45
        image = 1080 * plump + 70 * tissue + 46 * net * plump
        glands(image, (view, row, column), (wide, tissue, net), self.density)
        strands(image, rng, plump)
        if view.oblique:
            muscle(image, row, column, tissue)
        if view.lesion:
            mass(image, rng, spot(view), tissue)
        skin = soft(4 - np.abs(depth - 5), 4) * 330
        return np.asarray((image + skin) * soft(depth, 3) + 25, dtype=np.float32)


def outline(view: View, row: Plane, column: Plane) -> Plane:
    """Distance to the skin line in half-size pixels, positive inside; the nipple stands out of it."""
    middle = 640.0 if view.oblique else 576.0
    reach = (630.0 - 0.05 * row) if view.oblique else np.full_like(row, 590.0)
    above, below = (756.0, 410.0) if view.oblique else (455.0, 455.0)
    x, y = column / reach, (row - middle) / np.where(row < middle, above, below)
    body = (1 - np.sqrt(np.abs(x) ** 2.15 + np.abs(y) ** 2.3)) * 500
    nipple = 1 - np.hypot((column - np.max(reach) + 4 + 30 * view.oblique) / 26, (row - middle) / 22)
    return np.asarray(np.maximum(body, nipple * 22), dtype=np.float32)


def glands(image: Plane, where: tuple[View, Plane, Plane], noise: tuple[Plane, Plane, Plane], density: float) -> None:
    """Fibroglandular tissue: a cone behind the nipple, more of it towards the upper outer quadrant."""
    view, row, column = where
    wide, tissue, net = noise
    middle = 600.0 if view.oblique else 545.0
    cone = 1.15 - np.hypot((column - 330) / 330, (row - middle) / (150 + 0.42 * np.maximum(0, 560 - column)))
    level = soft(cone + 0.34 * wide + 0.30 * tissue + 0.55 * (density - 0.5), 0.95)
    fibres = 0.72 + 0.17 * net + 0.14 * tissue
    image += level * fibres * 1050


def strands(image: Plane, rng: np.random.Generator, plump: Plane) -> None:
    """Ligaments as ridges of a rough field, and some vessels that wander from the chest wall."""
    field = rough(rng, (image.shape[0], image.shape[1]), 1.35)
    ridge = np.clip(1 - np.abs(field) * 7, 0, 1) ** 2
    image += ridge * 190 * plump
    for _ in range(5):
        count = 520
        heading = np.cumsum(rng.normal(0, 0.02, count)) + rng.uniform(-0.5, 0.5)
        x = np.cumsum(np.cos(heading)) + 20
        y = np.cumsum(np.sin(heading)) + rng.uniform(300, 850)
        line = np.zeros_like(image)
        discs(line, np.stack([x, y], 1), np.linspace(2.6, 1.0, count), 1.0)
        image += line * 130


def muscle(image: Plane, row: Plane, column: Plane, tissue: Plane) -> None:
    """The pectoral muscle across the upper corner, and a node with its fatty hilum in the axilla."""
    edge = 300 - column - 0.36 * row + 40 * np.sin(row / 260) + 4 * tissue
    fibres = 45 * np.sin((column * 0.9 + row * 0.42) / 9 + 1.5 * tissue)
    paint(image, soft(edge, 26) * 0.9, 1780 + 90 * tissue + fibres)
    for at, radius in (((120.0, 190.0), 24.0), ((225.0, 330.0), 17.0)):
        away = np.hypot((row - at[0]) / 1.35, column - at[1])
        paint(image, soft(radius - away, 9) * 0.6, 2250 + 60 * tissue)
        paint(image, soft(radius * 0.5 - np.hypot(row - at[0], column - at[1] - 9), 8) * 0.7, 1600)


def spot(view: View) -> tuple[float, float]:
    """Where the lesion lies in half-size pixels (row, column): upper outer quadrant of the left breast."""
    return (430.0, 300.0) if view.oblique else (395.0, 290.0)


def mass(image: Plane, rng: np.random.Generator, at: tuple[float, float], tissue: Plane) -> None:
    """An irregular dense mass of two centimetres with strands that pull the tissue around it."""
    rows, columns = slice(int(at[0]) - 230, int(at[0]) + 230), slice(int(at[1]) - 230, int(at[1]) + 230)
    piece, rough_edge = image[rows, columns], tissue[rows, columns]
    y, x = np.meshgrid(np.arange(-230, 230, dtype=np.float32), np.arange(-230, 230, dtype=np.float32), indexing="ij")
    angle, away = np.arctan2(y, x), np.hypot(y, x)
    arms = np.zeros_like(piece)
    for _ in range(54):
        turn, long = rng.uniform(-np.pi, np.pi), rng.uniform(70, 205)
        bend = turn + 0.0011 * rng.normal() * away
        across = np.abs(np.angle(np.exp(1j * (angle - bend)))) * away
        arm = soft(rng.uniform(1.2, 3.0) * (1 - away / long) + 0.6 - across, 2.2) * soft(long - away, 60)
        np.maximum(arms, arm * rng.uniform(0.5, 1.0), out=arms)
    piece += arms * 360
    lobes = 38 + 7 * np.cos(3 * angle + 1) + 5 * np.cos(5 * angle) + 5 * rough_edge
    paint(piece, soft(lobes - away, 26) * 0.85, 2680 + 60 * rough_edge)
    piece += soft(lobes + 30 - away, 55) * 230


def calcifications(image: Plane, rng: np.random.Generator, at: tuple[float, float]) -> None:
    """Fine pleomorphic calcifications in and beyond the mass, along a duct towards the nipple; full-size pixels."""
    row, column = 2 * at[0], 2 * at[1]
    near = np.stack([rng.normal(column, 48, 46), rng.normal(row, 40, 46)], 1)
    along = np.linspace(0, 1, 34)
    duct = np.stack([column + 70 + 300 * along, row + 20 + 120 * along], 1) + rng.normal(0, 13, (34, 2))
    for points in (near, duct):
        for point in points:
            shape = point + np.cumsum(rng.normal(0, 1.1, (int(rng.integers(2, 6)), 2)), 0)
            discs(image, shape, rng.uniform(0.9, 2.0, len(shape)), float(rng.uniform(3300, 4050)))


def letters(picture: NDArray[np.uint16], view: View) -> None:
    """The lead marker with side and view, away from the breast."""
    from PIL import Image, ImageDraw, ImageFont

    text = view.name
    mark = Image.new("L", (260, 90), 0)
    ImageDraw.Draw(mark).text((6, 4), text, fill=255, font=ImageFont.load_default(66))
    box = np.asarray(mark, dtype=np.uint16) * 14
    top = 90
    left = picture.shape[1] - 330 if view.left else 70
    target = picture[top : top + 90, left : left + 260]
    np.maximum(target, box, out=target)
