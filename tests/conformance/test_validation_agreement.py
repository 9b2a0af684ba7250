"""Our validation and HAPI's give the same verdict on R4's examples and on 200 mutations of them.

Where they differ is listed here by reason, and explained in docs/conformance/validation.md.
"""

import subprocess
import tarfile
from collections import defaultdict
from pathlib import Path

import pytest

from deploy.setup import hapi
from deploy.setup.examples import package
from fhir_server import wire
from tests.conformance.mutations import mutations
from tests.fhir_server.validation.conftest import shared

PROGRAM = Path(__file__).parent / "hapi" / "Agreement.java"
LARGEST = 3_000_000  # the eight larger ones are Bundles of what is asked about one by one
LARGEST_TO_BREAK = 20_000
MUTATIONS = 200
DEFINING = (
    "CodeSystem", "ValueSet", "SearchParameter", "StructureDefinition", "ConceptMap", "OperationDefinition",
    "NamingSystem", "CompartmentDefinition", "StructureMap", "Bundle-conceptmaps", "Bundle-types", "ig",
)  # fmt: skip
# HAPI's rules that R4 does not state, or that need what is not there; by its message id.
ONLY_HAPI = {
    "TYPE_SPECIFIC_CHECKS_CANONICAL_ABSOLUTE",
    "Terminology_PassThrough_TX_Message",
    "MEASURE_M_CRITERIA_CQL_NO_LIB",
    "BUNDLE_BUNDLE_ENTRY_NOTFOUND_APPARENT",
    "BUNDLE_ENTRY_URL_MATCHES_TYPE_ID",
    "BUNDLE_BUNDLE_ENTRY_FULLURL_REQUIRED",
    "Type_Specific_Checks_DT_UUID_Valid",
    "Type_Specific_Checks_DT_OID_Valid",
    "Type_Specific_Checks_DT_XHTML_Resolve_Img",
    "TYPE_SPECIFIC_CHECKS_DT_ATT_HASH_MISMATCH",
    "TYPE_SPECIFIC_CHECKS_DT_ATT_B64_DECODE_FAIL",
    "TYPE_SPECIFIC_CHECKS_DT_IDENTIFIER_IETF_SYSTEM_VALUE",
    "XHTML_XHTML_OUT_OF_PLACE",
    "IG_HL7_STANDARDS_STATUS_REQUIRED",
    "IG_HL7_WG_REQUIRED",
    "Extension_EXT_SubExtension_Invalid",
}
# HAPI's rules for those who publish definitions, and what it cannot evaluate in them; asked of definitions alone.
ONLY_HAPI_OF_DEFINITIONS = {
    "Type_Specific_Checks_DT_XHTML_Resolve",
    "CONCEPTMAP_GROUP_SOURCE_CODE_INVALID",
    "CONCEPTMAP_GROUP_SOURCE_CODE_INVALID_VS",
    "CONCEPTMAP_GROUP_TARGET_CODE_INVALID",
    "VALIDATION_HL7_PUBLISHER_MISMATCH",
    "VALUESET_REFERENCE_INVALID_TYPE_NO_VERSION_1",
    "VALUESET_INCLUDE_SYSTEM_ABSOLUTE_FRAG",
    "ED_INVARIANT_KEY_ALREADY_USED",
    "ED_INVARIANT_EXPRESSION_ERROR",
    "ED_CONTEXT_INVARIANT_EXPRESSION_ERROR",
    "ED_SEARCH_EXPRESSION_ERROR",
    "SD_CONSTRAINED_KIND_NO_MATCH",
    "SD_CONTEXT_SHOULD_ELEMENT_NOT_FOUND",
    "SD_DERIVATION_KIND_MISMATCH",
    "SD_ED_BIND_NOT_VS",
    "SD_TABLE_PROHIBITED",
    "SM_SOURCE_CONTEXT_UNKNOWN",
    "SM_TARGET_CONTEXT_UNKNOWN",
    "SM_TARGET_PATH_INVALID",
    "HAPI-0650",  # it fails on three value sets whose code systems it has not
    "null",  # slices of two profiles that it cannot make a snapshot of
}
# What only we hold against a resource, by the beginning of our words.
ONLY_OURS = ("A reference to ", "'application/dicom; variant=")


def examples() -> list[tuple[str, bytes]]:
    found = []
    with tarfile.open(package()) as archive:
        for member in archive:
            name = Path(member.name).name
            stream = archive.extractfile(member) if name.endswith(".json") and member.size < LARGEST else None
            if stream is not None and name not in {"package.json", ".index.json"}:
                found.append((name, stream.read()))
    return sorted(found)


def asked(folder: Path) -> list[Path]:
    """Every file that both are asked about: the examples, and mutations of those in which we find nothing."""
    known = examples()
    for name, body in known:
        (folder / name).write_bytes(body)
    small = [(name, body) for name, body in known if len(body) < LARGEST_TO_BREAK and not name.startswith(DEFINING)]
    right = [(name, body) for name, body in small if not shared().validate(wire.loads(body))]
    for name, resource in mutations(right, MUTATIONS):
        (folder / name).write_bytes(wire.dumps(resource))
    return sorted(folder.iterdir())


def hapis_errors(files: list[Path]) -> dict[str, set[str]]:
    """The message ids of HAPI's errors by file, from one run of Java."""
    command = ["java", "-Xmx2g", "-cp", f"{hapi.folder()}/*", str(PROGRAM)]
    lines = "".join(f"{file}\n" for file in files)
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
    errors: dict[str, set[str]] = defaultdict(set)
    for line in done.stdout.splitlines():
        path, *rest = line.split("\t")
        errors[Path(path).name] |= {rest[1]} if len(rest) > 1 else set()
    return errors


@pytest.mark.full
@pytest.mark.timeout(7200)
@pytest.mark.spec("R4 validation.html")
def test_hapi_gives_the_same_verdict(tmp_path: Path) -> None:
    files = asked(tmp_path)
    theirs = hapis_errors(files)
    assert len(theirs) == len(files)
    unexplained = []
    for file in files:
        ours = [issue.diagnostics for issue in shared().validate(wire.loads(file.read_bytes()))]
        if any(text.startswith(ONLY_OURS) for text in ours):
            continue
        passed_over = ONLY_HAPI | (ONLY_HAPI_OF_DEFINITIONS if file.name.startswith(DEFINING) else set())
        if bool(theirs[file.name] - passed_over) != bool(ours):
            unexplained.append((file.name, theirs[file.name], ours))
    assert unexplained == []
