"""Deep health check of the tracking server: MLflow's own /health is a constant, and does not see a dead database.

A new connection each time: after the password has been rotated the server's old ones still work, but no new one would;
the failing check then has the task replaced by one that starts with the new password.
"""

from __future__ import annotations

import sys
import urllib.request

import psycopg2


def main(url: str) -> int:
    """Return 0 when the server answers and the database lets us in."""
    with urllib.request.urlopen(url, timeout=4) as answer:
        if answer.status != 200:
            return 1
    connection = psycopg2.connect("", connect_timeout=4)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT version_num FROM alembic_version")
            return 0 if cursor.fetchone() else 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
