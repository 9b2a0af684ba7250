"""Layla Al-Rashid: inflamed arteries in a young woman who hopes for a child."""

from deploy.sandbox.cases.story import Exchange, Opinion, Story, Study

TAKAYASU = Story(
    key="alrashid-vasculitis",
    patient="alrashid",
    requester="meyer",
    service="rheumatology-vascular",
    question=(
        "Probable Takayasu's arteritis, active under prednisone and methotrexate: which drug next for a woman who "
        "hopes for a child, and should the renal artery be stented in December as proposed?"
    ),
    story=(
        "I send this with Dr. Stone, who treats her. CRP is 31.7 on prednisone 20 mg. We hesitate to place a stent "
        "into an inflamed vessel. She asks above all whether she may become pregnant and which drugs she may take "
        "then. Losartan and methotrexate are still running. Arabic interpreter needed for the answer."
    ),
    diagnosis="takayasu",
    reason="rare-complex",
    stage="in-review",
    days=14,
    since=3,
    consultant="demir",
    studies=(Study("alrashid-cta"), Study("alrashid-report")),
    exchanges=(
        Exchange(
            "Has IgG4 come back, and has hepatitis B been tested? I would want both before a biological drug.",
            "IgG4 in serum 0.62 g/L, normal. Hepatitis B surface antigen and core antibody negative, vaccinated in "
            "2019.",
        ),
    ),
    opinion=Opinion(
        answer=(
            "This is Takayasu's arteritis, and it is active. Treat the inflammation first: we would start a TNF "
            "inhibitor that may be continued in pregnancy, and keep stents out of an inflamed renal artery unless "
            "pressure or kidney cannot wait."
        ),
        findings=(
            "Concentric wall thickening of the arch and descending aorta, no calcification: young, active lesions. "
            "{CT angiography}",
            "Long smooth narrowing of the left subclavian artery with collaterals, no rest ischaemia. {CT angiography}",
            "Left renal artery above 60%, kidney 1.5 cm smaller than the right. {Duplex}",
        ),
        recommendations=(
            "Certolizumab or adalimumab; stop methotrexate three months before conception",
            "Replace losartan by labetalol or nifedipine before contraception is stopped",
        ),
        patient_version="",
        concordance=("agree", "alternative", "", "adequate", "yes"),
    ),
)

STORIES = (TAKAYASU,)
