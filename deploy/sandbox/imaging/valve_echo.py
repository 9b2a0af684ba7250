"""An echocardiogram in the parasternal long axis: an aortic valve so stiff that it hardly opens, and its fast jet."""

import numpy as np

from deploy.sandbox.imaging.echo import RGB, Beat, Echo, blend, draw_box, put
from deploy.sandbox.imaging.shapes import Plane, soft


class ValveEcho(Echo):
    """The same machine, another view and another heart."""

    lines = ("TTE  PLAX", "S5-1  2.2 MHz", "36 Hz  16 cm", "MI 1.1  TIS 0.7")
    box = ((-0.05, 50), (0.50, 50), (0.50, 118), (-0.05, 118))

    def tissue(self, now: Beat) -> Plane:
        """Right ventricle in front, septum, thick left ventricle, aortic root to the right, atrium behind."""
        squeeze = now.contraction
        echo = np.full_like(self.x, 0.045) + 0.05 * np.clip(self.cloud, 0, 2)
        heart = np.maximum(self.oval((-8, 80), (78, 49), 0.12), self.oval((34, 84), (40, 46)))
        put(echo, soft(heart + 2.2, 1.5) * np.clip(0.6 + 0.5 * self.cloud, 0.1, 1), 1.1)
        put(echo, soft(heart, 1.5), 0.33)
        put(echo, soft(self.oval((-12, 42), (36, 10 - 2 * squeeze), 0.10), 2.0), 0.006)
        chamber = self.oval((-20, 87 + squeeze), (44 - 4 * squeeze, 25 - 8 * squeeze), 0.08)
        put(echo, soft(2.2 - np.abs(chamber), 3) * 0.7, 0.55)
        put(echo, soft(chamber, 2.0), 0.006)
        outflow = self.oval((12, 75), (20, 10.5), -0.05)
        put(echo, soft(outflow, 2.0), 0.006)
        root = np.maximum(self.oval((26, 70), (12, 15)), self.oval((50, 66), (30, 13), -0.10))
        put(echo, soft(2.0 - np.abs(root), 2) * 0.9, 0.8)
        put(echo, soft(root, 1.8), 0.006)
        atrium = self.oval((34, 106), (24 + 2 * squeeze, 19 + 2 * squeeze))
        put(echo, soft(2.0 - np.abs(atrium), 2.5) * 0.7, 0.5)
        put(echo, soft(atrium, 2.0), 0.006)
        put(echo, soft(self.oval((46, 138), (10, 9)), 2.0), 0.008)
        self.valves(echo, 0.0, now)
        return echo

    def valves(self, echo: Plane, ring: float, now: Beat) -> None:
        """Mitral leaflets, and thick bright cusps with shadows behind them that part by a few millimetres."""
        swing = 0.75 * now.opening
        self.leaflet(echo, (14, 84), 22, np.pi - 0.35 + swing)
        self.leaflet(echo, (6, 104), 17, np.pi + 0.55 - swing)
        gap = 1.2 + 2.6 * now.contraction
        for side in (-1, 1):
            at = (20 + 5 * now.contraction, 70 + side * (gap + 3.5))
            for place, radii in ((at, (6.5, 3.0)), ((at[0] - 6, at[1] + side * 4), (4.5, 3.4))):
                put(echo, soft(self.oval(place, radii, side * 0.5), 1.6), 1.7)
        shadow = soft(5 - np.abs(self.angle - np.arctan2(21, 72)) * self.range, 4) * soft(self.range - 84, 8)
        echo *= 1 - 0.75 * shadow

    def doppler(self, picture: RGB, now: Beat) -> None:
        """The narrow turbulent jet through the valve in systole."""
        along = (self.x - 20) / 38
        centre = 70 - 5 * along
        width = 2.2 + 7 * np.clip(along, 0, 1)
        jet = soft(width - np.abs(self.y - centre), 2.5) * soft(along + 0.1, 0.1) * soft(1.0 - along, 0.3)
        jet = jet * now.contraction * np.clip(0.75 + 0.5 * self.mosaic, 0, 1)
        share = np.clip(0.5 + 0.45 * self.mosaic, 0, 1)[:, :, None]
        blend(picture, jet * self.sector, share * np.array([250, 215, 60]) + (1 - share) * np.array([40, 150, 245]))
        before = soft(self.oval((2, 76), (20, 7)), 5) * now.contraction * 0.9
        blend(picture, before * self.sector, np.array([205, 45, 20]) * np.ones_like(share))
        draw_box(picture, self.box)
