"""DICOM files on their way in by HTTP, sent by STOW-RS or fetched by WADO-RS: streamed beside the archive when large.
PS3.18 10.5.1
"""

from dataclasses import replace
from typing import BinaryIO

from dicom_gateway.errors import CannotUnderstand, DataSetMismatch
from dicom_gateway.identity import identify
from dicom_gateway.ingest import Ingest, Receipt, Source
from dicom_gateway.part10 import read_meta
from dicom_gateway.reception import Reception
from dicom_gateway.web.admission import Admission

META_BYTES = 1 << 17


class FilePart:
    """One file: its file meta information is read as soon as it is here, then the data set goes its own way.

    `who`: whose right it is to send it, None for what we have asked for.
    """

    def __init__(self, ingest: Ingest, who: Admission | None, source: Source) -> None:
        self._ingest = ingest
        self._who = who
        self._source = source
        self._head = bytearray()
        self._reception: Reception | None = None
        self._failed: CannotUnderstand | None = None
        self.uids = ("", "", "")
        self.size = 0

    def write(self, chunk: bytes | bytearray | memoryview) -> int:
        """Take the next bytes; what is wrong with them is told by `accept`."""
        self.size += len(chunk)
        if self._reception is not None:
            self._reception.write(memoryview(chunk))
        elif self._failed is None:
            self._head += chunk
            if len(self._head) >= META_BYTES:
                self._begin()
        return len(chunk)

    def _begin(self) -> None:
        head, self._head = bytes(self._head), bytearray()
        try:
            meta = read_meta(head)
        except CannotUnderstand as error:
            self._failed = error
            return
        self.uids = (meta.sop_class_uid, meta.sop_instance_uid, meta.transfer_syntax_uid)
        self._reception = Reception(self._ingest, self.uids, self._source, head[: meta.offset])
        self._reception.write(memoryview(head)[meta.offset :])

    def accept(self, study: str | None) -> Receipt:
        """The whole file has come: keep it.  Raises IngestError."""
        if self._reception is None and self._failed is None:
            self._begin()
        if self._reception is None:
            raise self._failed or CannotUnderstand("not a DICOM file")
        check_study(self._reception.reread(), self.uids[2], study)
        if self._who is not None:
            admitted = self._who.check(self._reception.reread(), self.uids[2])
            self._reception.source = replace(self._source, admission=admitted)
        return self._reception.accept()

    def close(self) -> None:
        """Leave nothing behind but what was accepted."""
        if self._reception is not None:
            self._reception.drop()


def check_study(data_set: memoryview | BinaryIO, transfer_syntax_uid: str, study: str | None) -> None:
    """An instance of another study than the address names is refused.  PS3.18 10.5.1.1.1  Raises DataSetMismatch."""
    if study is not None and identify(data_set, transfer_syntax_uid).study_instance_uid != study:
        raise DataSetMismatch("the instance is of another study")
