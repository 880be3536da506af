"""The description of the cluster that a head makes, written for it alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import pickle
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cloudpickle

from jobclusters.errors import InvalidRequest
from jobclusters.registry.files import ORDER, ClusterFiles


@dataclass(frozen=True)
class Order:
    """What a head makes.

    Attributes
    ----------
    cls, keywords
        The cluster's class and its parameters.
    config
        Dask's configuration.
    directory
        The base of relative paths.
    lifetime
        Seconds after which the head closes, before its walltime ends it; None for never.
    """

    cls: type
    keywords: Mapping[str, Any]
    config: Mapping[str, Any]
    directory: str
    lifetime: float | None = None

    def write(self, files: ClusterFiles) -> str:
        """Write the order; give the digest that the head is started with, and which it checks.

        Plain values are JSON. Classes, functions and plugins can only be pickled, and a pickle runs code: the digest in
        the head's command line, which no other user can change, proves that the file is unchanged.
        """
        request = cloudpickle.dumps({"cls": self.cls, "keywords": self.keywords, "config": self.config})
        plain = {
            "directory": self.directory,
            "path": [os.path.abspath(entry) for entry in sys.path],  # "" is the working directory
            "lifetime": self.lifetime,
            "request": base64.b64encode(request).decode(),
        }
        text = json.dumps(plain).encode()
        files.write(ORDER, text)
        return hashlib.sha256(text).hexdigest()


def read_order(files: ClusterFiles, digest: str) -> Order:
    """Read the order, unless its digest is another one, and enter the directory where its paths begin.

    Modules that the starting process can import can be imported here, too; those of its working directory come last.
    """
    try:
        text = files.read(ORDER)
    except OSError as error:
        raise InvalidRequest(f"{files.path / ORDER} can't be read: {error.strerror}; start the cluster again") from None
    if not hmac.compare_digest(hashlib.sha256(text).hexdigest(), digest):
        raise InvalidRequest(f"{files.path / ORDER} is not what this head was started with; start the cluster again")
    plain = json.loads(text)
    if os.path.isdir(plain["directory"]):
        os.chdir(plain["directory"])
    sys.path += [entry for entry in plain["path"] if entry not in sys.path]
    request = pickle.loads(base64.b64decode(plain["request"]))  # noqa: S301 -- the digest was checked
    return Order(**request, directory=plain["directory"], lifetime=plain["lifetime"])
