"""María José García-Ibáñez, Denise Johnson and Nguyễn Thị Thu Hà: breast, pancreas, thyroid."""

from deploy.sandbox.cases.story import Story, Study

LOBULAR = Story(
    key="garcia-lobular",
    patient="garcia",
    requester="nunez",
    service="breast-oncology",
    question=(
        "Invasive lobular carcinoma of 28 mm in the left breast, mastectomy proposed: would breast-conserving "
        "surgery be as safe, and is MRI needed before the decision?"
    ),
    story=(
        "Dr. Delgado proposes a mastectomy because lobular cancer is often larger than it looks. The patient is 46, "
        "hormone receptor positive, HER2 negative, with clinically free nodes. She cares for her parents, speaks "
        "Spanish and asks for an interpreter. I look after her asthma, and she asked me to request this."
    ),
    diagnosis="breast-cancer",
    reason="major-surgery",
    stage="reconciling",
    days=3,
    product="tumour-board",
    studies=(
        Study("garcia-mg"),
        Study("garcia-us"),
        Study("garcia-other", decided=False),
    ),
)

PANCREAS = Story(
    key="johnson-pancreas",
    patient="johnson",
    requester="holloway",
    service="hepatobiliary-surgery",
    question=(
        "Mass of 31 mm in the pancreatic head, abutting the portal confluence: resectable now, or chemotherapy first?"
    ),
    story=(
        "Jaundice since late October, stent in place, bilirubin falling. CA 19-9 is raised. Our board calls the tumour "
        "borderline resectable and would operate. The CT of July, taken for gallstones, may show whether it was there "
        "already; please compare."
    ),
    diagnosis="pancreatic-mass",
    reason="major-surgery",
    stage="awaiting-records",
    days=2,
    urgency="urgent",
    studies=(Study("johnson-ct"), Study("johnson-former")),
)

THYROID = Story(
    key="nguyen-extent",
    patient="nguyen",
    requester="nunez",
    service="endocrine-surgery",
    question=(
        "Papillary thyroid carcinoma of 17 mm in the right lobe, nodes free on ultrasound: is a lobectomy enough, or "
        "does she need the whole gland removed?"
    ),
    story=(
        "Dr. Marsh has offered total thyroidectomy with radioiodine. She is 29, sings in a choir and wants to become "
        "pregnant within two years, so both the voice and the radioiodine matter to her. There is no outside imaging: "
        "all ultrasound was done here, and its reports go along."
    ),
    diagnosis="thyroid-cancer",
    reason="major-surgery",
    stage="offered",
    days=2,
    since=1,
    consultant="rossi",
)

FERTILITY = Story(
    key="nguyen-fertility",
    patient="nguyen",
    requester="nunez",
    service="endocrine-surgery",
    question="How long after radioiodine should pregnancy be avoided, and should egg cells be stored before?",
    story="She asked this at the end of our last visit, and I promised an answer from somebody who does it daily.",
    diagnosis="thyroid-cancer",
    reason="patient-wish",
    stage="declined",
    days=4,
    since=3,
    product="quick-read",
    because=(
        "Radioiodine and fertility are not surgical questions, and we have no service line for them yet. Please ask "
        "nuclear medicine and reproductive medicine at your own hospital; the request on the extent of surgery goes on."
    ),
)

STORIES = (LOBULAR, PANCREAS, THYROID, FERTILITY)
