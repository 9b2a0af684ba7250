"""One data set while an association or a request brings it: in memory while it is small,
beside the archive when it grows large.
"""

from typing import BinaryIO

from blake3 import blake3

from dicom_gateway.archive import Writing
from dicom_gateway.errors import OutOfResources
from dicom_gateway.ingest import Incoming, Ingest, Receipt, Source
from dicom_gateway.part10 import write_meta

LARGE_BYTES = 4 << 20


class Reception:
    """Takes the bytes of one data set; memory holds `LARGE_BYTES` of it at most.

    `meta`: what stands before the data set in our file; made here for what comes without.
    """

    def __init__(self, ingest: Ingest, uids: tuple[str, str, str], source: Source, meta: bytes | None = None) -> None:
        self._ingest = ingest
        self._uids = uids
        self.source = source
        self._meta = write_meta(*uids) if meta is None else meta
        self._held = bytearray()
        self._hasher = blake3()
        self._writing: Writing | None = None
        self._failed: OSError | None = None

    def write(self, chunk: memoryview) -> None:
        """Take the next bytes; what cannot be written is told by `accept`."""
        if self._failed is not None:
            return
        if self._writing is None:
            self._held += chunk
        try:
            if self._writing is not None:
                self._append(chunk)
            elif len(self._held) > LARGE_BYTES:
                self._move_out()
        except OSError as error:
            self._failed = error

    def _move_out(self) -> None:
        self._writing = self._ingest.begin()
        self._writing.write(self._meta)
        held, self._held = self._held, bytearray()
        self._append(memoryview(held))

    def _append(self, chunk: memoryview) -> None:
        if self._writing is not None:
            self._hasher.update(chunk)
            self._writing.write(chunk)

    def reread(self) -> memoryview | BinaryIO:
        """What has come so far; valid until `accept` or `drop`.  Raises OutOfResources."""
        if self._failed is not None:
            raise OutOfResources("the instance could not be written") from self._failed
        return memoryview(self._held) if self._writing is None else self._writing.reread(len(self._meta))

    def accept(self) -> Receipt:
        """Everything has come: keep it durably.  Raises IngestError as `Ingest.accept` does."""
        try:
            if self._failed is not None:
                raise OutOfResources("the instance could not be written") from self._failed
            instance = Incoming(*self._uids, self._meta, memoryview(self._held), self.source)
            if self._writing is None:
                return self._ingest.accept(instance)
            return self._ingest.accept_written(instance, self._writing, self._hasher.hexdigest())
        finally:
            self.drop()

    def drop(self) -> None:
        """Leave nothing behind but what was accepted."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.close()
