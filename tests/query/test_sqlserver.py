"""SQL Server's tables in a query, of a mock of the server that speaks its protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_sqlserver import FakeSqlServer, fake_sqlserver
from query.conftest import Ask

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[FakeSqlServer]:
    """One with the table `orders`."""
    with fake_sqlserver() as server:
        server.database.executescript(
            """
            CREATE TABLE dbo.orders (id bigint, who nvarchar(20), price decimal(8, 2), paid bit,
                                     weight float(53), made datetime2(6));
            INSERT INTO dbo.orders VALUES (1, 'ann', 2.50, 1, 0.5, '2026-11-24T10:00:00.000001'),
                                          (9007199254740993, 'bøb', -3, NULL, NULL, NULL);
            """
        )
        yield server


def test_its_tables_join_files(ask: Ask, server: FakeSqlServer, tmp_path: Path) -> None:
    (tmp_path / "cities.csv").write_text("who,city\nann,Utrecht\nbøb,Oslo\n")
    found = ask(
        "select id, who, price::varchar as price, paid, weight, made::varchar as made, city"
        " from sqlserver.dbo.orders join 'cities.csv' using (who) order by id",
        environment=server.environment,
    )
    names = ("id", "who", "price", "paid", "weight", "made", "city")
    assert [tuple(row[name] for name in names) for row in found] == [
        (1, "ann", "2.50", True, 0.5, "2026-11-24 10:00:00.000001", "Utrecht"),
        (9007199254740993, "bøb", "-3.00", None, None, None, "Oslo"),
    ]


def test_the_server_works_first_where_it_is_asked_to(ask: Ask, server: FakeSqlServer) -> None:
    query = "select who from sqlserver_query('select who from dbo.orders where id = 1') q"
    assert ask(query, environment=server.environment) == [{"who": "ann"}]
    assert "select who from dbo.orders where id = 1" in server.said
    found = ask("from sqlserver_query('delete from dbo.orders')", environment=server.environment)
    assert found["message"] == "sqlserver_query only reads"


def test_what_is_wrong_is_told(ask: Ask, server: FakeSqlServer) -> None:
    found = ask("from sqlserver.dbo.order", environment=server.environment)
    assert found["message"].startswith("there is no sqlserver.dbo.order at 127.0.0.1:")
    assert found["hint"] == "did you mean sqlserver.dbo.orders?"
    wrong = {**server.environment, "SQLCMDPASSWORD": "not this one"}
    found = ask("from sqlserver.dbo.orders", environment=wrong)
    assert "Login failed for user 'mill'" in found["message"]
    assert "not this one" not in str(found)
