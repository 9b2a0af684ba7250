"""Björn Åke Andersson and Huang Chih-Ming: a fusion that may not be needed, a mole that two pathologists read apart."""

from dataclasses import replace

from deploy.sandbox.cases.story import Exchange, Opinion, Story, Study

DECOMPRESSION = Opinion(
    answer=(
        "Decompression of L4/L5 alone, sparing the facets, without fusion. His pain is in the legs, not in the back; "
        "the slip of grade I moves by 4 mm, which is not unstable by itself. In trials of such patients decompression "
        "alone did as well after two and five years, with a shorter operation and less blood loss. Of ten, about one "
        "needs a fusion later. A fusion to S1 has no ground in these images."
    ),
    findings=(
        "Severe central stenosis at L4/L5 by facets, ligament and slip; no cerebrospinal fluid visible. {MR lumbar "
        "spine}",
        "Facet fluid of 3 mm on both sides: a sign of motion, but not a reason to fuse by itself. {MR lumbar spine}",
        "L3/L4 moderately narrow; it explains none of his symptoms and can be left. {MR lumbar spine}",
        "Slip of 5 mm in extension and 9 mm in flexion; lordosis kept. {Lumbar spine in motion}",
        "Big toe extension 4+/5 on the right, as documented in the clinic. {Orthopaedic clinic note}",
    ),
    recommendations=(
        "Microsurgical decompression L4/L5 from one side over to the other, facets kept by at least two thirds",
        "HbA1c below 7.5% before surgery; weight loss is welcome, but not a condition",
        "Fusion of L4/L5 only if back pain becomes the leading complaint or the slip grows",
        "CPAP to be brought to hospital; no codeine",
    ),
    patient_version=(
        "The canal in your lower back is too narrow, and that is why your legs hurt when you walk. It can be widened "
        "without screws. Most people with your kind of slip do just as well that way, and go home sooner. About one "
        "in ten needs screws later. Bringing your sugar down first makes the wound heal better."
    ),
    concordance=("agree", "alternative", "high", "adequate", "yes"),
    reviewed=("Physical therapy discharge summary",),
)

FUSION = Story(
    key="andersson-fusion",
    patient="andersson",
    requester="nunez",
    service="spine-surgery",
    question=(
        "Severe stenosis L4/L5 with a slip of grade I and leg pain, hardly back pain: decompression alone, or the "
        "fusion L4 to S1 that is proposed?"
    ),
    story=(
        "I send this for Dr. Solberg. He drives a bus, is on sick leave and has read of studies in which "
        "decompression alone did as well. Diabetes (HbA1c 7.9%) and weight raise the risk of a fusion. He stopped "
        "smoking in April."
    ),
    diagnosis="stenosis",
    reason="major-surgery",
    stage="report-amended",
    days=13,
    since=1,
    consultant="ferreira",
    studies=(Study("andersson-mr"), Study("andersson-dx")),
    opinion=DECOMPRESSION,
    amendment=replace(
        DECOMPRESSION,
        findings=(
            *DECOMPRESSION.findings[:-1],
            "Big toe extension 4+/5 on the left, as documented in the clinic. {Orthopaedic clinic note}",
        ),
    ),
    amended="The weak extension of the big toe is on the left; the report said right. Nothing else changes.",
)

MELANOMA = Story(
    key="huang-melanoma",
    patient="huang",
    requester="pruitt",
    service="pathology",
    question=(
        "Two of our pathologists disagree on one slide: melanoma of 1.1 mm, or a severely atypical naevus? Which "
        "margin, and is a sentinel node biopsy needed?"
    ),
    story=(
        "Signed as melanoma pT2a, with a dissent in the file. p16 is kept, Ki-67 below 5%. He takes apixaban, does "
        "not want a big operation for a mole and asks who of the two is right. The slide was scanned at St. Anna."
    ),
    diagnosis="melanoma",
    reason="diagnosis-uncertain",
    stage="acknowledged",
    days=12,
    since=2,
    product="pathology-reread",
    consultant="haas",
    studies=(Study("huang-sm"),),
    exchanges=(
        Exchange(
            "Is the block still with you, and are unstained sections left for PRAME and, if needed, FISH?",
            "The block is here; twelve unstained sections are left. I have had PRAME done: positive in more than 75% "
            "of the cells, in all parts of the lesion.",
        ),
    ),
    opinion=Opinion(
        answer=(
            "Melanoma. The lesion is asymmetrical, grows upwards in the epidermis across its whole breadth and does "
            "not mature with depth; with PRAME positive throughout, an atypical naevus is no longer tenable. I "
            "measure a Breslow thickness of 0.9 mm where the section is perpendicular, not 1.1 mm: pT1b, not pT2a."
        ),
        findings=(
            "Asymmetrical compound proliferation, confluent at the junction, pagetoid spread in the centre. {Skin "
            "excision}",
            "Regression in one third; thickness measured beside it 0.9 mm, no ulceration, 1 mitosis/mm2. {Skin "
            "excision}",
            "The 1.1 mm of the first report were measured along an adnexal structure. {Dermatopathology}",
        ),
        recommendations=(
            "Wide excision with a margin of 1 cm",
            "Discuss sentinel node biopsy: at pT1b about 5 to 8% are positive; one dose of apixaban can be paused",
            "Skin examination every six months for five years; first-degree relatives once",
        ),
        patient_version=(
            "It is a melanoma, a kind of skin cancer, found early. It is a little thinner than was first measured, "
            "which is good news. A second, small operation around the scar is needed. Whether a lymph node should be "
            "examined is your choice; your doctor will explain what speaks for and against."
        ),
        concordance=("refined", "modified", "high", "adequate", "yes"),
        reviewed=("Ultrasound, lymph nodes",),
    ),
)

STORIES = (FUSION, MELANOMA)
