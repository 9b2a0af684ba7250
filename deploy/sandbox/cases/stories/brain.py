"""Wang Xiuying and Zofia Kowalczyk-Ćwik: a glioma next to eloquent cortex, and a child whose seizures go on."""

from deploy.sandbox.cases.story import Exchange, Opinion, Story, Study

GLIOMA = Story(
    key="wang-resection",
    patient="wang",
    requester="nunez",
    service="neurosurgery",
    question=(
        "Left frontal glioma next to the supplementary motor area with one enhancing nodule: is an awake resection "
        "possible, or is a biopsy all that can be offered?"
    ),
    story=(
        "Our neurosurgeons propose a stereotactic biopsy because awake mapping is not available here. She is "
        "right-handed, an accountant, and wants to go on working. The family speaks Mandarin at home; her English is "
        "good enough for mapping. Dr. Whitfield of Neurology treats her and supports this request."
    ),
    diagnosis="glioma",
    reason="major-surgery",
    stage="info-requested",
    days=4,
    since=1,
    product="tumour-board",
    urgency="urgent",
    consultant="ito",
    studies=(Study("wang-mr"),),
    exchanges=(
        Exchange(
            "I would plan an awake resection and need to know two things first: has she had any difficulty finding "
            "words in Mandarin (naming was tested in English only), and was levetiracetam raised after the seizure of "
            "20 October?"
        ),
    ),
    opinion=Opinion(
        answer=(
            "A resection is possible and better for her than a biopsy. The posterior border keeps a distance to the "
            "precentral gyrus, and the nodule can be reached through the superior frontal sulcus."
        ),
        findings=(
            "Infiltrating lesion of the left superior and middle frontal gyri, 46 x 38 mm, incomplete FLAIR rim. {MR "
            "Brain}",
            "Enhancing nodule of 11 mm at the anterior margin. {MR Brain}",
        ),
        recommendations=(),
        patient_version="",
        concordance=("agree", "alternative", "", "", ""),
    ),
)

HEPATITIS = Story(
    key="wang-hepatitis",
    patient="wang",
    requester="nunez",
    service="hepatobiliary-surgery",
    question="Is entecavir enough to prevent a flare of hepatitis B during dexamethasone and later temozolomide?",
    story=(
        "HBV DNA has been below detection since 2018. ALT rose from 29 to 52 on dexamethasone. Our own hepatologist "
        "is away until the end of the week."
    ),
    diagnosis="hepatitis-b",
    reason="serious-drug",
    stage="withdrawn",
    days=7,
    since=5,
    product="quick-read",
)

EPILEPSY = Story(
    key="kowalczyk-surgery",
    patient="kowalczyk",
    requester="feld",
    service="paediatric-neurology",
    question=(
        "Nine-year-old girl with right frontal seizures every night on her fourth medicine: is there a cortical "
        "dysplasia on the MRI that was called normal, and is she a candidate for surgery?"
    ),
    story=(
        "Three to six seizures out of sleep each night: the left arm stiffens, the head turns left. The EEG points to "
        "F4. The slices of the MRI are thick, and I wonder about the right middle frontal gyrus. She falls asleep in "
        "class and reads as a first-grader. Her parents, who speak Polish, fear an operation, and fear not to have "
        "asked."
    ),
    diagnosis="epilepsy",
    reason="not-improving",
    stage="assigned",
    days=5,
    since=1,
    consultant="raman",
    studies=(Study("kowalczyk-mr"), Study("kowalczyk-eeg")),
)

STORIES = (GLIOMA, HEPATITIS, EPILEPSY)
