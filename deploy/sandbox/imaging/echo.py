"""An echocardiogram in motion: apical four-chamber view, with or without colour Doppler over a leaking mitral valve.

The picture is drawn as a machine shows it: a sector with speckle on black, a depth scale, an ECG strip and burnt-in
text without any name.  Frames are 8-bit RGB, 512 columns by 400 rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from deploy.sandbox.imaging.shapes import Plane, grain, soft

COLUMNS, ROWS = 512, 400
FRAMES = 30
FRAME_MILLISECONDS = 28.0
MILLIMETRES = 0.45
APEX = (256.0, 16.0)
DEPTH = 165.0
HALF_ANGLE = 0.66
RGB = NDArray[np.uint8]


@dataclass(frozen=True)
class Beat:
    """The heart at one moment: how far the ventricles are contracted and the mitral valve is open, 0 to 1."""

    contraction: float
    opening: float
    phase: float


def beat(frame: int) -> Beat:
    """The moment of a frame: systole in the first 40 %, then early filling and atrial contraction."""
    phase = frame / FRAMES
    contraction = np.sin(np.pi * phase / 0.42) ** 1.2 if phase < 0.42 else 0.0
    early = np.exp(-(((phase - 0.56) / 0.07) ** 2))
    atrial = 0.7 * np.exp(-(((phase - 0.88) / 0.05) ** 2))
    return Beat(float(contraction), float(early + atrial), phase)


class Echo:
    """One machine and one heart; `frames()` gives a whole beat, grey and with the colour of the flow."""

    lines: tuple[str, ...] = ("TTE  A4C", "S5-1  2.2 MHz", "36 Hz  16 cm", "MI 1.1  TIS 0.7")
    box: tuple[tuple[float, float], ...] = ((-0.12, 68), (0.44, 68), (0.44, 158), (-0.12, 158))

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        column, row = np.meshgrid(np.arange(COLUMNS, dtype=np.float32), np.arange(ROWS, dtype=np.float32))
        self.x = ((column - APEX[0]) * MILLIMETRES).astype(np.float32)
        self.y = ((row - APEX[1]) * MILLIMETRES).astype(np.float32)
        self.range = np.hypot(self.x, self.y).astype(np.float32)
        self.angle = np.arctan2(self.x, np.maximum(self.y, 1e-3)).astype(np.float32)
        within = soft((HALF_ANGLE - np.abs(self.angle)) * self.range, 0.6)
        self.sector = within * soft(DEPTH - self.range, 0.6) * soft(self.range - 3, 1) * (self.y > 0)
        self.fields = [self.speckle(rng) for _ in range(6)]
        self.mosaic = grain(rng, 512, 3.0)[:ROWS, :COLUMNS]
        self.cloud = grain(rng, 512, 12.0)[:ROWS, :COLUMNS]

    def speckle(self, rng: np.random.Generator) -> Plane:
        """Rayleigh speckle with the beam's shape: fine in range, widening with depth."""
        size = 512
        wide = [grain(rng, size, 1.5) for _ in range(2)]
        amplitude = np.hypot(wide[0], wide[1])
        rows = np.clip(self.range / DEPTH * (size - 1), 0, size - 1)
        columns = np.clip((self.angle / HALF_ANGLE + 1) / 2 * 190, 0, 190)
        top, left = rows.astype(int), columns.astype(int)
        fy, fx = rows - top, columns - left
        below, right = np.minimum(top + 1, size - 1), left + 1
        upper = amplitude[top, left] * (1 - fx) + amplitude[top, right] * fx
        lower = amplitude[below, left] * (1 - fx) + amplitude[below, right] * fx
        return np.asarray((upper * (1 - fy) + lower * fy), dtype=np.float32)

    def frames(self, keep_every: int = 1) -> Iterator[tuple[RGB, RGB]]:
        """The frames of one beat, in order, or every so manieth of them."""
        for number in range(0, FRAMES, keep_every):
            yield self.frame(number)

    def frame(self, number: int) -> tuple[RGB, RGB]:
        """One frame: tissue, speckle, compression, colour, then the machine's lettering; without and with flow."""
        now = beat(number)
        echo = self.tissue(now)
        at = number * len(self.fields) / FRAMES
        first, second = self.fields[int(at) % 6], self.fields[(int(at) + 1) % 6]
        share = at - int(at)
        speckle = np.sqrt(first**2 * (1 - share) + second**2 * share)
        lateral = np.clip(0.62 + 0.3 * np.cos(self.angle * 2.0) + 0.33 * self.cloud, 0.12, 2)
        signal = echo * speckle * lateral * (1 - 0.25 * self.range / DEPTH) + 0.002 * first
        level = np.clip(0.97 + 0.50 * np.log10(np.maximum(signal, 1e-4)), 0, 1) * self.sector
        grey = (255 * level**1.15).astype(np.uint8)
        picture = np.repeat(grey[:, :, None], 3, axis=2)
        flow = picture.copy()
        self.doppler(flow, now)
        return lettering(picture, number, self.lines), lettering(flow, number, (*self.lines, "Color 61 cm/s"))

    def oval(self, centre: tuple[float, float], radii: tuple[float, float], tilt: float = 0.0) -> Plane:
        """Distance to an ellipse (millimetres, positive inside), turned by `tilt` radians."""
        dx, dy = self.x - centre[0], self.y - centre[1]
        u = (dx * np.cos(tilt) + dy * np.sin(tilt)) / radii[0]
        v = (dy * np.cos(tilt) - dx * np.sin(tilt)) / radii[1]
        return np.asarray(((1 - np.sqrt(u * u + v * v)) * min(radii)), dtype=np.float32)

    def tissue(self, now: Beat) -> Plane:
        """How strongly each point sends sound back."""
        squeeze, lift = 1 - 0.26 * now.contraction, 9 * now.contraction
        echo = np.full_like(self.x, 0.045) + 0.05 * np.clip(self.cloud, 0, 2)
        heart = np.maximum(self.oval((1, 84), (60, 66)), self.oval((2, 128), (52, 36)))
        put(echo, soft(heart + 2.2, 1.5) * np.clip(0.6 + 0.5 * self.cloud, 0.1, 1), 1.2)
        put(echo, soft(heart, 1.5), 0.30)
        ring = 106 - lift
        ventricle = self.oval((21, (22 + ring) / 2), (25 * squeeze, (ring - 22) / 2 + 1), -0.08)
        right = self.oval((-24, (38 + ring) / 2), (17 * squeeze, (ring - 38) / 2 + 2), 0.14)
        for chamber in (ventricle, right):
            put(echo, soft(2.4 - np.abs(chamber), 3) * 0.8, 0.55)
            put(echo, soft(chamber, 2.0), 0.006)
        put(echo, soft(self.oval((25, (161 + ring) / 2), (25, (161 - ring) / 2)), 2.0), 0.006)
        put(echo, soft(self.oval((-24, (154 + ring) / 2), (20, (152 - ring) / 2)), 2.0), 0.006)
        band = (
            soft(2.5 - np.abs(self.x - 1 - 0.02 * (self.y - 100)), 1.5) * soft(self.y - 40, 10) * soft(158 - self.y, 5)
        )
        put(echo, band * 0.8, 0.5)
        self.valves(echo, ring, now)
        return echo

    def valves(self, echo: Plane, ring: float, now: Beat) -> None:
        """Mitral leaflets (the rear one flails into the atrium in systole) and the tricuspid pair."""
        swing = 1.15 * now.opening
        prolapse = 0.55 * now.contraction
        self.leaflet(echo, (4.0, ring), 21, -0.10 + swing)
        self.leaflet(echo, (43.0, ring), 20, np.pi + 0.10 - swing + prolapse)
        self.leaflet(echo, (-3.0, ring + 3), 17, np.pi + 0.05 - swing)
        self.leaflet(echo, (-42.0, ring + 2), 21, -0.05 + swing)
        for x, y in ((4.0, ring), (43.0, ring), (-42.0, ring + 2)):
            put(echo, soft(self.oval((x, y), (3.4, 3.0)), 1.5), 1.6)

    def leaflet(self, echo: Plane, hinge: tuple[float, float], length: float, angle: float) -> None:
        """One thin bright leaflet from its hinge; positive angles turn towards the ventricle."""
        along = (self.x - hinge[0]) * np.cos(angle) - (self.y - hinge[1]) * np.sin(angle)
        across = (self.x - hinge[0]) * np.sin(angle) + (self.y - hinge[1]) * np.cos(angle)
        thick = 1.5 - np.abs(across)
        put(echo, soft(thick, 1.2) * soft(along + 1, 1) * soft(length - along, 1), 1.2)

    def doppler(self, picture: RGB, now: Beat) -> None:
        """The colour box over valve and atrium: a jet along the inner wall in systole, red inflow in diastole."""
        ring = 106 - 9 * now.contraction
        t = (self.y - ring) / 46
        path = 27 - 15 * np.clip(t, 0, 1) ** 0.7
        width = 2.5 + 6.5 * np.clip(t, 0, 1)
        jet = soft((width - np.abs(self.x - path)), 2.5) * soft(t, 0.06) * soft(0.98 - t, 0.25) * now.contraction
        jet *= np.clip(0.75 + 0.5 * self.mosaic, 0, 1)
        turbulent = np.clip(0.5 + 0.45 * self.mosaic, 0, 1)[:, :, None]
        blue, yellow = np.array([30, 130, 255]), np.array([250, 220, 60])
        blend(picture, jet, turbulent * blue + (1 - turbulent) * yellow)
        inflow = soft(self.oval((22, 92), (12, 34)), 7) * min(1.0, now.opening) * np.clip(0.7 + 0.3 * self.cloud, 0, 1)
        speed = np.clip(0.55 + 0.3 * self.oval((22, 92), (12, 34)) / 12, 0, 1)[:, :, None]
        blend(picture, inflow, np.array([235, 30, 15]) * speed + np.array([20, 120, 0]) * speed**3)
        draw_box(picture, self.box)


def put(echo: Plane, mask: Plane, value: float) -> None:
    """Blend one echogenicity into the map, in place."""
    echo += mask * (np.float32(value) - echo)


def blend(picture: RGB, mask: Plane, colour: NDArray[np.float64]) -> None:
    """Blend a colour over the picture where the mask covers it, in place."""
    alpha = np.clip(mask, 0, 1)[:, :, None]
    picture[:] = (picture * (1 - alpha) + colour * alpha).astype(np.uint8)


def draw_box(picture: RGB, box: tuple[tuple[float, float], ...]) -> None:
    """The outline of the colour box, following the beams."""
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image)
    corners = []
    for angle, depth in box:
        corners.append((APEX[0] + np.sin(angle) * depth / MILLIMETRES, APEX[1] + np.cos(angle) * depth / MILLIMETRES))
    pen.polygon(corners, outline=(235, 235, 235))
    picture[:] = np.asarray(image)


def lettering(picture: RGB, number: int, lines: tuple[str, ...]) -> RGB:
    """Scale, ECG strip and machine text."""
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image)
    for place, line in enumerate(lines):
        pen.text((10, 10 + 13 * place), line, fill=(190, 200, 190))
    for centimetre in range(0, 17):
        y = APEX[1] + centimetre * 10 / MILLIMETRES
        pen.line((500 if centimetre % 5 else 495, y, 506, y), fill=(170, 170, 170))
    pen.ellipse((252, 4, 260, 12), outline=(240, 190, 60))
    at = np.arange(40, 440)
    trace = 388 - 20 * ecg((at - 40) / 200 % 1)
    shown = int(240 + 200 * number / FRAMES)
    pen.line([(int(x), float(y)) for x, y in zip(at[: shown - 40], trace, strict=False)], fill=(80, 230, 110))
    pen.line((shown, 364, shown, 394), fill=(200, 60, 50))
    pen.text((455, 380), "72 bpm", fill=(80, 230, 110))
    return np.asarray(image)


def ecg(phase: NDArray[np.float64]) -> NDArray[np.float64]:
    """One heart beat of an ECG, P wave to T wave."""
    waves = ((0.86, 0.025, 0.12), (0.965, 0.009, -0.12), (0.99, 0.010, 1.0), (0.02, 0.011, -0.22), (0.30, 0.05, 0.25))
    total = np.zeros_like(phase)
    for centre, width, height in waves:
        away = (phase - centre + 0.5) % 1 - 0.5
        total += height * np.exp(-((away / width) ** 2))
    return total
