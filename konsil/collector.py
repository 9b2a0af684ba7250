"""Python's collector of cycles, as servers need it.  https://docs.python.org/3/library/gc.html"""

import gc

YOUNG = 10_000


def expect_large_requests() -> None:
    """Look for cycles after so many new objects instead of 700.

    A transaction's resources and rows stay until it ends: walking them again and again is a sixth of an import.
    """
    gc.set_threshold(YOUNG)
