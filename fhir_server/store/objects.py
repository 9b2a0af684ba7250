"""Parts of large Binaries in an object store: S3, Azure or Google, through obstore.

Each part is an object of its own, `KEY/000000` and so on: it is there whole or not at all, a range needs only the parts
it touches, and what a crash leaves behind is found under the key.
"""

from obstore.exceptions import BaseError
from obstore.store import ObjectStore, from_url

from fhir_server.errors import Unavailable

FAILURES = (BaseError, OSError)
# A multiple of three, as in the database: base64 of the parts one after the other is that of the whole.
PART_BYTES = 7_864_320


class Objects:
    """An object store by its URL; credentials come from the environment, as that store's own tools read them."""

    part_bytes = PART_BYTES

    def __init__(self, url: str) -> None:
        self._store: ObjectStore = from_url(url)

    async def keep(self, key: str, number: int, content: bytes) -> None:
        """Store one part. Raises Unavailable."""
        try:
            await self._store.put_async(_path(key, number), content)
        except FAILURES:
            raise Unavailable("The store of large contents does not take them now.") from None

    async def read(self, key: str, number: int, start: int, end: int) -> bytes:
        """Bytes of one part. Raises Unavailable."""
        try:
            return bytes(await self._store.get_range_async(_path(key, number), start=start, end=end))
        except FAILURES:
            raise Unavailable("The store of large contents does not answer now.") from None

    async def forget(self, key: str) -> None:
        """Remove all parts; nothing to remove is no error. Raises Unavailable."""
        try:
            async for found in self._store.list(prefix=key):
                await self._store.delete_async([one["path"] for one in found])
        except FAILURES:
            raise Unavailable("The store of large contents does not answer now.") from None


def objects_at(url: str | None) -> Objects | None:
    """The configured one, if any."""
    return Objects(url) if url else None


def _path(key: str, number: int) -> str:
    return f"{key}/{number:06}"
