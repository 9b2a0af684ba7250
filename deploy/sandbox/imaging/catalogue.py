"""The examinations in the outside hospital's archive: whose they are there, what, when, and how many images.

Its registration differs from ours as it does in life: other record numbers, accents lost, names in another order, a
sex left out, a birth date typed wrong.  GARCIA_OTHER is another woman who bears the same name.
"""

from deploy.sandbox.imaging.dicom import OutsidePatient, Study

LATIN, UNICODE = "ISO_IR 100", "ISO_IR 192"

LEFEVRE = OutsidePatient("A-0098213", "Lefèvre-Muñoz^Rene", "19640311", "F", LATIN)
LEFEVRE_SWAPPED = OutsidePatient("A-0031177", "RENÉE CLAIRE^LEFÈVRE MUÑOZ", "19640311", "", LATIN)
WANG = OutsidePatient("A-0104456", "Wang^Xiu Ying=王^秀英", "19711007", "", "GB18030")
ONEILL = OutsidePatient("A-0087702", "O'NEILL^ALOYSIUS THOMAS", "19530702", "M", LATIN)
GARCIA = OutsidePatient("A-0123348", "GARCIA IBANEZ^MARIA JOSE", "19800517", "F", LATIN)
GARCIA_OTHER = OutsidePatient("A-0066120", "GARCIA IBANEZ^MARIA JOSE", "19670903", "F", LATIN)
ALRASHID = OutsidePatient("A-0119027", "Alrashid^Laila=الراشد^ليلى", "19920208", "", UNICODE)
KOWALCZYK = OutsidePatient("A-0127714", "KOWALCZYK CWIK^ZOFIA", "20170423", "F", LATIN)
HUANG = OutsidePatient("A-0091365", "Huang^Chih Ming=黃^志明", "19630912", "M", UNICODE)
ANDERSSON = OutsidePatient("A-0075590", "Andersson^Bjorn Ake", "19680130", "M", LATIN)
JOHNSON = OutsidePatient("A-0110238", "JOHNSON^DENISE M", "19590621", "F", LATIN)
MORENO = OutsidePatient("A-0058841", "RUIZ MORENO^JOAQUIN", "19550319", "M", LATIN)

CT_CHEST = Study(
    "lefevre-ct", LEFEVRE, "20261028", "101512", "SA26-44871", "CT chest with contrast", "CHEST", "Brandt^Ilse^^Dr."
)
FILM = Study(
    "lefevre-film", LEFEVRE_SWAPPED, "20240305", "084410", "SA24-10233", "Chest PA", "CHEST", "Brandt^Ilse^^Dr."
)
MR_BRAIN = Study(
    "wang-mr", WANG, "20261030", "143005", "SA26-45102", "MR brain without and with contrast", "BRAIN", "Lindqvist^Per"
)
ECHO = Study("oneill-us", ONEILL, "20261102", "091822", "SA26-45290", "Transthoracic echo", "HEART", "Marchetti^Carla")
MAMMOGRAM = Study(
    "garcia-mg", GARCIA, "20261019", "110340", "SA26-43012", "Mammogram, both breasts", "BREAST", "Okonkwo^Grace^^Dr."
)
BREAST_ULTRASOUND = Study(
    "garcia-us", GARCIA, "20261019", "093105", "SA26-43377", "Ultrasound left breast", "BREAST", "Okonkwo^Grace^^Dr."
)
MAMMOGRAM_OF_ANOTHER = Study(
    "garcia-other", GARCIA_OTHER, "20260611", "151200", "SA26-27654", "Screening mammogram", "BREAST", "Fuchs^Anton"
)
CT_ANGIOGRAPHY = Study(
    "alrashid-cta", ALRASHID, "20261008", "162240", "SA26-43720", "CT angiography of the aorta", "CHEST", "Haddad^Nour"
)
ANGIOGRAPHY_REPORT = Study(
    "alrashid-report", ALRASHID, "20261009", "081500", "SA26-43721", "Report of CT angiography", "CHEST", "Haddad^Nour"
)
MR_CHILD = Study(
    "kowalczyk-mr", KOWALCZYK, "20260930", "084755", "SA26-42511", "MR brain, epilepsy protocol", "BRAIN", "Zielinska^A"
)
EEG_REPORT = Study(
    "kowalczyk-eeg", KOWALCZYK, "20260929", "130000", "SA26-41890", "Video EEG report", "HEAD", "Zielinska^A"
)
SLIDE = Study(
    "huang-sm", HUANG, "20261012", "120912", "SA26-S3318", "Skin excision, upper back", "SKIN", "Berger^Tobias"
)
MR_SPINE = Study(
    "andersson-mr", ANDERSSON, "20260917", "171033", "SA26-42218", "MR lumbar spine", "LSPINE", "Nyman^Karin"
)
SPINE_FILMS = Study(
    "andersson-dx", ANDERSSON, "20260922", "100245", "SA26-42699", "Lumbar spine in motion", "LSPINE", "Nyman^Karin"
)
CT_ABDOMEN = Study(
    "johnson-ct", JOHNSON, "20261026", "133018", "SA26-45377", "CT abdomen, portal venous", "ABDOMEN", "Whitfield^Ray"
)
CT_ABDOMEN_FORMER = Study(
    "johnson-former", JOHNSON, "20260811", "094401", "SA26-32265", "CT abdomen", "ABDOMEN", "Whitfield^Ray"
)
VALVE_ECHO = Study(
    "moreno-us", MORENO, "20261006", "141509", "SA26-44702", "Transthoracic echo", "HEART", "Castro^Elena"
)
CT_AORTIC_ROOT = Study(
    "moreno-ct", MORENO, "20261015", "115127", "SA26-45011", "CT aortic root", "HEART", "Castro^Elena"
)

STUDIES = (
    *(CT_CHEST, FILM, MR_BRAIN, ECHO, MAMMOGRAM, BREAST_ULTRASOUND, MAMMOGRAM_OF_ANOTHER),
    *(CT_ANGIOGRAPHY, ANGIOGRAPHY_REPORT, MR_CHILD, EEG_REPORT, SLIDE, MR_SPINE, SPINE_FILMS),
    *(CT_ABDOMEN, CT_ABDOMEN_FORMER, VALVE_ECHO, CT_AORTIC_ROOT),
)

# Modality and number of instances of each study, all slices drawn.
CONTENT = {
    CT_CHEST: ("CT", 300),
    FILM: ("CR", 1),
    MR_BRAIN: ("MR", 131),
    ECHO: ("US", 2),
    MAMMOGRAM: ("MG", 4),
    BREAST_ULTRASOUND: ("US", 2),
    MAMMOGRAM_OF_ANOTHER: ("MG", 4),
    CT_ANGIOGRAPHY: ("CT", 82),
    ANGIOGRAPHY_REPORT: ("DOC", 1),
    MR_CHILD: ("MR", 78),
    EEG_REPORT: ("DOC", 1),
    SLIDE: ("SM", 6),
    MR_SPINE: ("MR", 54),
    SPINE_FILMS: ("DX", 3),
    CT_ABDOMEN: ("CT", 80),
    CT_ABDOMEN_FORMER: ("CT", 40),
    VALVE_ECHO: ("US", 2),
    CT_AORTIC_ROOT: ("CT", 80),
}

# Every second image of this study is in the archive's index and lost from its storage: nobody can fetch it whole.
HALF_LOST = CT_ABDOMEN_FORMER
