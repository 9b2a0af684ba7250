"""María José García-Ibáñez, Denise Johnson and Nguyễn Thị Thu Hà: breast, pancreas, thyroid."""

from deploy.sandbox.cases.story import Story, Study

LOBULAR = Story(
    key="garcia-lobular",
    patient="garcia",
    requester="nunez",
    service="breast-oncology",
    question=(
        "Lobular carcinoma of 28 mm in a very dense left breast and a second spot of 7 mm that nobody has explained: "
        "must MRI and the BRCA result come before a mastectomy, and could the breast be kept?"
    ),
    story=(
        "I send this for Dr. Delgado, who treats her. Mastectomy is offered for 24 November; genetic counselling is "
        "on 3 December. She is frightened, works as a school cook and asks through the interpreter whether the whole "
        "breast has to go. St. Anna named a screening mammogram of June on the telephone, under her name."
    ),
    diagnosis="breast-cancer",
    reason="major-surgery",
    stage="reconciling",
    days=3,
    product="tumour-board",
    urgency="urgent",
    studies=(Study("garcia-mg"), Study("garcia-us"), Study("garcia-other", told=True, decided=False)),
)

PANCREAS = Story(
    key="johnson-pancreas",
    patient="johnson",
    requester="holloway",
    service="hepatobiliary-surgery",
    question=(
        "Adenocarcinoma of the pancreatic head touching vein and artery: operate on 1 December as our surgeon offers, "
        "or chemotherapy first, and which imaging is missing before either?"
    ),
    story=(
        "Our surgeon does ten Whipple operations a year. There is no arterial phase and a spot of 5 mm in the liver. "
        "Two CTs lie at St. Anna; of the earlier one we were given the text by telephone only. Please say also "
        "whether the tumour was visible then. She wants everything that makes sense."
    ),
    diagnosis="pancreas",
    reason="major-surgery",
    stage="reconciling",
    days=2,
    urgency="urgent",
    studies=(Study("johnson-ct"), Study("johnson-former", decided=False)),
)

THYROID = Story(
    key="nguyen-extent",
    patient="nguyen",
    requester="nunez",
    service="endocrine-surgery",
    question=(
        "Papillary carcinoma of 14 mm in the left thyroid lobe of a singing teacher who plans a pregnancy: is a "
        "lobectomy enough, and should the two small nodes in level VI be sampled first?"
    ),
    story=(
        "I send this for Dr. Marsh. Our surgeon proposes total thyroidectomy, central dissection on both sides and "
        "radioiodine. There are no images from elsewhere, and our ultrasound pictures are only on the machine; the "
        "report goes along. She speaks Vietnamese; an interpreter is booked for the answer."
    ),
    diagnosis="thyroid-cancer",
    reason="major-surgery",
    stage="offered",
    days=4,
    since=1,
    consultant="rossi",
)

FERTILITY = Story(
    key="nguyen-fertility",
    patient="nguyen",
    requester="nunez",
    service="endocrine-surgery",
    question="How long after radioiodine should pregnancy be avoided, and should egg cells be stored before?",
    story="She asked at the end of the last visit, and Dr. Marsh promised an answer from somebody who does it daily.",
    diagnosis="pregnancy-plan",
    reason="patient-wish",
    stage="declined",
    days=7,
    since=5,
    product="quick-read",
    because=(
        "Radioiodine and fertility are not surgical questions, and we have no service line for them yet. Please ask "
        "nuclear medicine and reproductive medicine; your request on the extent of surgery is not affected."
    ),
)

STORIES = (LOBULAR, PANCREAS, THYROID, FERTILITY)
