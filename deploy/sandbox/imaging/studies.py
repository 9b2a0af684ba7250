"""Draw every study of the outside hospital's archive once: which maker draws which."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.sandbox.imaging import ct, films, loops, mammography, mr, pathology, reports
from deploy.sandbox.imaging.catalogue import (
    ANGIOGRAPHY_REPORT,
    BREAST_ULTRASOUND,
    CT_ABDOMEN,
    CT_ABDOMEN_FORMER,
    CT_ANGIOGRAPHY,
    CT_AORTIC_ROOT,
    CT_CHEST,
    ECHO,
    EEG_REPORT,
    FILM,
    HALF_LOST,
    MAMMOGRAM,
    MAMMOGRAM_OF_ANOTHER,
    MR_BRAIN,
    MR_CHILD,
    MR_SPINE,
    SLIDE,
    SPINE_FILMS,
    STUDIES,
    VALVE_ECHO,
)
from deploy.sandbox.imaging.dicom import Study

__all__ = ["CT_CHEST", "ECHO", "FILM", "HALF_LOST", "MR_BRAIN", "STUDIES", "generate"]

VERSION = 5
Progress = Callable[[str], None]
# The longest first, so that two processors end at about the same time.
MAKERS: dict[Study, Callable[[Path, int], None]] = {
    CT_CHEST: ct.ct_chest,
    MR_BRAIN: mr.mr_brain,
    CT_ANGIOGRAPHY: ct.ct_angiography,
    MR_CHILD: mr.mr_child,
    MR_SPINE: mr.mr_spine,
    SLIDE: pathology.whole_slide,
    CT_AORTIC_ROOT: ct.ct_aortic_root,
    CT_ABDOMEN: ct.ct_abdomen,
    MAMMOGRAM: mammography.mammogram,
    MAMMOGRAM_OF_ANOTHER: mammography.mammogram_of_another,
    ECHO: loops.mitral_echo,
    VALVE_ECHO: loops.valve_echo,
    SPINE_FILMS: films.spine_in_motion,
    FILM: films.film,
    CT_ABDOMEN_FORMER: ct.ct_abdomen_former,
    BREAST_ULTRASOUND: mammography.breast_stills,
    ANGIOGRAPHY_REPORT: reports.angiography_report,
    EEG_REPORT: reports.eeg_report,
}


def generate(directory: Path, progress: Progress, keep_every: int = 1) -> list[Path]:
    """Write all studies under `directory` and return their files; a finished study is not written twice.

    `keep_every` leaves slices and frames out (tests take one of fifteen).  A study counts as finished once its
    `done.json` names this VERSION and `keep_every`: an interrupted run starts that study over.
    """
    missing = [study for study in MAKERS if not done(directory / study.key, keep_every)]
    helped = len(missing) > 2 and keep_every == 1 and (os.cpu_count() or 1) > 1
    mine, others = (missing[0::2], missing[1::2]) if helped else (missing, [])
    for study in missing:
        progress(f"drawing {study.description} ({study.key})")
    with helper(directory, keep_every, others):
        for study in mine:
            draw(study, directory, keep_every)
    return sorted(directory.glob("*/*.dcm"))


@contextmanager
def helper(directory: Path, keep_every: int, studies: list[Study]) -> Iterator[None]:
    """Draw some studies in a process of its own while the block runs.  Raises CalledProcessError."""
    if not studies:
        yield
        return
    command = [
        sys.executable,
        "-m",
        "deploy.sandbox.imaging.studies",
        str(directory),
        str(keep_every),
        *(each.key for each in studies),
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def draw(study: Study, directory: Path, keep_every: int) -> None:
    """Draw one study from the beginning and mark it as whole."""
    folder = directory / study.key
    shutil.rmtree(folder, ignore_errors=True)
    MAKERS[study](folder, keep_every)
    mark = {"version": VERSION, "keep_every": keep_every}
    (folder / "done.json").write_text(json.dumps(mark))


def done(folder: Path, keep_every: int) -> bool:
    """Whether a study stands in its folder, whole."""
    mark = folder / "done.json"
    return mark.exists() and json.loads(mark.read_text()) == {"version": VERSION, "keep_every": keep_every}


if __name__ == "__main__":
    for name in sys.argv[3:]:
        draw(next(study for study in MAKERS if study.key == name), Path(sys.argv[1]), int(sys.argv[2]))
