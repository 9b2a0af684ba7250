"""Headings that a radiologist's re-read starts with, by what was examined.  Pure."""

from smart_app.case.codes import own_system
from smart_app.reading.room import Room
from smart_app.words import code_in

REGIONS = {
    ("CT", "chest"): ("Lungs", "Pleura", "Mediastinum and hila", "Heart and vessels", "Bones", "Upper abdomen"),
    ("CT", "abdomen"): ("Pancreas and bile ducts", "Liver", "Vessels", "Nodes and peritoneum", "Other organs", "Bones"),
    ("CT", "angio"): ("Aorta", "Branches", "Vessel walls", "Organs", "Bones"),
    ("MR", "brain"): (
        "Parenchyma",
        "Enhancement",
        "Diffusion",
        "Ventricles and spaces",
        "Vessels",
        "Skull and sinuses",
    ),
    ("MR", "spine"): (
        "Alignment",
        "Discs",
        "Canal and recesses",
        "Foramina",
        "Cord and cauda",
        "Marrow",
        "Soft tissues",
    ),
    ("MG", ""): ("Density", "Masses", "Calcifications", "Architecture", "Axilla", "BI-RADS"),
    ("US", "echo"): ("Left ventricle", "Right heart", "Valves", "Pericardium"),
}
OTHERWISE = ("Technique and quality", "Findings", "Compared with the first report")


def structure_of(room: Room) -> list[str]:
    """The headings for the newest study of an imaging re-read; none for any other product."""
    if code_in(room.case.request.get("code"), own_system("product")) != "imaging-reread":
        return []
    studies = sorted((each for each in room.records if each.study_instance_uid), key=lambda each: each.date)
    if not studies:
        return []
    newest = studies[-1].resource
    kinds = {str(each.get("code")) for each in newest.get("modality", [])}
    words = str(newest.get("description", "")).lower()
    fitting = (named for (kind, part), named in REGIONS.items() if kind in kinds and part in words)
    return [f"{heading}: " for heading in next(fitting, OTHERWISE)]
