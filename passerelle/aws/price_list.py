"""AWS's Price List: the products of a service, asked with the caller's credentials."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from passerelle.aws.account import Account
from passerelle.errors import TransientError


class PriceList(Account):
    """The Price List API, which answers in us-east-1 for every region and costs nothing."""

    def products(self, service_code: str, filters: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        """Yield every product of a service whose attributes are these, with its terms.

        Raises CredentialsError, PermissionLackingError (pricing:GetProducts) or TransientError.
        """
        only = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in sorted(filters.items())]
        answer = self._call("pricing", "get_products", ServiceCode=service_code, Filters=only, FormatVersion="aws_v1")
        for text in answer.get("PriceList", []):
            try:
                product = json.loads(text)
            except ValueError as error:
                raise TransientError(f"The Price List of {service_code} sent what is no JSON: {error}") from error
            if isinstance(product, dict):
                yield product
