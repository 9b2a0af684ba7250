"""A section of skin stained with haematoxylin and eosin: a melanocytic lesion with nests at the junction and below.

Drawn as amounts of three colours (blue of the nuclei, pink of everything else, brown melanin), turned into light by
Beer's law.  Half a micrometre a pixel; the pyramid halves twice by four and once by two.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from deploy.sandbox.imaging.breast import rough
from deploy.sandbox.imaging.shapes import Plane, soft

WIDTH, HEIGHT = 6144, 4096
MICROMETRES = 0.5
TILE = 256
COARSE = 8
BLUE = np.array([0.82, 0.98, 0.42], dtype=np.float32)
PINK = np.array([0.05, 0.66, 0.36], dtype=np.float32)
BROWN = np.array([0.50, 0.76, 0.98], dtype=np.float32)
RGB = NDArray[np.uint8]


@dataclass(frozen=True)
class Tissue:
    """Maps at an eighth of the size: what is there, how many nuclei, how large, how much melanin."""

    pink: Plane
    blue: Plane
    density: Plane
    size: Plane
    brown: Plane
    grain: Plane


def section(seed: int, step: int = 1) -> RGB:
    """The whole section as RGB; `step` shrinks it for tests."""
    rng = np.random.default_rng(seed)
    width, height = WIDTH // step, HEIGHT // step
    tissue = skin(rng, (height // COARSE, width // COARSE))
    nuclei = np.zeros((height, width), np.float32)
    stain_nuclei(nuclei, tissue, rng)
    fine = rough(rng, (512, 512), 0.8)
    out = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, TILE):
        rows = slice(top // COARSE, (top + TILE) // COARSE)
        noise = np.tile(fine[:TILE], (1, width // 512 + 1))[:, :width]
        noise = np.roll(noise, top * 37 % 512, axis=1)
        pink, grains, blue, brown = (
            zoom(each, rows, width) for each in (tissue.pink, tissue.grain, tissue.blue, tissue.brown)
        )
        pink *= 1 + (0.10 + 0.16 * grains) * noise
        strong = nuclei[top : top + TILE]
        brown = brown * np.clip(0.75 + 0.35 * noise, 0, 2)
        amounts = (blue * (1 + 0.2 * noise) + strong, pink * (1 - 0.5 * np.minimum(strong, 1)), brown)
        out[top : top + TILE] = light(*amounts)
    return out


def light(blue: Plane, pink: Plane, brown: Plane) -> RGB:
    """Transmitted light after three dyes.  Beer and Lambert"""
    density = blue[..., None] * BLUE + pink[..., None] * PINK + brown[..., None] * BROWN
    return np.asarray(244 * np.exp(-density), dtype=np.uint8)


def zoom(plane: Plane, rows: slice, width: int) -> Plane:
    """A band of a coarse map in full size, bilinear."""
    padded = plane[max(0, rows.start - 1) : rows.stop + 1]
    image = Image.fromarray(padded.astype(np.float32)).resize(
        (width, padded.shape[0] * COARSE), Image.Resampling.BILINEAR
    )
    above = (rows.start - max(0, rows.start - 1)) * COARSE
    return np.array(image)[above : above + TILE]


def skin(rng: np.random.Generator, shape: tuple[int, int]) -> Tissue:
    """Horny layer, epidermis with ridges, papillary and reticular dermis, nests, lymphocytes, vessels, glands."""
    y, x = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij")
    scale = shape[1] / (WIDTH / COARSE)
    wide, middle, fine = rough(rng, shape, 1.9), rough(rng, shape, 1.3), rough(rng, shape, 0.9)
    u, v = x / scale, y / scale
    surface = 92 + 10 * np.sin(u / 150) + 5 * np.sin(u / 47 + 1) + 4 * wide
    centre = np.exp(-(((u - 395) / 170) ** 2))
    ridges = 26 + 13 * np.abs(np.sin(u / 19 + 0.8 * wide)) ** 3 + 12 * centre * np.abs(np.sin(u / 27 + wide))
    depth = v - surface
    junction = depth - ridges
    horny = soft(depth + 13 + 2 * middle, 3) * soft(-depth, 2)
    epidermis = soft(depth, 2) * soft(-junction, 2)
    end = 432 + 16 * np.sin(u / 90) + 8 * wide
    sides = soft(np.minimum(u - 46 - 6 * wide, 724 + 6 * wide - u), 3)
    dermis = soft(junction, 2) * soft(end - v, 3)
    nests = nest_field(rng, (u, v), junction, centre)
    fibres = 0.5 + 0.5 * np.sin((v * 0.9 + 0.35 * u) / 5 + 2.2 * middle)
    cracks = soft(np.abs(middle + 0.25 * fine) - 0.13, 0.16)
    deep = soft(junction - 26, 30)
    pink = (
        horny * (0.75 + 0.2 * fine)
        + epidermis * 0.62
        + dermis * (0.30 + deep * (0.16 + 0.22 * fibres)) * (0.12 + 0.88 * np.where(deep > 0.2, cracks, 1))
    )
    pink = pink * (1 - 0.35 * nests) + 0.22 * nests * (dermis + epidermis)
    lymph = (
        soft(middle + 0.6 * fine - 1.2, 0.5) * dermis * np.exp(-(((junction - 120) / 60) ** 2)) * (0.3 + 0.7 * centre)
    )
    density = epidermis * 0.55 + nests * 0.85 + dermis * 0.055 + lymph * 1.2
    size = 1 + 0.35 * nests - 0.25 * lymph + 0.1 * epidermis
    brown = (
        nests * soft(60 - junction, 40) * soft(wide + 0.7, 0.8) * 0.55 + epidermis * soft(junction + 9, 5) * 0.30
    ) * (0.25 + 0.75 * centre)
    blue = 0.10 * epidermis + 0.09 * nests + 0.04 * lymph
    everywhere = np.clip(sides, 0, 1)
    return Tissue(*(np.asarray(each * everywhere, np.float32) for each in (pink, blue, density, size, brown, deep)))


def nest_field(rng: np.random.Generator, at: tuple[Plane, Plane], junction: Plane, centre: Plane) -> Plane:
    """Round nests along the junction, confluent sheets below, single cells climbing into the epidermis."""
    u, v = at
    field = np.zeros_like(u)
    rows = {int(column): int(np.argmin(np.abs(junction[:, int(column * u.shape[1] / 768)]))) for column in range(768)}
    scale = u.shape[1] / 768
    for _ in range(190):
        column = float(np.clip(rng.normal(395, 120), 100, 690))
        below = float(np.abs(rng.normal(0, 34)) - 6)
        top = rows[int(column)] / scale + below
        radius = rng.uniform(5, 11) * (1 + below / 90)
        rows_near = slice(int(max(0, (top - 24) * scale)), int((top + 24) * scale) + 1)
        window = (rows_near, slice(int(max(0, (column - 24) * scale)), int((column + 24) * scale) + 1))
        away = radius - np.hypot((u[window] - column) * rng.uniform(0.7, 1.1), v[window] - top)
        np.maximum(field[window], soft(away, 2.5), out=field[window])
    return field * soft(centre - 0.12, 0.1)


def stain_nuclei(nuclei: Plane, tissue: Tissue, rng: np.random.Generator) -> None:
    """Put nuclei where the map wants them, one a cell of a jittered lattice, each from a set of stamps."""
    pitch = 15
    rows, columns = nuclei.shape[0] // pitch - 3, nuclei.shape[1] // pitch - 3
    jitter = rng.uniform(0, pitch, (rows, columns, 2))
    place_y = ((np.arange(rows)[:, None] + 1) * pitch + jitter[:, :, 0]).astype(int)
    place_x = ((np.arange(columns)[None, :] + 1) * pitch + jitter[:, :, 1]).astype(int)
    wanted = tissue.density[place_y // COARSE, place_x // COARSE] > rng.uniform(0.02, 1.0, (rows, columns))
    sizes = tissue.size[place_y // COARSE, place_x // COARSE][wanted]
    stamps = nucleus_stamps(rng)
    kinds = np.clip(((sizes - 0.7) / 0.8 * 4), 0, 3).astype(int) * 24 + rng.integers(0, 24, len(sizes))
    half = stamps[0].shape[0] // 2
    for y, x, kind in zip(place_y[wanted].tolist(), place_x[wanted].tolist(), kinds.tolist(), strict=True):
        top, left = y - half, x - half
        if top >= 0 and left >= 0:
            target = nuclei[top : top + 2 * half, left : left + 2 * half]
            np.maximum(target, stamps[kind][: target.shape[0], : target.shape[1]], out=target)


def nucleus_stamps(rng: np.random.Generator) -> list[Plane]:
    """Four sizes of 24 nuclei: oval, with a rim, clumps of chromatin, a nucleolus in the large ones."""
    side = 36
    y, x = np.meshgrid(np.arange(side) - side / 2, np.arange(side) - side / 2, indexing="ij")
    stamps = []
    for size in (5.0, 6.4, 7.8, 9.6):
        for _ in range(24):
            turn, flat = rng.uniform(0, np.pi), rng.uniform(0.6, 1.0)
            u, w = x * np.cos(turn) + y * np.sin(turn), (y * np.cos(turn) - x * np.sin(turn)) / flat
            angle = np.arctan2(w, u)
            radius = size * rng.uniform(0.85, 1.15) * (1 + 0.06 * np.cos(2 * angle + rng.uniform(0, 6)))
            away = radius - np.hypot(u, w)
            clumps = rough(rng, (side, side), 0.9)
            level = soft(away, 1.6) * (0.72 + 0.12 * clumps) + 0.25 * soft(1.2 - np.abs(away - 1.0), 1.2)
            if size > 7:
                level = level * 0.82
                spot = rng.uniform(-2, 2, 2)
                level = level + 0.5 * soft(2.0 - np.hypot(u - spot[0], w - spot[1]), 1.2)
            stamps.append(np.asarray(np.clip(level, 0, 1.4), dtype=np.float32))
    return stamps


def label() -> RGB:
    """The paper label on the glass."""
    image = Image.new("RGB", (400, 400), (250, 249, 243))
    pen = ImageDraw.Draw(image)
    for number, (line, size) in enumerate(
        (("S26-3318", 58), ("A1  H&E", 46), ("SKIN L SHOULDER", 32), ("ST. ANNA PATH", 30))
    ):
        pen.text((24, 30 + 78 * number), line, fill=(25, 25, 30), font=ImageFont.load_default(size))
    rng = np.random.default_rng(1)
    for row in range(12):
        for column in range(12):
            if rng.uniform() < 0.5:
                pen.rectangle((300 + 7 * column, 300 + 7 * row, 306 + 7 * column, 306 + 7 * row), fill=(20, 20, 20))
    return np.asarray(image)
