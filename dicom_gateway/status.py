"""Statuses of the DIMSE services by name, and the causes of a failed retrieval with their remedies.

PS3.4 Tables B.2-1 (storage), C.4-1 (find), C.4-2 (move), C.4-3 (get); PS3.7 Annex C.
"""

from enum import StrEnum
from typing import Final

SUCCESS: Final = 0x0000
CANCEL: Final = 0xFE00
PENDING: Final = 0xFF00
PENDING_OPTIONAL_KEYS_UNSUPPORTED: Final = 0xFF01

SOP_CLASS_NOT_SUPPORTED: Final = 0x0122
NOT_AUTHORIZED: Final = 0x0124
PROCESSING_FAILURE: Final = 0x0110
NO_SUCH_EVENT_TYPE: Final = 0x0113
INVALID_ARGUMENT: Final = 0x0115
NO_SUCH_ACTION: Final = 0x0123

OUT_OF_RESOURCES: Final = 0xA700
OUT_OF_RESOURCES_MATCHES: Final = 0xA701
OUT_OF_RESOURCES_SUBOPERATIONS: Final = 0xA702
MOVE_DESTINATION_UNKNOWN: Final = 0xA801
IDENTIFIER_MISMATCH: Final = 0xA900
WARNING_SUBOPERATIONS: Final = 0xB000
RESPONSE_LIMIT: Final = 0xB001
UNABLE_TO_PROCESS: Final = 0xC000

NAMES: Final = {
    SUCCESS: "success",
    CANCEL: "cancelled",
    SOP_CLASS_NOT_SUPPORTED: "SOP class not supported",
    NOT_AUTHORIZED: "not authorized",
    PROCESSING_FAILURE: "processing failure",
    NO_SUCH_EVENT_TYPE: "no such event type",
    INVALID_ARGUMENT: "invalid argument value",
    NO_SUCH_ACTION: "no such action type",
    OUT_OF_RESOURCES: "out of resources",
    OUT_OF_RESOURCES_MATCHES: "out of resources: cannot calculate the number of matches",
    OUT_OF_RESOURCES_SUBOPERATIONS: "out of resources: cannot perform sub-operations",
    MOVE_DESTINATION_UNKNOWN: "move destination unknown",
    IDENTIFIER_MISMATCH: "identifier does not match SOP class",
    WARNING_SUBOPERATIONS: "one or more sub-operations failed",
    RESPONSE_LIMIT: "matching reached the response limit",
    UNABLE_TO_PROCESS: "unable to process",
}


def name(status: int) -> str:
    """Name one status; those of the C range are all `unable to process`.  PS3.7 Annex C"""
    if status & 0xF000 == 0xC000:
        return f"{NAMES[UNABLE_TO_PROCESS]} ({status:04X})"
    return f"{NAMES.get(status, 'status')} ({status:04X})"


def is_pending(status: int) -> bool:
    """Whether more answers follow.  PS3.4 C.4.1.1.4"""
    return status in {PENDING, PENDING_OPTIONAL_KEYS_UNSUPPORTED}


class Cause(StrEnum):
    """Why a retrieval did not bring what was expected: one word each, found by our own diagnosis."""

    PEER_DOWN = "peer-down"
    TLS_FAILED = "tls-failed"
    ASSOCIATION_REJECTED = "association-rejected"
    ASSOCIATION_ABORTED = "association-aborted"
    CONTEXTS_REFUSED = "contexts-refused"
    STUDY_NOT_FOUND = "study-not-found"
    QUERY_FAILED = "query-failed"
    UNKNOWN_DESTINATION = "unknown-destination"
    WE_REJECTED = "we-rejected"
    PEER_OUT_OF_RESOURCES = "peer-out-of-resources"
    IDENTIFIER_REFUSED = "identifier-refused"
    INSTANCES_FAILED = "instances-failed"
    UNREADABLE = "unreadable"
    NOT_PROVEN_COMPLETE = "not-proven-complete"
    NO_ANSWER = "no-answer"
    TOO_SLOW = "too-slow"
    STORAGE_FULL = "storage-full"
    COMMITMENT_REFUSED = "commitment-refused"
    UNKNOWN_PEER = "unknown-peer"
    OTHER_HOURS = "other-hours"
    CANCELLED = "cancelled"


SENTENCES: Final[dict[Cause, tuple[str, str]]] = {
    Cause.PEER_DOWN: (
        "{title} does not answer.",
        "Ask its administrators whether it is running and reachable from here at {host}:{port}, then start the "
        "retrieval again.",
    ),
    Cause.TLS_FAILED: (
        "No secure connection to {title} comes about.",
        "Compare certificates with its administrators: ours has to be accepted there, theirs has to be the one in its "
        "entry here, and neither may have expired.",
    ),
    Cause.ASSOCIATION_REJECTED: (
        "{title} refuses connections from {our}.",
        "Ask its administrators to register the AE title {our} and to allow query and retrieve for it.",
    ),
    Cause.ASSOCIATION_ABORTED: (
        "{title} broke the connection off.",
        "Start the retrieval again; what arrived is kept. If it breaks again, ask its administrators for their log.",
    ),
    Cause.CONTEXTS_REFUSED: (
        "{title} does not offer the service that was asked for.",
        "Ask its administrators to allow study root query and C-MOVE or C-GET for {our}.",
    ),
    Cause.STUDY_NOT_FOUND: (
        "{title} does not know this study any more.",
        "Search the prior imaging again; the study may have been merged, moved or deleted there.",
    ),
    Cause.QUERY_FAILED: (
        "{title} answered the query with an error.",
        "Start the retrieval again later; if it persists, ask its administrators for their log.",
    ),
    Cause.UNKNOWN_DESTINATION: (
        "{title} does not know where to send images for {our}.",
        "Ask its administrators to register {our} as a move destination with our address and port.",
    ),
    Cause.WE_REJECTED: (
        "{title} sends under an AE title that is not registered here.",
        "Add the AE title and address under which {title} sends to its entry in our list of peers.",
    ),
    Cause.PEER_OUT_OF_RESOURCES: (
        "{title} is out of resources and could not send.",
        "Start the retrieval again later.",
    ),
    Cause.IDENTIFIER_REFUSED: (
        "{title} does not accept the way the study was asked for.",
        "Ask its administrators which query and retrieve levels they support.",
    ),
    Cause.INSTANCES_FAILED: (
        "{title} did not send some of the images.",
        "Start the retrieval again; if the same images fail, ask its administrators to send the study to {our}.",
    ),
    Cause.UNREADABLE: (
        "{title} sent files that cannot be read; they are kept aside, the other images are here.",
        "Ask its administrators to check these images, then fetch the study again; or have it sent on a CD.",
    ),
    Cause.NOT_PROVEN_COMPLETE: (
        "All images that {title} announced have arrived, but it gives no full list of them.",
        "Ask the sending site how many images the study has before relying on its completeness.",
    ),
    Cause.NO_ANSWER: (
        "{title} accepted the request and then stayed silent.",
        "Start the retrieval again; a study in a slow archive may need a second request.",
    ),
    Cause.TOO_SLOW: (
        "{title} answers slowly: not everything could be asked in time.",
        "Try again later, when it is less busy.",
    ),
    Cause.STORAGE_FULL: (
        "Our own storage could not take the images.",
        "Tell the administrators of this gateway: its disk is full or read-only.",
    ),
    Cause.COMMITMENT_REFUSED: (
        "{title} does not say whether it keeps what it took.",
        "Ask its administrators to allow storage commitment for {our}, or take `commit` out of its entry here.",
    ),
    Cause.UNKNOWN_PEER: (
        "The outside archive named in the request is not registered here.",
        "Register it as a peer of this gateway, then start the retrieval again.",
    ),
    Cause.OTHER_HOURS: (
        "{title} is asked at other hours.",
        "The study is fetched by itself then; its entry in our list of peers says when.",
    ),
    Cause.CANCELLED: (
        "The retrieval was cancelled.",
        "Start it again if the images are still needed.",
    ),
}

LATER: Final = "Search again in a few minutes, or send the request without these images: they can be fetched later."
CLOSED: Final = (
    "Send the request without these images and tell the coordinator: the archive has to let us in first. "
    "Images on a CD can follow."
)
SEARCH_REMEDIES: Final = dict.fromkeys(
    (
        Cause.TLS_FAILED,
        Cause.ASSOCIATION_REJECTED,
        Cause.CONTEXTS_REFUSED,
        Cause.IDENTIFIER_REFUSED,
        Cause.UNKNOWN_PEER,
    ),
    CLOSED,
)
