"""Databases to ingest from: a small shop in a real PostgreSQL or MariaDB, reachable by password over TCP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
import pymysql

from minisched.domain.pipeline import Document
from tests.databases import Server

PASSWORD = "r3ader-p@ss/w%rd:#1"

_STATEMENTS = [
    "CREATE TABLE customer (id INT PRIMARY KEY, name VARCHAR(40) NOT NULL, email VARCHAR(80))",
    "CREATE TABLE orders (id INT PRIMARY KEY, customer_id INT NOT NULL, total DECIMAL(10,2),"
    " FOREIGN KEY (customer_id) REFERENCES customer (id))",
    "CREATE VIEW big_orders AS SELECT o.id, o.total, c.name FROM orders o JOIN customer c ON c.id = o.customer_id"
    " WHERE o.total > 10",
    "INSERT INTO customer VALUES (1, 'Ada', 'ada@example.com'), (2, 'Bob', 'bob@example.com'),"
    " (3, 'Eve', 'eve@example.com')",
    "INSERT INTO orders VALUES (1, 1, 5), (2, 1, 15), (3, 2, 25), (4, 3, 35)",
]

# Roles belong to the whole server, and several tests may want this one.
_ROLE = f"""DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'reader') THEN
        CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}';
    END IF;
END $$"""


@dataclass(frozen=True)
class Source:
    """A shop that can be ingested: the request that makes its service in a catalog, and where its tables are."""

    service: str
    request: Document
    database: str
    schema_fqn: str

    def with_connection(self, name: str, **changes: Any) -> Document:
        """The request of another service of the same database whose connection differs."""
        config = {**self.request["connection"]["config"], **changes}
        return {**self.request, "name": name, "connection": {"config": config}}


def postgresql_shop(server: Server, database: str) -> Source:
    server.execute(f"CREATE DATABASE {database}")
    server.execute(_ROLE)
    with psycopg.connect(server.url(database), autocommit=True) as connection:
        for statement in _STATEMENTS:
            connection.execute(statement)
        # The profiler takes the number of rows from the statistics.
        connection.execute("ANALYZE")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    config = {
        "type": "Postgres",
        "username": "reader",
        "authType": {"password": PASSWORD},
        "hostPort": f"127.0.0.1:{server.port}",
        "database": database,
    }
    request = {"name": "pg", "serviceType": "Postgres", "connection": {"config": config}}
    return Source("pg", request, database, f"pg.{database}.public")


def mariadb_shop(server: Server) -> Source:
    server.execute("CREATE DATABASE shop")
    connection = pymysql.connect(unix_socket=str(server.socket), user="root", autocommit=True)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER reader@'%%' IDENTIFIED BY %s", (PASSWORD,))
    server.execute("GRANT SELECT, SHOW VIEW ON shop.* TO reader@'%'")
    connection = pymysql.connect(unix_socket=str(server.socket), user="root", database="shop", autocommit=True)
    with connection, connection.cursor() as cursor:
        for statement in _STATEMENTS:
            cursor.execute(statement)
    config = {
        "type": "MariaDB",
        "username": "reader",
        "password": PASSWORD,
        "hostPort": f"127.0.0.1:{server.port}",
        "databaseName": "default",
        "databaseSchema": "shop",
    }
    request = {"name": "maria", "serviceType": "MariaDB", "connection": {"config": config}}
    return Source("maria", request, "shop", "maria.default.shop")
