"""C-STORE as SCU: objects go out as they lie in the archive, in their own transfer syntax; to who does not accept that,
uncompressed.  PS3.4 Annex B
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from pynetdicom.association import Association

from dicom_gateway.archive import Archive
from dicom_gateway.dimse.accepted import FALLBACKS, copied, instead
from dicom_gateway.dimse.association import MAXIMUM_CONTEXTS
from dicom_gateway.dimse.upper_layer.connection import Closed
from dicom_gateway.dimse.upper_layer.requestor import Kind, Sender, sender
from dicom_gateway.errors import CannotUnderstand
from dicom_gateway.index.query import Located
from dicom_gateway.peers import Peer
from dicom_gateway.status import name
from dicom_gateway.transcode import CannotTranscode


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one instance: the peer's status, None when it gave none; why: no context for it, no file."""

    sop_instance_uid: str
    status: int | None
    refused: bool = False
    lost: bool = False

    @property
    def stored(self) -> bool:
        """Whether the peer has it now; a warning means that it stored it too (PS3.4 Table B.2-1)."""
        return self.status is not None and (self.status == 0 or self.status & 0xF000 == 0xB000)

    @property
    def reason(self) -> str:
        """What went wrong, in words for an administrator; empty when nothing did."""
        if self.stored:
            return ""
        if self.refused:
            return "the peer accepts no presentation context for this SOP class and transfer syntax"
        if self.lost:
            return "our archive cannot read it"
        return "no answer" if self.status is None else name(self.status)


@dataclass(frozen=True, slots=True)
class Originator:
    """The C-MOVE that a sending belongs to.  PS3.7 9.1.1.1"""

    ae_title: str
    message_id: int


def send_instances(archive: Archive, peer: Peer, instances: Sequence[Located]) -> list[Sent]:
    """Send instances to a peer; says for each what became of it.  Raises PeerError when no association comes about."""
    return list(sending(archive, peer, instances, None))


def sending(
    archive: Archive, peer: Peer, instances: Sequence[Located], originator: Originator | None
) -> Iterator[Sent]:
    """Send instances one by one, one context for each SOP class and transfer syntax.  Raises PeerError."""
    for batch in _batches(instances):
        with sender(peer, kinds_of(batch)) as association:
            for number, item in enumerate(batch):
                yield _sent(association, archive, item, number % 65535 + 1, originator)


def kinds_of(batch: Sequence[Located]) -> list[Kind]:
    """Each class in each syntax that there is of it, and, as far as there is room, uncompressed."""
    stored = dict.fromkeys((item.sop_class_uid, item.transfer_syntax_uid) for item in batch)
    classes = dict.fromkeys(uid for uid, _ in stored)
    others = [(uid, syntax) for syntax in FALLBACKS for uid in classes if (uid, syntax) not in stored]
    return [*stored, *others][:MAXIMUM_CONTEXTS]


def _sent(association: Sender, archive: Archive, item: Located, message_id: int, originator: Originator | None) -> Sent:
    """Send one instance; once the association is over, each of the others has no answer."""
    mover = (originator.ae_title, originator.message_id) if originator else None
    try:
        status = association.store(archive.path(item.object_key), message_id, mover)
        other = instead(item.transfer_syntax_uid, association.syntaxes(item.sop_class_uid)) if status is None else None
        if other is not None:
            with copied(archive, item, other) as copy:
                status = association.store(copy, message_id, mover)
    except CannotTranscode:
        return Sent(item.sop_instance_uid, None, refused=True)
    except Closed:
        return Sent(item.sop_instance_uid, None)
    except (OSError, CannotUnderstand):  # the archive has lost the file: a failed sub-operation, not the end of it all
        return Sent(item.sop_instance_uid, None, lost=True)
    return Sent(item.sop_instance_uid, status, refused=status is None)


def send_one(assoc: Association, archive: Archive, item: Located, message_id: int) -> Sent:
    """Send one instance on an association that is pynetdicom's: the sub-operation of a C-GET."""
    own = [each for each in assoc.accepted_contexts if each.abstract_syntax == item.sop_class_uid and each.as_scu]
    accepted = {str(syntax) for each in own for syntax in each.transfer_syntax}
    try:
        if item.transfer_syntax_uid in accepted or (other := instead(item.transfer_syntax_uid, accepted)) is None:
            answer = assoc.send_c_store(archive.path(item.object_key), msg_id=message_id)
        else:
            with copied(archive, item, other) as copy:
                answer = assoc.send_c_store(copy, msg_id=message_id)
    except (ValueError, CannotTranscode):
        return Sent(item.sop_instance_uid, None, refused=True)
    except RuntimeError:
        return Sent(item.sop_instance_uid, None)
    except OSError:  # the archive has lost the file: a failed sub-operation, not the end of the association
        return Sent(item.sop_instance_uid, None, lost=True)
    return Sent(item.sop_instance_uid, answer.get("Status"))


def _batches(instances: Sequence[Located]) -> Iterator[list[Located]]:
    """Cut a sequence so that no part needs more contexts than an association has."""
    kinds: set[tuple[str, str]] = set()
    start = 0
    for end, item in enumerate(instances):
        kinds.add((item.sop_class_uid, item.transfer_syntax_uid))
        if len(kinds) > MAXIMUM_CONTEXTS:
            yield list(islice(instances, start, end))
            start, kinds = end, {(item.sop_class_uid, item.transfer_syntax_uid)}
    if start < len(instances):
        yield list(islice(instances, start, None))
