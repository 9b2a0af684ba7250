"""Large objects over HTTP: memory stays flat, whatever their size."""

import subprocess
import sys
from pathlib import Path

import pytest

LIMITED = """
import sys
from pathlib import Path
from tests.dicom_gateway.web.large import store_and_retrieve
print(store_and_retrieve(Path(sys.argv[1]), int(sys.argv[2])))
"""


def peak(folder: Path, size: int) -> int:
    """How many bytes a program of its own needed at most to store and give back an object of this size."""
    command = [sys.executable, "-c", LIMITED, str(folder), str(size)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=280)
    return int(done.stdout)


def test_storing_needs_no_more_memory_for_ten_times_the_size(tmp_path: Path) -> None:
    small, large = peak(tmp_path / "small", 8 << 20), peak(tmp_path / "large", 160 << 20)
    assert large - small < 32 << 20, f"{small >> 20} MB, {large >> 20} MB"


@pytest.mark.full
def test_an_object_of_four_gigabytes_passes(tmp_path: Path) -> None:
    assert peak(tmp_path, (4 << 30) - 4096) < 400 << 20
