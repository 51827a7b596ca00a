import os

from .addresses import AddressStore
from .server import serve

serve(int(os.environ.get("PORT") or 8080), AddressStore())
