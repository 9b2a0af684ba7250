"""Uploads: a medium comes file by file, each in pieces that name their place, so a lost connection costs a piece.

Files lie below `uploads/` of the data folder under their number; a name out of a medium is never a path of ours.
"""

import json
import shutil
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select, update

from dicom_gateway.errors import GatewayError, NotFound
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.imports import media_import
from dicom_gateway.index.models import outbox
from konsil.database import reader
from konsil.outbox import Again, Job, NewJob, enqueue

TAKE, EXPIRE = "import-media", "import-expire"
MOST_FILES = 20_000
LONGEST_NAME = 400
SPARE_BYTES = 1 << 30
UNFINISHED_SECONDS = 86_400.0


class UploadRefused(GatewayError):
    """An upload, or a piece of one, that is not taken; the text says what to do."""


class WrongPlace(UploadRefused):
    """A piece that does not begin where the last one ended; `received` is where."""

    def __init__(self, received: int) -> None:
        super().__init__("The piece does not begin where the last one ended.")
        self.received = received


@dataclass(frozen=True, slots=True)
class For:
    """Whose medium it is: the case, its Patient and ServiceRequest, and the person who uploads."""

    case: str
    patient: str
    focus: str
    person: str


@dataclass(frozen=True, slots=True)
class Upload:
    """One medium: what it is for, how it stands, and its files as [name, bytes]."""

    id: str
    target: For
    state: str
    files: list[tuple[str, int]]
    done: int
    result: dict[str, Any]
    updated_at: float


def begin(gateway: Gateway, target: For, files: Sequence[tuple[str, int]]) -> Upload:
    """Make room for a medium.  Raises UploadRefused when it is empty, too large, or the disk too full."""
    total, most = sum(size for _, size in files), gateway.settings.upload_gigabytes << 30
    if not files:
        raise UploadRefused("Nothing was chosen. Choose a ZIP archive, files or a folder.")
    if len(files) > MOST_FILES:
        raise UploadRefused(f"More than {MOST_FILES} files. Pack the folder into one ZIP archive.")
    if total > most:
        raise UploadRefused(f"More than {most >> 30} GB. Bring it in parts, or ask an administrator to import it.")
    if shutil.disk_usage(gateway.settings.data_dir).free < 2 * total + SPARE_BYTES:
        raise UploadRefused("The gateway has too little room for this. Tell its administrators.")
    now, upload_id = time.time(), str(uuid.uuid4())
    row = {
        **{"id": upload_id, "case_reference": target.case, "patient_reference": target.patient},
        **{"focus_reference": target.focus, "imported_by": target.person, "state": "receiving"},
        **{"files": json.dumps([[name[-LONGEST_NAME:], size] for name, size in files])},
        **{"created_at": now, "updated_at": now},
    }
    folder_of(gateway, upload_id).mkdir(parents=True)
    with gateway.engine.begin() as connection:
        connection.execute(insert(media_import).values(row))
        due = NewJob(EXPIRE, {"id": upload_id}, f"{EXPIRE}:{upload_id}", due_at=now + UNFINISHED_SECONDS)
        connection.execute(enqueue(outbox, connection.dialect.name, due))
    return find(gateway, upload_id)


def find(gateway: Gateway, upload_id: str) -> Upload:
    """One upload.  Raises NotFound."""
    with reader(gateway.engine).connect() as connection:
        return load(connection, upload_id)


def load(connection: Connection, upload_id: str) -> Upload:
    """One upload.  Raises NotFound."""
    row = connection.execute(select(media_import).where(media_import.c.id == upload_id)).mappings().one_or_none()
    if row is None:
        raise NotFound("There is no such import.")
    target = For(row["case_reference"], row["patient_reference"], row["focus_reference"], row["imported_by"])
    files = [(str(name), int(size)) for name, size in json.loads(row["files"])]
    result = json.loads(row["result"] or "{}")
    return Upload(row["id"], target, row["state"], files, row["done"], result, row["updated_at"])


def folder_of(gateway: Gateway, upload_id: str) -> Path:
    """Where the files of an upload lie."""
    return gateway.settings.data_dir / "uploads" / str(uuid.UUID(upload_id))


def file_of(gateway: Gateway, upload: Upload, number: int) -> Path:
    """Where one file lies, or will.  Raises NotFound."""
    if not 0 <= number < len(upload.files):
        raise NotFound("The import has no such file.")
    return folder_of(gateway, upload.id) / f"{number:06d}"


def received(gateway: Gateway, upload: Upload, number: int) -> int:
    """How many bytes of a file are here.  Raises NotFound."""
    path = file_of(gateway, upload, number)
    return path.stat().st_size if path.exists() else 0


def check_piece(gateway: Gateway, upload: Upload, number: int, place: int) -> Path:
    """See that a piece may come now; gives the file that it goes to.  Raises UploadRefused, WrongPlace, NotFound."""
    if upload.state != "receiving":
        raise UploadRefused("This upload is over.")
    here = received(gateway, upload, number)
    if here != place:
        raise WrongPlace(here)
    return file_of(gateway, upload, number)


def complete(gateway: Gateway, upload: Upload) -> Upload:
    """Everything is here: let a worker take it in; again changes nothing.  Raises UploadRefused."""
    missing = sum(received(gateway, upload, number) != size for number, (_, size) in enumerate(upload.files))
    if upload.state == "receiving" and missing:
        raise UploadRefused(f"{missing} of the files are not here yet.")
    with gateway.engine.begin() as connection:
        if change(connection, upload, "receiving", state="waiting"):
            job = NewJob(TAKE, {"id": upload.id}, f"{TAKE}:{upload.id}", order_key=TAKE)
            connection.execute(enqueue(outbox, connection.dialect.name, job))
    return find(gateway, upload.id)


def cancel(gateway: Gateway, upload: Upload) -> Upload:
    """Forget an upload of which nothing has been taken in.  Raises UploadRefused."""
    with gateway.engine.begin() as connection:
        if not change(connection, upload, "receiving", state="cancelled", files="[]"):
            raise UploadRefused("The images are being taken in already; reject them in the HIM inbox instead.")
    shutil.rmtree(folder_of(gateway, upload.id), ignore_errors=True)
    return replace(upload, state="cancelled", files=[])


def change(connection: Connection, upload: Upload, before: str, **values: Any) -> bool:
    """Change an upload that stands there; False when it has gone on."""
    there = (media_import.c.id == upload.id) & (media_import.c.state == before)
    statement = update(media_import).where(there).values(updated_at=time.time(), **values)
    return connection.execute(statement).rowcount == 1


def touch(gateway: Gateway, upload: Upload) -> None:
    """Somebody is still uploading."""
    with gateway.engine.begin() as connection:
        change(connection, upload, "receiving")


def expire(gateway: Gateway, job: Job) -> Again | None:
    """Forget an upload that nobody went on with for a day."""
    upload = find(gateway, str(job.payload["id"]))
    if upload.state != "receiving":
        return None
    rest = upload.updated_at + UNFINISHED_SECONDS - time.time()
    if rest > 0:
        return Again(rest)
    cancel(gateway, upload)
    return None
