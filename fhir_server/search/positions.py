"""Places on the globe.  https://hl7.org/fhir/R4/location.html#positional-search

A place is a point of the unit sphere, and how near two are is the length of the chord between them: it knows neither
date line nor poles, and any database can compare it without a single function. The globe is taken as a sphere, which is
right to 0.5% of a distance.
"""

import math

EARTH_RADIUS_METRES = 6_371_008.8
HALF_ROUND = math.pi * EARTH_RADIUS_METRES

Point = tuple[float, float, float]


def point(latitude: float, longitude: float) -> Point:
    """A place in degrees of WGS84 as a point. Raises ValueError for what lies on no globe."""
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise ValueError("A latitude goes from -90 to 90, a longitude from -180 to 180.")
    north, east = math.radians(latitude), math.radians(longitude)
    return math.cos(north) * math.cos(east), math.cos(north) * math.sin(east), math.sin(north)


def chord(metres: float) -> float:
    """The chord of a way over the surface; 2, the whole globe, from half a round on."""
    return 2.0 if metres >= HALF_ROUND else 2 * math.sin(metres / EARTH_RADIUS_METRES / 2)


def metres_between(one: Point, other: Point) -> float:
    """The way over the surface."""
    return 2 * EARTH_RADIUS_METRES * math.asin(min(math.dist(one, other) / 2, 1.0))
