"""The physicians who write the charts: those with accounts, and a colleague."""

from deploy.sandbox import people
from deploy.sandbox.charts.chart import Person
from deploy.sandbox.hospitals import LAKESIDE, NORTHFIELD

NEUROLOGIST = people.Person("whitfield", "Whitfield", "Daniel", "Dr.", (), "1999000086", "Neurology", "")


def reference(person: people.Person) -> Person:
    """A physician as charts refer to them."""
    return Person(person.username, person.name)


NUNEZ = reference(people.PHYSICIANS[LAKESIDE.key])
MEYER = reference(people.PHYSICIANS[NORTHFIELD.key])
WHITFIELD = reference(NEUROLOGIST)
