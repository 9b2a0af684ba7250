"""The physicians who write the charts, as charts refer to them."""

from deploy.sandbox import people
from deploy.sandbox.charts.chart import Person

BY_NAME = {each.username: Person(each.username, each.name) for some in people.REQUESTERS.values() for each in some}

NUNEZ, WHITFIELD, DELGADO = BY_NAME["nunez"], BY_NAME["whitfield"], BY_NAME["delgado"]
FELD, SOLBERG, MARSH = BY_NAME["feld"], BY_NAME["solberg"], BY_NAME["marsh"]
MEYER, STONE, PRUITT, HOLLOWAY = BY_NAME["meyer"], BY_NAME["stone"], BY_NAME["pruitt"], BY_NAME["holloway"]
