"""The sample database of the demo: a small shop in SQLite with 20 tables, 4 views, foreign keys and rows.

The rows are computed, not random: every machine gets the same shop.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

TABLES = 20
VIEWS = 4

_SCHEMA = """
CREATE TABLE country (
    code CHAR(2) PRIMARY KEY, name VARCHAR(80) NOT NULL, currency CHAR(3) NOT NULL);
CREATE TABLE address (
    id INTEGER PRIMARY KEY, street VARCHAR(120) NOT NULL, city VARCHAR(80) NOT NULL, postcode VARCHAR(12),
    country_code CHAR(2) NOT NULL REFERENCES country (code));
CREATE TABLE customer (
    id INTEGER PRIMARY KEY, full_name VARCHAR(120) NOT NULL, email VARCHAR(160) UNIQUE, phone VARCHAR(32),
    born_on DATE, address_id INTEGER REFERENCES address (id), created_at TIMESTAMP NOT NULL);
CREATE TABLE loyalty_account (
    customer_id INTEGER PRIMARY KEY REFERENCES customer (id), points INTEGER NOT NULL DEFAULT 0,
    level VARCHAR(16) NOT NULL, since DATE NOT NULL);
CREATE TABLE warehouse (
    id INTEGER PRIMARY KEY, name VARCHAR(80) NOT NULL, address_id INTEGER NOT NULL REFERENCES address (id));
CREATE TABLE employee (
    id INTEGER PRIMARY KEY, full_name VARCHAR(120) NOT NULL, role VARCHAR(40) NOT NULL,
    manager_id INTEGER REFERENCES employee (id), warehouse_id INTEGER REFERENCES warehouse (id),
    hired_on DATE NOT NULL);
CREATE TABLE supplier (
    id INTEGER PRIMARY KEY, name VARCHAR(120) NOT NULL, email VARCHAR(160),
    address_id INTEGER REFERENCES address (id));
CREATE TABLE category (
    id INTEGER PRIMARY KEY, name VARCHAR(80) NOT NULL, parent_id INTEGER REFERENCES category (id));
CREATE TABLE product (
    id INTEGER PRIMARY KEY, sku VARCHAR(24) NOT NULL UNIQUE, name VARCHAR(120) NOT NULL, description TEXT,
    category_id INTEGER NOT NULL REFERENCES category (id), supplier_id INTEGER REFERENCES supplier (id),
    weight_g INTEGER, active BOOLEAN NOT NULL DEFAULT 1);
CREATE TABLE price (
    product_id INTEGER NOT NULL REFERENCES product (id), valid_from DATE NOT NULL, amount DECIMAL(10, 2) NOT NULL,
    currency CHAR(3) NOT NULL, PRIMARY KEY (product_id, valid_from));
CREATE TABLE stock (
    product_id INTEGER NOT NULL REFERENCES product (id), warehouse_id INTEGER NOT NULL REFERENCES warehouse (id),
    quantity INTEGER NOT NULL, counted_at TIMESTAMP, PRIMARY KEY (product_id, warehouse_id));
CREATE TABLE promotion (
    id INTEGER PRIMARY KEY, code VARCHAR(24) NOT NULL UNIQUE, percent DECIMAL(4, 1) NOT NULL,
    starts_on DATE NOT NULL, ends_on DATE);
CREATE TABLE sales_order (
    id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customer (id),
    promotion_id INTEGER REFERENCES promotion (id), status VARCHAR(16) NOT NULL, ordered_at TIMESTAMP NOT NULL);
CREATE TABLE order_line (
    order_id INTEGER NOT NULL REFERENCES sales_order (id), line INTEGER NOT NULL,
    product_id INTEGER NOT NULL REFERENCES product (id), quantity INTEGER NOT NULL, unit_price DECIMAL(10, 2) NOT NULL,
    PRIMARY KEY (order_id, line));
CREATE TABLE payment (
    id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL REFERENCES sales_order (id), method VARCHAR(24) NOT NULL,
    amount DECIMAL(10, 2) NOT NULL, paid_at TIMESTAMP);
CREATE TABLE carrier (
    id INTEGER PRIMARY KEY, name VARCHAR(80) NOT NULL, tracking_url TEXT);
CREATE TABLE shipment (
    id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL REFERENCES sales_order (id),
    carrier_id INTEGER NOT NULL REFERENCES carrier (id), warehouse_id INTEGER NOT NULL REFERENCES warehouse (id),
    tracking_number VARCHAR(40), shipped_at TIMESTAMP);
CREATE TABLE goods_return (
    id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL, line INTEGER NOT NULL, reason VARCHAR(80) NOT NULL,
    received_at TIMESTAMP, FOREIGN KEY (order_id, line) REFERENCES order_line (order_id, line));
CREATE TABLE review (
    product_id INTEGER NOT NULL REFERENCES product (id), customer_id INTEGER NOT NULL REFERENCES customer (id),
    stars INTEGER NOT NULL CHECK (stars BETWEEN 1 AND 5), body TEXT, written_at TIMESTAMP NOT NULL,
    PRIMARY KEY (product_id, customer_id));
CREATE TABLE page_view (
    id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customer (id), product_id INTEGER REFERENCES product (id),
    referrer TEXT, seen_at TIMESTAMP NOT NULL);
CREATE INDEX order_by_customer ON sales_order (customer_id, ordered_at);
CREATE INDEX line_by_product ON order_line (product_id);
CREATE VIEW order_total AS
    SELECT o.id AS order_id, o.customer_id, o.ordered_at, SUM(l.quantity * l.unit_price) AS total
    FROM sales_order o JOIN order_line l ON l.order_id = o.id GROUP BY o.id, o.customer_id, o.ordered_at;
CREATE VIEW customer_value AS
    SELECT c.id AS customer_id, c.full_name, COUNT(t.order_id) AS orders, COALESCE(SUM(t.total), 0) AS spent
    FROM customer c LEFT JOIN order_total t ON t.customer_id = c.id GROUP BY c.id, c.full_name;
CREATE VIEW product_rating AS
    SELECT p.id AS product_id, p.name, COUNT(r.stars) AS reviews, AVG(r.stars) AS stars
    FROM product p LEFT JOIN review r ON r.product_id = p.id GROUP BY p.id, p.name;
CREATE VIEW low_stock AS
    SELECT p.sku, p.name, w.name AS warehouse, s.quantity
    FROM stock s JOIN product p ON p.id = s.product_id JOIN warehouse w ON w.id = s.warehouse_id WHERE s.quantity < 10;
"""

_COUNTRIES = (("AT", "Austria", "EUR"), ("CZ", "Czechia", "CZK"), ("DE", "Germany", "EUR"), ("JP", "Japan", "JPY"))
_CITIES = ("Vienna", "Brno", "Leipzig", "Osaka")
_CATEGORIES = (("Kitchen", None), ("Garden", None), ("Knives", 1), ("Pots", 1), ("Seeds", 2), ("Tools", 2))
_STATUSES = ("new", "paid", "shipped", "delivered", "returned")
_CUSTOMERS, _PRODUCTS, _ORDERS = 40, 30, 120

_Row = tuple[object, ...]


def create_sample_database(path: Path) -> None:
    """Make the database, in place of the one that may be there. Never leaves half of one behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished)) as database:
        database.execute("PRAGMA foreign_keys = ON")
        database.executescript(_SCHEMA)
        with database:
            for table, rows in _rows():
                marks = ", ".join("?" * len(rows[0]))
                database.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608 - our own names
    unfinished.replace(path)


def _rows() -> Iterator[tuple[str, Sequence[_Row]]]:
    """Every table with its rows, parents before children."""
    yield "country", _COUNTRIES
    yield "address", [_address(n) for n in range(1, 61)]
    yield "customer", [_customer(n) for n in range(1, _CUSTOMERS + 1)]
    yield "loyalty_account", [(n, n * 37 % 500, ("basic", "silver", "gold")[n % 3], _day(n)) for n in range(1, 21)]
    yield "warehouse", [(n, f"Warehouse {_CITIES[n - 1]}", 50 + n) for n in range(1, 4)]
    yield "employee", [_employee(n) for n in range(1, 13)]
    yield "supplier", [(n, f"Supplier {n} Ltd", f"sales@supplier{n}.example", 40 + n) for n in range(1, 7)]
    yield "category", [(n, name, parent) for n, (name, parent) in enumerate(_CATEGORIES, 1)]
    yield "product", [_product(n) for n in range(1, _PRODUCTS + 1)]
    yield "price", [(n, _day(year), 5 + n * 1.5 + year, "EUR") for n in range(1, _PRODUCTS + 1) for year in (1, 2)]
    yield "stock", [(n, w, n * w * 7 % 60, _instant(n)) for n in range(1, _PRODUCTS + 1) for w in (1, 2)]
    yield "promotion", [(n, f"SPRING{n}", 5.0 * n, _day(n), None) for n in range(1, 4)]
    yield "sales_order", [_order(n) for n in range(1, _ORDERS + 1)]
    yield "order_line", [_line(n, line) for n in range(1, _ORDERS + 1) for line in range(1, n % 3 + 2)]
    yield "payment", [(n, n, ("card", "transfer")[n % 2], 20.0 + n, _instant(n)) for n in range(1, _ORDERS, 2)]
    yield "carrier", [(1, "Post", "https://post.example/{number}"), (2, "Courier", None)]
    yield "shipment", [(n, n, n % 2 + 1, n % 3 + 1, f"TN{n:08d}", _instant(n)) for n in range(1, _ORDERS, 3)]
    yield "goods_return", [(n, n * 10, 1, "damaged", _instant(n)) for n in range(1, 7)]
    yield "review", [_review(n) for n in range(1, 61)]
    yield "page_view", [(n, n % _CUSTOMERS + 1, n % _PRODUCTS + 1, None, _instant(n)) for n in range(1, 301)]


def _day(n: int) -> str:
    return f"2024-{n % 12 + 1:02d}-{n % 28 + 1:02d}"


def _instant(n: int) -> str:
    return f"{_day(n)} {n % 24:02d}:{n * 7 % 60:02d}:00"


def _address(n: int) -> _Row:
    place = n % len(_CITIES)
    return (n, f"{n} Main Street", _CITIES[place], f"{1000 + n}", _COUNTRIES[place][0])


def _customer(n: int) -> _Row:
    return (n, f"Customer {n}", f"customer{n}@example.com", f"+43 1 {n:06d}", _day(n * 5), n, _instant(n))


def _employee(n: int) -> _Row:
    return (n, f"Employee {n}", "manager" if n == 1 else "clerk", None if n == 1 else 1, n % 3 + 1, _day(n))


def _product(n: int) -> _Row:
    category = n % len(_CATEGORIES) + 1
    return (n, f"SKU-{n:04d}", f"Product {n}", f"What product {n} is for", category, n % 6 + 1, n * 100, n % 9 != 0)


def _order(n: int) -> _Row:
    promotion = n % 3 + 1 if n % 4 == 0 else None
    return (n, n % _CUSTOMERS + 1, promotion, _STATUSES[n % len(_STATUSES)], _instant(n))


def _line(order: int, line: int) -> _Row:
    return (order, line, (order + line) % _PRODUCTS + 1, line, 5.0 + order % 20)


def _review(n: int) -> _Row:
    return (n % _PRODUCTS + 1, n % _CUSTOMERS + 1, n % 5 + 1, f"Review {n}", _instant(n))
