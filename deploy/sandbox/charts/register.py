"""Who the newer patients are: names in their own scripts, numbers, languages, relatives."""

from deploy.sandbox.charts.patient import Registration, Relative

GARCIA = Registration(
    "4468215",
    "García-Ibáñez",
    ("María", "José"),
    "female",
    "1980-05-17",
    language="es",
    families=("García", "Ibáñez"),
    interpreter=True,
    relative=Relative("husband", "Ibarra Soto", "Luis"),
)
ALRASHID = Registration(
    "00748120",
    "Al-Rashid",
    ("Layla",),
    "female",
    "1992-02-08",
    native=("الراشد", "ليلى"),
    language="ar",
    interpreter=True,
    relative=Relative("husband", "Al-Rashid", "Omar"),
)
KOWALCZYK = Registration(
    "4492036",
    "Kowalczyk-Ćwik",
    ("Zofia",),
    "female",
    "2017-04-23",
    language="pl",
    interpreter=True,
    relative=Relative("mother", "Ćwik", "Małgorzata"),
)
HUANG = Registration(
    "00716934",
    "Huang",
    ("Chih-Ming",),
    "male",
    "1963-09-12",
    native=("黃", "志明"),
    language="zh-TW",
    interpreter=True,
    relative=Relative("daughter", "Huang", "Emily"),
)
ANDERSSON = Registration(
    "4455781",
    "Andersson",
    ("Björn", "Åke"),
    "male",
    "1968-01-30",
    language="sv",
    relative=Relative("wife", "Andersson", "Kerstin"),
)
JOHNSON = Registration(
    "00739057",
    "Johnson",
    ("Denise",),
    "female",
    "1959-06-21",
    maiden="Washington",
    relative=Relative("daughter", "Johnson", "Aaliyah"),
)
MORENO = Registration(
    "00752283",
    "Moreno Ruiz",
    ("Joaquín",),
    "male",
    "1955-03-19",
    language="es",
    families=("Moreno", "Ruiz"),
    interpreter=True,
    relative=Relative("wife", "Campos Vega", "Pilar"),
)
NGUYEN = Registration(
    "4489614",
    "Nguyễn",
    ("Thị", "Thu Hà"),
    "female",
    "1997-08-02",
    language="vi",
    plain=("Nguyen", "Ha"),
    interpreter=True,
    relative=Relative("mother", "Lê", "Thị Mai"),
)
