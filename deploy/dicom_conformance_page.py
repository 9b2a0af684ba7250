"""`python -m deploy.dicom_conformance_page`: write docs/conformance/dicom.md from the gateway's own tables.  PS3.2 A"""

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydicom.charset import python_encoding
from pydicom.uid import UID
from starlette.routing import Mount, Route

from dicom_gateway import part10, status
from dicom_gateway.app import create_app
from dicom_gateway.dimse import association, commitment, find, get, handed_over, move, tls
from dicom_gateway.dimse.upper_layer import association as upper_layer
from dicom_gateway.dimse.upper_layer import door, negotiation, pdu
from dicom_gateway.errors import CannotUnderstand, DataSetMismatch, IngestError, OutOfResources
from dicom_gateway.gateway import open_gateway
from dicom_gateway.index.matching import KEYS
from dicom_gateway.settings import Settings
from dicom_gateway.web import pixels, qido, render

PAGE = Path(__file__).resolve().parent.parent / "docs" / "conformance" / "dicom.md"
REFUSALS: Sequence[type[IngestError]] = (OutOfResources, DataSetMismatch, CannotUnderstand)


def page() -> str:
    """The whole statement."""
    parts = (overview(), introduction(), implementation(), roles(), policies(), statuses(), web(), rest())
    return "\n".join(line for part in parts for line in part) + "\n"


def table(*columns: str) -> list[str]:
    """The head of a table."""
    return ["", f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]


def row(*cells: object) -> str:
    """A line of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def name_of(uid: str) -> str:
    """The name of a UID as the standard's dictionary has it."""
    return str(UID(uid).name)


def overview() -> Iterable[str]:
    """The services in short.  PS3.2 A.1"""
    yield "# DICOM conformance statement of the konsil gateway"
    yield "\nWritten by `make docs` from the tables that the gateway itself runs on; a test fails when it is stale."
    yield "How it behaves beyond them is told in [dimse.md](../dimse.md) and [dicomweb.md](../dicomweb.md)."
    yield "\n## 1 Overview\n"
    yield "The gateway fetches prior imaging from outside archives, keeps what it receives, shows it over DICOMweb and"
    yield "sends released studies on. In gateway mode what arrives is quarantined until it is reconciled; in archive"
    yield "mode it is released at once and C-FIND, C-GET and C-MOVE are answered."
    yield from table("Network service", "as user (SCU)", "as provider (SCP)")
    yield row("Storage", "yes", "yes")
    yield row("Query/Retrieve", "yes (study root)", "yes (archive mode, or `KONSIL_DICOM_QUERY_RETRIEVE`)")
    yield row("Storage commitment (push model)", "yes", "yes")
    yield row("Verification", "yes", "yes")
    yield row("DICOMweb: QIDO-RS, WADO-RS", "yes", "yes")
    yield row("DICOMweb: STOW-RS, capabilities", "no", "yes")
    yield "\nMedia: files of PS3.10 are read (`konsil dicom import`); none are written."


def introduction() -> Iterable[str]:
    """Who it is for.  PS3.2 A.3"""
    yield "\n## 3 Introduction\n"
    yield "For administrators who connect an application entity with this gateway. Conformance is no promise that two"
    yield "products work together: try it with test data. The image viewer is OHIF, no cleared medical device, and has"
    yield "a statement of its own."


def implementation() -> Iterable[str]:
    """The application entity and its associations.  PS3.2 A.4.1, A.4.2"""
    settings = {name: field.default for name, field in Settings.model_fields.items()}
    yield "\n## 4 Networking\n\n### 4.1 Application entity"
    yield from table("Property", "Value")
    yield row("AE title", f"`{settings['ae_title']}`, `KONSIL_DICOM_AE_TITLE`; for each peer another, if it wants one")
    yield row("Port", f"{settings['dimse_port']}; with TLS `KONSIL_DICOM_DIMSE_TLS_PORT` (2762 is registered)")
    yield row("Application context", f"`{pdu.APPLICATION_CONTEXT_NAME}`")
    yield row("Implementation class UID", f"`{part10.IMPLEMENTATION_CLASS_UID}`")
    yield row("Implementation version name", f"`{part10.IMPLEMENTATION_VERSION_NAME}`")
    yield row("Maximum length received", f"{settings['maximum_pdu_bytes']} bytes (`KONSIL_DICOM_MAXIMUM_PDU_BYTES`)")
    yield row("Associations accepted at once", settings["maximum_associations"])
    yield row("Asynchronous operations", "none: one operation at a time on an association")
    yield row("Request, silence", f"{door.HANDSHAKE_SECONDS:g} s for TLS, {upper_layer.IDLE_SECONDS:g} s of silence")
    yield row("Connecting, negotiating", f"{association.CONNECT_SECONDS:g} s, {association.NEGOTIATE_SECONDS:g} s")
    yield row("SOP class extended negotiation", "storage classes: level 2, signatures preserved, nothing coerced")
    yield row("", "query and retrieval: relational granted (never needed), everything else turned down")
    yield row("Role selection", "accepted for storage (C-GET) and storage commitment; proposed for storage in C-GET")
    yield "\nAn association is accepted from registered peers alone: calling AE title, address and, where the peer has"
    yield "TLS, its certificate. Else it is rejected, permanently, by the service user (reason 3, or 7 for the called)."


def roles() -> Iterable[str]:
    """SOP classes and their roles.  PS3.2 A.4.2.x.3"""
    uncompressed = ", ".join(map(name_of, map(str, association.UNCOMPRESSED)))
    asked = (find.StudyRootFind, get.StudyRootGet, move.StudyRootMove)  # type: ignore[attr-defined]
    yield "\n### 4.2 SOP classes and transfer syntaxes\n\n#### 4.2.1 Verification, query and retrieval"
    yield from table("SOP class", "UID", "SCU", "SCP", "transfer syntaxes")
    yield row("Verification", f"`{negotiation.VERIFICATION}`", "yes", "yes", uncompressed)
    yield row(name_of(commitment.PUSH_MODEL), f"`{commitment.PUSH_MODEL}`", "yes", "yes", uncompressed)
    for uid in map(str, handed_over.QUERY_RETRIEVE):
        yield row(name_of(uid), f"`{uid}`", "yes" if uid in map(str, asked) else "no", "yes", uncompressed)
    yield "\nKeys that are matched (all matching kinds of PS3.4 C.2.2.2); others are passed over with status FF01:"
    yield from table("Level", "Keys")
    for level, keys in KEYS.items():
        yield row(level, ", ".join(keys))
    yield "\n#### 4.2.2 Storage"
    yield "\nAs SCP every storage SOP class below, and every private or unknown abstract syntax, in the first transfer"
    yield "syntax that is proposed, whatever it is: data sets are kept byte for byte. As SCU each object goes out in"
    yield "the transfer syntax that it is stored in; to an acceptor that does not take that one, decoded without"
    yield "loss into explicit or implicit VR little endian, which are proposed beside it (C-GET: into a lossless"
    yield "syntax that the requestor offers)."
    yield from table("SOP class", "UID", "SCU", "SCP")
    for uid in sorted(negotiation.STORAGE_CLASSES, key=name_of):
        yield row(name_of(uid), f"`{uid}`", "yes", "yes")


def policies() -> Iterable[str]:
    """Network interfaces and configuration.  PS3.2 A.4.3, A.4.4"""
    yield "\n### 4.3 Network interfaces\n\nTCP/IP, IPv4 and IPv6, as the operating system gives them."
    yield "\n### 4.4 Configuration\n"
    yield "Peers are added by `konsil dicom provision` and `konsil dicom peer`: AE titles, host, port, addresses, TLS,"
    yield "abilities, character set, issuer of patient ids. All settings are in [settings.md](../settings.md)."


def statuses() -> Iterable[str]:
    """Statuses, and what is made of failures.  PS3.2 A.4.2.x.3"""
    yield "\n### 4.5 Statuses"
    yield from table("Status", "Meaning")
    for code, meaning in sorted(status.NAMES.items()):
        yield row(f"{code:04X}", meaning)
    yield "\nWhat an instance is refused with, by C-STORE and in FailureReason (0008,1197) of STOW-RS:"
    yield from table("Status", "When")
    for refusal in REFUSALS:
        yield row(f"{refusal.status:04X}", (refusal.__doc__ or "").splitlines()[0])
    yield "\nWhat a failure as SCU is called in the record of a retrieval, and what is advised:"
    yield from table("Cause", "Said", "Remedy")
    for cause, sentences in status.SENTENCES.items():
        yield row(f"`{cause}`", *sentences)


def web() -> Iterable[str]:
    """DICOMweb transactions, from the routes of an archive.  PS3.2 A.4.2.4"""
    yield "\n### 4.6 DICOMweb services"
    yield from table("Resource below `/dicom-web`", "Methods")
    for route in routes():
        path = route.path.replace(":path", "")
        yield row(f"`{path}`", ", ".join(sorted((route.methods or set()) - {"HEAD"})))
    yield from table("Property", "Value")
    yield row("Metadata and searches", 'application/dicom+json; multipart/related; type="application/dicom+xml"')
    yield row("Renderings", ", ".join(render.FORMATS))
    yield row("Frames in a compressed syntax", ", ".join(dict.fromkeys(pixels.COMPRESSED.values())))
    yield row("Answers of one search at most", qido.CAP)
    for level, tags in qido.DEFAULTS.items():
        yield row(f"Attributes of a search: {level}", ", ".join(f"({tag[:4]},{tag[4:]})" for tag in sorted(tags)))
    yield "\nWhat is shown of each, with its clause: [dicomweb.md](dicomweb.md)."


def routes() -> list[Route]:
    """The DICOMweb routes, in the order of their paths."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/index.db"
        gateway = open_gateway(Settings(mode="archive", data_dir=Path(folder), database_url=url))
        app = create_app(gateway)
        gateway.ingest.close()
        gateway.engine.dispose()
    mounts = (route for route in app.routes if isinstance(route, Mount) and route.path == "/dicom-web")
    found = [route for mount in mounts for route in mount.routes if isinstance(route, Route)]
    return sorted(found, key=lambda route: (route.path, sorted(route.methods or ())))


def rest() -> Iterable[str]:
    """Media, character sets, security.  PS3.2 A.5 to A.8"""
    yield "\n## 5 Media interchange\n"
    yield "File-sets (DICOMDIR) are read from folders and ZIP archives and compared with what is there;"
    yield "none is written."
    yield "\n## 6 Character sets\n"
    yield "Read, also with code extensions; answers are in the asker's own set or in ISO_IR 192:"
    yield "\n" + ", ".join(sorted(name for name in python_encoding if name)) + "."
    yield "\n## 7 Security"
    yield from table("Property", "Value")
    yield row("Profile", "BCP 195 TLS Secure Transport Connection Profile (PS3.15 B.12), certificates on both sides")
    yield row("Versions", "TLS 1.2 and 1.3")
    yield row("Cipher suites of TLS 1.2", f"`{tls.CIPHERS}` in OpenSSL's words")
    yield row("Not claimed", "modified BCP 195 (B.13)")
    yield row("User identity negotiation", "not answered")
    yield row("DICOMweb", "bearer token of the FHIR server's authorization server (gateway), one token (archive)")
    yield "\n## 8 Annexes\n"
    yield "No private SOP classes, attributes or transfer syntaxes are made. Attributes are changed by a recorded"
    yield "reconciliation alone: the coerced version names the originals in (0400,0561), the original object is kept."


def main() -> None:
    """Put the page where it belongs."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
