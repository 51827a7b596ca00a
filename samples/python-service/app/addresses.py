"""Addresses: what a valid one is, and a store that keeps them in memory."""

import threading
import uuid

FIELDS = ("name", "street", "postalCode", "city", "country")
MAX_LENGTH = 200


class InvalidAddress(ValueError):
    """The message names the field and is fit for the client."""


def parse_address(value):
    """The address in a decoded JSON value; raises InvalidAddress."""
    if not isinstance(value, dict):
        raise InvalidAddress("an address is a JSON object")
    unknown = sorted(set(value) - set(FIELDS))
    if unknown:
        raise InvalidAddress(f"unknown field: {unknown[0]}")
    for field in FIELDS:
        text = value.get(field)
        if not isinstance(text, str) or not text.strip():
            raise InvalidAddress(f"{field} must be a text that is not empty")
        if len(text) > MAX_LENGTH:
            raise InvalidAddress(f"{field} is longer than {MAX_LENGTH} characters")
    return {field: value[field].strip() for field in FIELDS}


class AddressStore:
    """Safe to use from several threads. Each replica of the service has its own, so ids must differ between them."""

    def __init__(self):
        self._lock = threading.Lock()
        self._addresses = {}

    def add(self, address):
        stored = {"id": str(uuid.uuid4()), **address}
        with self._lock:
            self._addresses[stored["id"]] = stored
        return stored

    def all(self):
        with self._lock:
            return list(self._addresses.values())

    def get(self, address_id):
        """The address, or None."""
        with self._lock:
            return self._addresses.get(address_id)

    def remove(self, address_id):
        """Whether there was such an address."""
        with self._lock:
            return self._addresses.pop(address_id, None) is not None
