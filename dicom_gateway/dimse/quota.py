"""How many associations one peer may have with us, and how many it may begin: settings of the peer.  PS3.8 9.3.4"""

from collections import Counter
from collections.abc import Iterable
from threading import Lock

from dicom_gateway.peers import Peer
from konsil.rate_limit import RateLimit


class Quota:
    """Counts in this process.  Both are refused for now (result 2), by the provider (source 3)."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._limits: dict[str, RateLimit] = {}

    def begins_too_often(self, peer: Peer) -> bool:
        """Count an association that begins; whether it is one too many within a minute."""
        with self._lock:
            limit = self._limits.get(peer.name)
            if limit is None or limit.count != peer.associations_per_minute:
                limit = self._limits[peer.name] = RateLimit(peer.associations_per_minute)
            return limit.wait(peer.name) > 0


def has_too_many(peer: Peer, open_now: Iterable[str]) -> bool:
    """Whether a peer has as many open as it may; `open_now` names the peer of each that is open."""
    return 0 < peer.associations_at_once <= Counter(open_now)[peer.name]
