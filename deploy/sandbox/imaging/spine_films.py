"""Lateral radiographs of the lumbar spine upright, bent forward and bent back: the fourth vertebra slides."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from deploy.sandbox.imaging.breast import rough
from deploy.sandbox.imaging.lumbar import Vertebra, column, rounded
from deploy.sandbox.imaging.shapes import Plane, enlarge, grain, soft

ROWS, COLUMNS = 2000, 1500
PIXEL = 0.15
POSITIONS = (("NEUTRAL", 0.0, 7.0), ("FLEXION", 0.055, 11.0), ("EXTENSION", -0.045, 5.0))


def film(seed: int, position: tuple[str, float, float], step: int = 1) -> NDArray[np.uint16]:
    """One view in 12 bits, bright where little passes; the front of the body to the left."""
    name, bend, slip = position
    rng = np.random.default_rng([seed, len(name)])
    shape = (ROWS // 2, COLUMNS // 2)
    row, col = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij")
    y = (col - shape[1] / 2) * (2 * PIXEL) + 10
    z = (shape[0] / 2 - row) * (2 * PIXEL) + 12
    soft_tissue, fine = rough(rng, shape, 1.9), rough(rng, shape, 1.1)
    dense = 1.75 + 0.10 * soft_tissue - 0.0042 * (z + 60) + 0.9 * soft(-z - 60, 60)
    body = soft(118 + 14 * np.sin(z / 60) - np.abs(y + 22 + bend * z), 30)
    dense *= 0.25 + 0.75 * body
    dense -= gas(rng, y, z)
    for each in column(bend, slip):
        dense += bone(each, y, z, fine)
    dense += pelvis(y, z, fine)
    picture = enlarge(np.asarray(dense, dtype=np.float32))
    picture += grain(rng, 512, 0.7)[np.arange(ROWS)[:, None] % 512, np.arange(COLUMNS) % 512] * 0.02
    level = 1 - np.exp(-0.62 * np.maximum(picture - 0.15, 0))
    out = np.clip(level * 4300, 0, 4095).astype(np.uint16)
    write_marker(out, name)
    return np.ascontiguousarray(out[::step, ::step])


def bone(body: Vertebra, y: Plane, z: Plane, fine: Plane) -> Plane:
    """One vertebra as X-rays add it up: body with bright end plates, pedicle, joints, spinous process."""
    rows = np.flatnonzero(np.abs(z[:, 0] - body.z) < 42)
    total = np.zeros_like(y)
    if not len(rows):
        return total
    part = slice(int(rows[0]), int(rows[-1]) + 1)
    u, v = body.frame(y[part], z[part])
    waist = 1.4 * np.cos(np.clip(v / body.half_height, -1, 1) * np.pi / 2)
    edge = rounded(u, v, (body.half_depth, body.half_height)) - waist
    shade = 0.46 * soft(edge, 2.4) * (1 + 0.15 * fine[part]) + 0.20 * soft(1.5 - np.abs(edge - 1.0), 1.8)
    ends = soft(1.0 - np.abs(np.abs(v) - body.half_height + 1.2), 1.0) * soft(body.half_depth - 1 - np.abs(u), 1)
    shade += 0.22 * ends
    rear = body.half_depth
    pedicle = rounded(u - rear - 6, v - 4, (8, 4.2))
    joint = 6.5 - np.hypot((u - rear - 18) * 0.8, (v + 7 + 0.3 * (u - rear - 18)) * 0.45)
    spine = rounded(u - rear - 34, v + 10 + 0.2 * (u - rear - 34), (13, 8.5))
    for piece, weight in ((pedicle, 0.42), (joint, 0.38), (spine, 0.20)):
        shade += weight * soft(piece, 2.6) * (1 + 0.12 * fine[part]) + 0.35 * weight * soft(
            1.2 - np.abs(piece - 0.8), 1.8
        )
    if body.name in {"L4", "L5"}:
        lip = 4.5 - np.hypot(u + rear + 1, (v - (9 if body.name == "L5" else -10)) * 1.2)
        shade += 0.45 * soft(lip, 2.5)
    total[part] = shade
    return total


def pelvis(y: Plane, z: Plane, fine: Plane) -> Plane:
    """Iliac wings over the fifth vertebra and the sacrum's lower part."""
    wing = 62 - np.hypot((y - 34) * 0.72, (z + 142) * 0.95) + 4 * np.sin(y / 21)
    line = soft(1.8 - np.abs(wing), 2.4) * 0.16
    second = soft(1.8 - np.abs(wing + 7 + 0.05 * y), 2.4) * 0.13
    sacrum = rounded((y - 62) * 0.75 + (z + 120) * 0.66, (z + 120) * 0.75 - (y - 62) * 0.66, (13, 34))
    return np.asarray(soft(wing, 8) * 0.24 * (1 + 0.1 * fine) + line + second + 0.4 * soft(sacrum, 5), dtype=np.float32)


def gas(rng: np.random.Generator, y: Plane, z: Plane) -> Plane:
    """Air in the bowel before the spine: darker, rounded patches."""
    total = np.zeros_like(y)
    for _ in range(16):
        at = rng.uniform((-95, -110), (-35, 90))
        size = rng.uniform(7, 16, 2)
        away = (1 - np.hypot((y - at[0]) / size[0], (z - at[1]) / size[1])) * float(size.min())
        np.maximum(total, soft(away, 6) * float(rng.uniform(0.25, 0.6)), out=total)
    return total


def write_marker(picture: NDArray[np.uint16], name: str) -> None:
    """The lead letters: side, position."""
    mark = Image.new("L", (520, 120), 0)
    pen = ImageDraw.Draw(mark)
    pen.text((4, 4), "L", fill=255, font=ImageFont.load_default(60))
    pen.text((60, 18), name, fill=230, font=ImageFont.load_default(38))
    target = picture[60:180, 60:580]
    np.maximum(target, np.asarray(mark, dtype=np.uint16) * 15, out=target)
