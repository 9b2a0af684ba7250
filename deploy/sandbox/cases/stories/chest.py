"""Renée Lefèvre-Muñoz: a lung cancer at the limit of what can be operated on, and an old radiograph."""

from deploy.sandbox.cases.story import Opinion, Story, Study

STAGING = Story(
    key="lefevre-staging",
    patient="lefevre",
    requester="nunez",
    service="thoracic-oncology",
    question=(
        "Adenocarcinoma of the right upper lobe with an unsettled node 4R and a predicted postoperative DLCO of 38%: "
        "is lobectomy the right next step, or must the mediastinum be staged first?"
    ),
    story=(
        "Our tumour board proposes lobectomy next week without further staging. EBUS of 4R gave too few cells, and "
        "PET is indeterminate. She climbs two flights with a pause and wants to keep her garden. She would accept "
        "surgery if you think that it gives her the best chance."
    ),
    diagnosis="lung-cancer",
    reason="major-surgery",
    stage="in-review",
    days=8,
    since=1,
    product="tumour-board",
    consultant="lindqvist",
    studies=(Study("lefevre-ct"),),
    opinion=Opinion(
        answer=(
            "We would not resect before the mediastinum is staged. A node of 17 x 14 mm with an SUVmax of 4.1 has a "
            "considerable chance of being N2 disease, and a scant aspirate does not lower it."
        ),
        findings=(
            "Spiculated mass of 34 mm in the posterior segment of the right upper lobe; no invasion of the chest "
            "wall. {CT Chest}",
            "Node 4R of 17 x 14 mm, cortex irregular, fatty hilum lost. {CT Chest}",
            "EBUS material of 4R is not representative. {Surgical pathology}",
        ),
        recommendations=("Repeat EBUS of 4R and 7 with rapid on-site evaluation; mediastinoscopy if it stays scant.",),
        patient_version="",
        concordance=("agree", "", "", "", ""),
    ),
)

FILM = Story(
    key="lefevre-film",
    patient="lefevre",
    requester="nunez",
    service="radiology",
    question=(
        "Was the lesion of the right upper lobe already visible on the chest radiograph of March 2024, and if so, how "
        "fast has it grown?"
    ),
    story=(
        "The film was taken at St. Anna for a pneumonia of the right lower lobe and was reported without a nodule. "
        "The growth rate matters for the choice between surgery and systemic treatment first. She has asked me "
        "directly whether something was overlooked."
    ),
    diagnosis="lung-cancer",
    reason="diagnosis-uncertain",
    released=True,
    stage="acknowledged",
    days=11,
    since=5,
    product="imaging-reread",
    consultant="weiss",
    studies=(Study("lefevre-film"), Study("lefevre-ct")),
    opinion=Opinion(
        answer=(
            "In retrospect there is a faint opacity of about 9 mm behind the right clavicle in March 2024. It lies "
            "where the mass is now, but I would not have called it prospectively: clavicle and first rib overlap it. "
            "If it is the same lesion, it doubles its volume about every five to six months, which is usual for an "
            "adenocarcinoma."
        ),
        findings=(
            "Ill-defined opacity of 9 mm projected over the right clavicle. {Chest PA}",
            "Mass of 34 mm in the posterior segment of the right upper lobe, at the same height. {CT chest}",
            "The consolidation of the right lower lobe of 2024 has left a small scar only. {CT chest}",
        ),
        recommendations=(
            "Growth alone does not favour waiting: treat without delay once the mediastinum is staged.",
            "Tell the patient plainly what can be seen now and why it could not be seen then.",
        ),
        patient_version=(
            "Knowing where to look, we can see a small shadow on your X-ray from 2024. Bones cover it, and we do not "
            "think that a careful doctor would have found it then. Its growth since is neither very fast nor very "
            "slow."
        ),
        concordance=("refined", "nothing-to-compare", "moderate", "limited", "yes"),
        reviewed=("CT Chest W contrast",),
    ),
)

IMMUNOTHERAPY = Story(
    key="lefevre-immunotherapy",
    patient="lefevre",
    requester="nunez",
    service="thoracic-oncology",
    question=(
        "If N2 is confirmed: chemo-immunotherapy before an operation, or definitive chemo-radiotherapy, given PD-L1 "
        "of 60% and"
    ),
    story="Molecular panel is expected on 24 November; I will add it. Sulfonamide allergy, levothyroxine since 2015.",
    diagnosis="lung-cancer",
    reason="serious-drug",
    stage="draft",
    days=1,
    product="tumour-board",
)

STORIES = (STAGING, FILM, IMMUNOTHERAPY)
