"""A forwarding as the app is told of it."""

import orjson
from sqlalchemy import create_engine, insert, select

from dicom_gateway.index.exchange import forwarding
from dicom_gateway.web.transfers import shown_forwarding


def test_a_forwarding_read_from_the_database_becomes_json() -> None:
    engine = create_engine("sqlite://")
    row = {"study_instance_uid": "1.2", "peer": "room", "state": "sent", "total": 2, "sent": 2, "updated_at": 0.0}
    with engine.begin() as connection:
        forwarding.create(connection)
        connection.execute(insert(forwarding).values(**row))
        read = connection.execute(select(forwarding)).mappings().one()
    shown = orjson.loads(orjson.dumps(shown_forwarding(read)))
    assert (shown["state"], shown["sent"], shown["updated_at"]) == ("sent", 2, "1970-01-01T00:00:00+00:00")
