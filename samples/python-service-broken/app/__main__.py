"""Version 1.2.0 keeps deleted addresses so that a deletion can be undone, and forgot to tell the reads."""

import os

from .addresses import AddressStore
from .server import serve


class SoftDeletingStore(AddressStore):
    def __init__(self):
        super().__init__()
        self._deleted = set()

    def remove(self, address_id):
        if self.get(address_id) is None or address_id in self._deleted:
            return False
        self._deleted.add(address_id)
        return True


serve(int(os.environ.get("PORT") or 8080), SoftDeletingStore())
