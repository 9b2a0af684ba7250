"""Thomas O'Neill and Joaquín Moreno Ruiz: a mitral valve to repair or replace, an aortic valve by catheter or knife."""

from deploy.sandbox.cases.story import Exchange, Opinion, Story, Study

MITRAL = Story(
    key="oneill-repair",
    patient="oneill",
    requester="meyer",
    service="cardiac-surgery",
    question=(
        "Severe mitral regurgitation by a flail P2 at 73: can the valve be repaired instead of replaced, and should "
        "tricuspid ring, ablation and appendage be done at the same time?"
    ),
    story=(
        "Our surgeon plans a bioprosthesis through a sternotomy because of age and annular calcification. The "
        "calcification takes less than a third of the annulus. Contrast allergy: he was premedicated for the "
        "angiogram."
    ),
    diagnosis="mitral",
    reason="major-surgery",
    stage="report-signed",
    days=9,
    since=1,
    consultant="okafor",
    studies=(Study("oneill-us"),),
    exchanges=(
        Exchange(
            "How long does the longest episode of atrial fibrillation last, and has he had a transoesophageal study?",
            "The longest recorded episode lasted 31 hours, in September; apixaban without a gap since June. No "
            "transoesophageal study so far: he would have it on the day before surgery.",
        ),
    ),
    opinion=Opinion(
        answer=(
            "Repair, not replacement. An isolated flail P2 with a ruptured chord and little annular calcification is "
            "repaired durably in more than 95% of cases in a mitral centre, at a lower risk than replacement at his "
            "age. I would add a tricuspid ring (annulus 41 mm), a left atrial ablation and closure of the appendage "
            "in the same operation, and operate within weeks: the ventricle has begun to dilate."
        ),
        findings=(
            "Flail of P2 with an eccentric anteroseptal jet, EROA 0.46 cm2: severe, and of the kind best suited to "
            "repair. {Transthoracic echo}",
            "End-systolic diameter 41 mm: the threshold for surgery is reached although the ejection fraction is 58%. "
            "{Transthoracic echo}",
            "Tricuspid annulus 41 mm with mild to moderate regurgitation: a ring now prevents a second operation. "
            "{Transthoracic echo}",
            "Annular calcification in less than a third of the circumference: no obstacle to a ring. {Cardiac "
            "catheterization}",
        ),
        recommendations=(
            "Repair of P2 (triangular resection or artificial chords) with a complete ring, within four weeks",
            "Tricuspid annuloplasty, left atrial ablation and closure of the appendage in the same session",
            "Transoesophageal echo before the day of surgery; premedicate again if contrast is needed",
            "Transfer to a centre with more than 50 mitral repairs a year; I offer our own list",
        ),
        patient_version=(
            "One of the strings that hold your heart valve has torn. The valve itself is healthy enough to be mended, "
            "and we think that mending is safer and lasts longer than a new valve. The irregular heartbeat can be "
            "treated in the same operation. It should be done in the coming weeks, not months."
        ),
        concordance=("agree", "alternative", "high", "adequate", "yes"),
        reviewed=("Cardiology clinic note",),
    ),
)

ANTICOAGULATION = Story(
    key="oneill-bridging",
    patient="oneill",
    requester="meyer",
    service="cardiac-surgery",
    question="May apixaban be paused before the mitral operation without bridging, with an eGFR near 50",
    story="",
    diagnosis="af",
    reason="serious-drug",
    stage="draft",
    days=0,
    product="quick-read",
)

VALVE = Story(
    key="moreno-valve",
    patient="moreno",
    requester="meyer",
    service="cardiac-surgery",
    question=(
        "Severe stenosis of a bicuspid aortic valve with an aorta of 46 mm at low surgical risk: catheter valve as "
        "our heart team proposes, or open replacement together with the ascending aorta?"
    ),
    story=(
        "The date for the catheter valve is Thursday, so I need a short answer by tomorrow: may it go ahead? Raphe "
        "and outflow tract are calcified, he is allergic to nickel, and the surgeon was on leave when the team met. "
        "He wants to work in his vineyard for years."
    ),
    diagnosis="stenosis",
    reason="major-surgery",
    stage="ready-for-triage",
    days=0,
    product="quick-read",
    urgency="asap",
    studies=(Study("moreno-us"), Study("moreno-ct")),
)

AORTA = Story(
    key="moreno-aorta",
    patient="moreno",
    requester="meyer",
    service="radiology",
    question="Please measure the ascending aorta once more, perpendicular to its axis: is it 46 mm, and where?",
    story=(
        "Whether the aorta is replaced hangs on one or two millimetres. St. Anna makes thin slices of the October CT "
        "and sends it on a disc this week; please read it when it is there."
    ),
    diagnosis="aorta",
    reason="diagnosis-uncertain",
    stage="awaiting-records",
    days=2,
    since=1,
    product="imaging-reread",
    urgency="urgent",
)

STORIES = (MITRAL, ANTICOAGULATION, VALVE, AORTA)
