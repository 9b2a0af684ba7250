"""A lumbar spine whose fourth vertebra has slipped forward on the fifth: MR in three series, films in motion.

One model of vertebrae (centre, tilt) serves all planes.  x to the left, y to the back, z to the head, millimetres.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deploy.sandbox.imaging.shapes import Grid, Plane, grain, paint, sagittal, soft, waves

SIZE = 320
FIELD_OF_VIEW = 280.0
AXIAL_SIZE, AXIAL_FIELD_OF_VIEW = 256, 180.0
TISSUES = ("air", "fat", "muscle", "marrow", "cortex", "disc", "worn", "csf", "nerve", "vessel", "ligament", "bowel")
T1: dict[str, float] = dict(zip(TISSUES, (10, 900, 330, 520, 60, 300, 270, 160, 340, 70, 110, 260), strict=True))
T2: dict[str, float] = dict(zip(TISSUES, (10, 700, 190, 400, 50, 540, 130, 960, 330, 50, 60, 350), strict=True))
NOISE = 14.0


@dataclass(frozen=True)
class Vertebra:
    """A vertebral body: its centre in the midsagittal plane, its tilt (radians, front side down), its half sizes."""

    name: str
    y: float
    z: float
    tilt: float
    half_depth: float = 17.0
    half_height: float = 13.5

    def frame(self, y: Plane, z: Plane) -> tuple[Plane, Plane]:
        """Coordinates along the body's depth and height."""
        dy, dz = y - self.y, z - self.z
        return dy * np.cos(self.tilt) + dz * np.sin(self.tilt), dz * np.cos(self.tilt) - dy * np.sin(self.tilt)


def column(bend: float = 0.0, slip: float = 6.0) -> list[Vertebra]:
    """From T11 to S2; `bend` in radians a level flexes (positive) or extends, `slip` moves L4 and all above forward."""
    tilts = {"S2": 1.0, "S1": 0.62, "L5": 0.22, "L4": 0.02, "L3": -0.10, "L2": -0.17, "L1": -0.20, "T12": -0.16}
    tilts["T11"] = -0.1
    found: list[Vertebra] = []
    y, z = 46.0, -98.0
    former: float | None = None
    for level, (name, tilt) in enumerate(tilts.items()):
        turned = tilt + bend * max(0, level - 1)
        small = {"S2": 0.8, "S1": 0.95}.get(name, 1.0)
        if former is not None:
            step = {"S1": 26.0, "L5": 34.0, "L4": 34.0}.get(name, 37.5 - 0.7 * level)
            mean = (former + turned) / 2
            y, z = y - step * float(np.sin(mean)), z + step * float(np.cos(mean))
        if name == "L4":
            y -= slip
        found.append(Vertebra(name, y, z, turned, 17.5 * small, (13.5 - 0.15 * level) * small))
        former = turned
    return found


def rounded(u: Plane, v: Plane, half: tuple[float, float]) -> Plane:
    """Distance to a rounded rectangle's edge, about right, positive inside."""
    radius = 3.5
    x, y = np.abs(u) - half[0] + radius, np.abs(v) - half[1] + radius
    outside = np.hypot(np.maximum(x, 0), np.maximum(y, 0))
    return np.asarray(radius - outside - np.minimum(np.maximum(x, y), 0), dtype=np.float32)


def near(mask: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """The rectangle of a slice in which a mask holds; None when it holds nowhere."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


class Lumbar:
    """The drawing of one back in MR."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.column = column()
        self.coarse, self.fine, self.trabeculae = waves(rng, 30, 10), waves(rng, 9, 14), waves(rng, 4, 20)
        self.noise = [grain(rng, SIZE, 0.6) for _ in range(4)]
        self.levels = np.array([each.z for each in self.column])
        self.backs = np.array([each.y + each.half_depth * 0.96 for each in self.column])

    def sagittal(self, x: float, values: dict[str, float]) -> Plane:
        """One sagittal slice, the front to the left."""
        return self.finish(self.tissues(sagittal(x, SIZE, FIELD_OF_VIEW), values), round(x * 7))

    def axial(self, z: float, values: dict[str, float]) -> Plane:
        """One axial slice, the middle of the picture at the canal."""
        pixel = AXIAL_FIELD_OF_VIEW / AXIAL_SIZE
        line = ((np.arange(AXIAL_SIZE, dtype=np.float32) - (AXIAL_SIZE - 1) / 2) * pixel).astype(np.float32)
        x, y = np.meshgrid(line, line + np.float32(AXIAL_MIDDLE))
        return self.finish(self.tissues(Grid(x, y, np.full_like(x, z), pixel), values), round(z * 7))

    def tissues(self, grid: Grid, value: dict[str, float]) -> Plane:
        """Paint everything from the outside in."""
        coarse, fine = self.coarse.at(grid), self.fine.at(grid)
        back = self.back_line(grid.z)
        image = np.full_like(grid.x, value["air"])
        skin = 96 - grid.y - (grid.x / 100) ** 2 * 30 + coarse
        paint(image, soft(skin, 1.5), value["fat"])
        self.front(image, grid, value, (coarse, fine))
        self.muscles(image, grid, value, (coarse, fine, back))
        self.bones(image, grid, value, fine)
        self.canal(image, grid, value, back)
        return image

    def back_line(self, z: Plane) -> Plane:
        """Where the vertebrae's rear edge lies at a height."""
        return np.asarray(np.interp(z, self.levels, self.backs), dtype=np.float32)

    def front(self, image: Plane, grid: Grid, value: dict[str, float], noise: tuple[Plane, Plane]) -> None:
        """Bowel and vessels before the spine."""
        coarse, fine = noise
        bowel = soft(-34 - grid.y + self.back_line(grid.z) - 36 + 6 * coarse, 6)
        paint(image, bowel * soft(coarse + 0.5 * fine, 1.6) * 0.8, value["bowel"])
        paint(image, bowel * soft(coarse - 1.9 + 0.3 * fine, 0.6), value["air"])
        centre = self.back_line(grid.z) - 44
        aorta = 9.5 - np.hypot(grid.x - 7 - 0.06 * np.minimum(0, grid.z + 40), grid.y - centre)
        caval = 11 - np.hypot((grid.x + 17) / 1.15, grid.y - centre - 1)
        seen = soft(grid.z + 62 + 0 * grid.x, 8)
        for vessel in (aorta, caval):
            paint(image, soft(vessel + 1.5, 1.2) * seen * 0.8, value["muscle"])
            paint(image, soft(vessel, 1.2) * seen, value["vessel"])

    def muscles(self, image: Plane, grid: Grid, value: dict[str, float], noise: tuple[Plane, Plane, Plane]) -> None:
        """Psoas beside the bodies, erector spinae and multifidus behind, streaked with fat."""
        coarse, fine, back = noise
        for side in (-1, 1):
            psoas = 18 - np.hypot((grid.x - side * (36 - 0.05 * grid.z)) / 0.95, (grid.y - back + 16) / 1.25)
            paint(image, soft(psoas, 2), value["muscle"])
            mass = 1 - np.hypot((grid.x - side * 33) / 32, (grid.y - back - 44) / 24)
            paint(image, soft(mass * 24 + 1.5 * coarse, 3), value["muscle"])
            streak = soft(mass * 24, 3) * soft(np.sin(grid.x * 0.55 + 1.7 * coarse) + 0.6 * fine - 1.0, 0.5)
            paint(image, streak * 0.8, value["fat"])

    def bones(self, image: Plane, grid: Grid, value: dict[str, float], fine: Plane) -> None:
        """Discs first, then bodies with their cortex, arches, processes."""
        for lower, upper in zip(self.column, self.column[1:], strict=False):
            self.disc(image, grid, (lower, upper), value)
        trabeculae = self.trabeculae.at(grid)
        for body in self.column:
            window = near(np.abs(grid.z - body.z) < 34)
            if window is not None:
                noise = 0.05 * trabeculae[window] + 0.03 * fine[window]
                self.vertebra(image[window], grid.part(window), (body, value), noise)

    def vertebra(self, image: Plane, grid: Grid, what: tuple[Vertebra, dict[str, float]], noise: Plane) -> None:
        """One body with its cortex and marrow, changed beside the worn disc; then its arch."""
        body, value = what
        u, v = body.frame(grid.y, grid.z)
        wide = 24 - 1.6 * np.cos(v / body.half_height * 1.5)
        waist = 1.3 * np.cos(np.clip(v / body.half_height, -1, 1) * np.pi / 2)
        edge = np.minimum(rounded(u + 0 * waist, v, (body.half_depth, body.half_height)) - waist, 30)
        round_body = wide - np.hypot(grid.x, np.maximum(0, -u) * 1.25)
        edge = np.minimum(edge, round_body)
        paint(image, soft(edge, 1.0), value["cortex"])
        changed = 1 + 0.16 * (body.name in {"L4", "L5"}) * soft(6 - np.abs(v - (-9 if body.name == "L4" else 9)), 4)
        paint(image, soft(edge - 1.1, 1.0), value["marrow"] * changed * (1 + noise))
        if body.name != "S2":
            self.arch(image, grid, body, value)

    def disc(self, image: Plane, grid: Grid, pair: tuple[Vertebra, Vertebra], value: dict[str, float]) -> None:
        """The disc between two bodies: bright inside when young, dark and bulging at L4/5."""
        lower, upper = pair
        window = near(np.abs(grid.z - (lower.z + upper.z) / 2) < 24)
        if window is None:
            return
        image, grid = image[window], grid.part(window)
        middle = Vertebra("", (lower.y + upper.y) / 2, (lower.z + upper.z) / 2, (lower.tilt + upper.tilt) / 2)
        u, v = middle.frame(grid.y, grid.z)
        worn = upper.name in {"L4", "L5"} and lower.name != "S2"
        bulge = 5.5 if upper.name == "L4" else 3.0 if upper.name == "L5" else 0.8
        edge = np.minimum(rounded(u - bulge / 2, v, (16.5 + bulge / 2, 6.5)), 23 - np.hypot(grid.x, u * 0.9))
        paint(image, soft(edge + 1, 1.2), value["ligament"])
        paint(image, soft(edge - (0.6 if worn else 2.4), 2.0), value["worn" if worn else "disc"])
        if not worn and upper.name != "S1":
            paint(image, soft(0.7 - np.abs(v), 1) * soft(edge - 5, 2) * 0.35, value["worn"])

    def arch(self, image: Plane, grid: Grid, body: Vertebra, value: dict[str, float]) -> None:
        """Pedicles, joints, lamina and spinous process, with the yellow ligament before them."""
        u, v = body.frame(grid.y, grid.z)
        x = np.abs(grid.x)
        rear = body.half_depth
        pedicle = np.minimum(4.6 - np.hypot(x - 14.5, (v - 4) * 0.75), 9 - np.abs(u - rear - 7))
        thick = 3.5 if body.name in {"L4", "L5"} else 0.0
        joint = 6.2 + thick * 0.5 - np.hypot((x - 17) * 0.9, np.hypot((u - rear - 19) * 0.9, (v + 7) * 0.55))
        lamina = 3.2 - np.abs(u - rear - 21 - 0.25 * v + 0.35 * x) + 0 * v
        lamina = np.minimum(np.minimum(lamina, 13 - np.abs(v + 4)), 15 - x)
        spine = np.minimum(3.4 - x, rounded(u - rear - 35, v + 9 + 0.2 * (u - rear - 34), (12, 8.5)))
        wing = np.minimum(4.0 - np.hypot((v - 3) * 0.8, (u - rear - 8 - 0.15 * x) * 0.8), 38 - x) + 0 * u
        wing = np.minimum(wing, x - 16)
        yellow = np.minimum(2.2 + thick * 0.7 - np.abs(u - rear - 17 + thick * 0.8 + 0.3 * x), 15 - np.abs(v + 17))
        paint(image, soft(np.minimum(yellow, 12 - x), 1.2) * 0.9, value["ligament"])
        for part in (pedicle, joint, lamina, spine, wing):
            paint(image, soft(part, 1.2), value["cortex"])
            paint(image, soft(part - 1.2, 1.4), value["marrow"] * 0.95)

    def canal(self, image: Plane, grid: Grid, value: dict[str, float], back: Plane) -> None:
        """The sac with its nerve roots, squeezed at L4/5; the cord's end at L1; fat behind the sac."""
        window = near((np.abs(grid.x) < 14) & (np.abs(grid.y - back - 8) < 13))
        if window is None:
            return
        image, grid, back = image[window], grid.part(window), back[window]
        slipped = next(each for each in self.column if each.name == "L4")
        height = slipped.z - 17
        tight = np.exp(-(((grid.z - height) / 9) ** 2))
        centre = back + 8.2 - 0.6 * tight
        across, deep = 9.4 - 5.0 * tight, 7.2 - 5.0 * tight
        end = soft(grid.z + 104 + 0 * grid.x, 12)
        away = 1 - np.hypot(grid.x / across, (grid.y - centre) / deep)
        paint(image, soft(away * deep + 2.2, 1.2) * end * 0.8, value["fat"])
        paint(image, soft(away * deep, 1.0) * end, value["csf"])
        within = soft(away * deep - 0.3, 0.8) * end
        cord = 4.4 - 0.9 * soft(60 - grid.z, 30) - np.hypot(grid.x, grid.y - centre + 0.5)
        paint(image, within * soft(cord, 1.0) * soft(grid.z - 47 + 0 * grid.x, 10), value["nerve"])
        sag = np.clip((52 - grid.z) / 90, 0, 1)
        for number in range(11):
            turn = np.pi * (0.05 + 0.09 * number)
            x = 6.6 * np.cos(turn) * (0.3 + 0.7 * sag) * across / 9.4
            y = centre + (0.6 + 2.9 * np.sin(turn) * (0.4 + 0.6 * sag)) * deep / 7.2 + 0.5 * np.sin(grid.z / 9 + number)
            strand = 0.62 - np.hypot(grid.x - x, grid.y - y)
            paint(image, within * soft(strand, 0.9) * soft(58 - grid.z, 12) * 0.8, value["nerve"])

    def finish(self, image: Plane, key: int) -> Plane:
        """The surface coil's fall-off and Rician noise."""
        side = image.shape[0]
        real = np.roll(self.noise[key % 4], key * 13 % SIZE, 0)[:side, :side]
        other = np.roll(self.noise[(key + 1) % 4], key * 29 % SIZE, 1)[:side, :side]
        shade = 0.16 + np.clip(np.linspace(-0.55, 1.35, side, dtype=np.float32), 0, 1) ** 0.8
        shade = shade[None, :] if side == SIZE else shade[:, None]
        return np.asarray(np.clip(np.hypot(image * shade + NOISE * real, NOISE * other), 0, 4095), dtype=np.float32)


AXIAL_MIDDLE = 12.0
