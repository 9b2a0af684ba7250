"""Two stills of a breast ultrasound: an irregular dark mass, taller than wide, with a bright halo and a shadow."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from deploy.sandbox.imaging.breast import rough
from deploy.sandbox.imaging.shapes import Plane, grain, soft

COLUMNS, ROWS = 640, 480
LEFT, TOP, WIDE, DEEP = 120, 28, 400, 420
MILLIMETRES = 0.1
CENTRE = (205.0, 190.0)


def still(seed: int, along: bool) -> NDArray[np.uint8]:
    """The mass across (False) or along the beam's other plane (True), as the machine shows it, in RGB."""
    rng = np.random.default_rng([seed, along])
    y, x = np.meshgrid(np.arange(DEEP, dtype=np.float32), np.arange(WIDE, dtype=np.float32), indexing="ij")
    echo = layers(rng, x, y)
    tumour(echo, rng, (x, y), along)
    speckle = np.hypot(grain(rng, 512, 1.3)[:DEEP, :WIDE], grain(rng, 512, 1.3)[:DEEP, :WIDE])
    blurred = (speckle + np.roll(speckle, 1, 1) + np.roll(speckle, -1, 1)) / 3
    signal = echo * blurred * np.exp(-y / 1500)
    level = np.clip(0.86 + 0.42 * np.log10(np.maximum(signal, 1e-4)), 0, 1) ** 1.25
    canvas = np.zeros((ROWS, COLUMNS, 3), np.uint8)
    canvas[TOP : TOP + DEEP, LEFT : LEFT + WIDE] = (255 * level).astype(np.uint8)[:, :, None]
    return lettering(canvas, along)


def layers(rng: np.random.Generator, x: Plane, y: Plane) -> Plane:
    """Skin, fat lobules between bright septa, gland, muscle with its stripes, the chest wall."""
    shape = (x.shape[0], x.shape[1])
    wide, fine = rough(rng, shape, 2.0), rough(rng, shape, 1.3)
    bend = 9 * wide
    echo = np.full_like(x, 0.14) * (1 + 0.25 * fine)
    septa = np.clip(1 - np.abs(wide + 0.25 * fine) * 5, 0, 1)
    echo += 0.35 * septa
    gland = soft(y - 95 - 2 * bend, 18) * soft(265 + bend - y, 14)
    echo += gland * (0.42 + 0.15 * fine - echo * 0.7)
    wall = 272 + bend
    echo += soft(y - wall, 6) * (0.10 + 0.16 * (np.sin((y - wall) / 3.2 + fine) > 0.4) - echo)
    for depth, thick, bright in ((6, 5, 0.9), (18, 3, 0.7), (272, 2.4, 0.95), (338, 3.0, 1.2)):
        line = soft(thick - np.abs(y - depth - (bend if depth > 100 else 0)), 2)
        echo += line * (bright - echo)
    echo *= 1 - 0.88 * soft(y - 345 - bend, 10) * (0.8 + 0.2 * fine)
    return np.asarray(np.maximum(echo, 0.004), dtype=np.float32)


def tumour(echo: Plane, rng: np.random.Generator, at: tuple[Plane, Plane], along: bool) -> None:
    """The mass, its halo, specks of calcium in it, and the shadow below."""
    x, y = at
    u, v = (x - CENTRE[0]) / (62 if along else 52), (y - CENTRE[1]) / 66
    angle = np.arctan2(v, u)
    edge = 1 + 0.10 * np.cos(3 * angle + 0.6) + 0.09 * np.cos(7 * angle) + 0.05 * np.sin(11 * angle + 2 * along)
    away = edge - np.hypot(u, v)
    shape = (x.shape[0], x.shape[1])
    shadow = soft(50 - np.abs(x - CENTRE[0] - 3), 26) * soft(y - CENTRE[1] - 20, 60)
    echo *= 1 - 0.9 * shadow * (0.85 + 0.15 * rough(rng, shape, 1.2))
    halo = soft(0.24 + away, 0.22) * np.clip(1.1 - v * 0.8, 0, 1.2)
    echo += halo * 0.6 * (0.85 - echo)
    echo += soft(away, 0.2) * (0.045 + 0.02 * rough(rng, shape, 1.3) - echo)
    for _ in range(9):
        place = rng.normal(CENTRE, (20, 24))
        echo += soft(2.0 - np.hypot(x - place[0], y - place[1]), 1.5) * 0.35
    np.maximum(echo, 0.003, out=echo)


def lettering(canvas: NDArray[np.uint8], along: bool) -> NDArray[np.uint8]:
    """Text, depth scale, grey wedge, callipers."""
    image = Image.fromarray(canvas)
    pen = ImageDraw.Draw(image)
    text, white = (200, 205, 210), (240, 240, 240)
    for number, line in enumerate(["L18-5", "14 MHz", "G 54%", "DR 65", "4.2 cm", "MI 0.8"]):
        pen.text((14, 34 + 15 * number), line, fill=text)
    pen.text((LEFT, 8), "BREAST LEFT  2:00  4 cm FN  " + ("RAD" if along else "ANTIRAD"), fill=white)
    for centimetre in range(0, 5):
        pen.line((LEFT + WIDE + 4, TOP + centimetre * 100, LEFT + WIDE + 12, TOP + centimetre * 100), fill=text)
    for step in range(160):
        level = 255 - int(step * 255 / 159)
        pen.line((600, 60 + step, 614, 60 + step), fill=(level, level, level))
    half = 64 if along else 54
    ends = [(CENTRE[0] - half, CENTRE[1]), (CENTRE[0] + half, CENTRE[1]), (CENTRE[0], CENTRE[1] - 70)]
    ends.append((CENTRE[0], CENTRE[1] + 70))
    for x, y in ends:
        pen.line((LEFT + x - 5, TOP + y, LEFT + x + 5, TOP + y), fill=(250, 220, 90))
        pen.line((LEFT + x, TOP + y - 5, LEFT + x, TOP + y + 5), fill=(250, 220, 90))
    pen.text(
        (LEFT, ROWS - 26), f"1 D {2 * half * MILLIMETRES:.1f} mm   2 D {140 * MILLIMETRES:.1f} mm", fill=(250, 220, 90)
    )
    return np.asarray(image)
