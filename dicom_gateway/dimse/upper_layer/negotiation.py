"""Which presentation contexts are accepted, and which associations are pynetdicom's.  PS3.8 9.3.3.2, PS3.4 B.3.1"""

from collections.abc import Container
from functools import lru_cache
from typing import Final

from pydicom.uid import UID
from pynetdicom import sop_class

from dicom_gateway.dimse.association import UNCOMPRESSED
from dicom_gateway.dimse.upper_layer.pdu import AssociateRequest, Negotiated, Proposed

VERIFICATION: Final = "1.2.840.10008.1.1"
ACCEPTED, NO_ABSTRACT_SYNTAX, NO_TRANSFER_SYNTAX = 0, 3, 4
STORAGE_CLASSES: Final = frozenset(map(str, sop_class._STORAGE_CLASSES.values()))
# Level 2 (everything is kept), bits preserved, nothing coerced without a recorded decision.  PS3.4 Table B.3-1
STORAGE_LEVEL: Final = bytes((2, 0, 3, 0, 1, 0))


@lru_cache(maxsize=1024)
def is_storage(abstract_syntax: str) -> bool:
    """Whether this may be a storage SOP class: a known one, a private or an unknown one.  The same as pynetdicom's."""
    uid = UID(abstract_syntax)
    return uid.is_private or abstract_syntax in STORAGE_CLASSES or not hasattr(sop_class, uid.keyword)


def is_ours(request: AssociateRequest, offered: Container[str]) -> bool:
    """Whether nothing but verification and storage is proposed of what pynetdicom offers."""
    others = (context.abstract_syntax for context in request.contexts if context.abstract_syntax != VERIFICATION)
    return not any(uid in offered for uid in others)


def negotiate(request: AssociateRequest) -> list[Negotiated]:
    """Accept verification, and storage in the first transfer syntax proposed, whatever it is."""
    return [_answer(proposed) for proposed in request.contexts]


def _answer(proposed: Proposed) -> Negotiated:
    uid, syntaxes = proposed.abstract_syntax, proposed.transfer_syntaxes
    if uid == VERIFICATION:
        common = [syntax for syntax in UNCOMPRESSED if syntax in syntaxes]
        result = ACCEPTED if common else NO_TRANSFER_SYNTAX
        return Negotiated(proposed.context_id, result, uid, str((*common, *syntaxes)[0]))
    result = ACCEPTED if is_storage(uid) else NO_ABSTRACT_SYNTAX
    return Negotiated(proposed.context_id, result, uid, syntaxes[0])


def extended(request: AssociateRequest) -> dict[str, bytes]:
    """Answer extended negotiation of storage classes.  PS3.4 B.3.1"""
    return {uid: STORAGE_LEVEL for uid in request.extended if uid in STORAGE_CLASSES}
