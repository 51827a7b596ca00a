"""The version that /health reports: the image's VERSION, else this file's."""

import os

VERSION = os.environ.get("VERSION") or "1.0.0"
