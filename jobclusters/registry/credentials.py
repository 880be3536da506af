"""TLS credentials of one cluster: made for it alone, kept in its private directory while jobs need them, then removed.

One key and one self-signed certificate serve scheduler, workers and clients: whoever can read the cluster's directory
belongs to the cluster. No cluster trusts the certificate of another one.
"""

from __future__ import annotations

import copy
import json
import logging
import ssl
from contextlib import suppress

from distributed.security import Security

from jobclusters.errors import InvalidRequest
from jobclusters.registry.files import FILES, SECURITY, ClusterFiles
from jobclusters.registry.openssl import guard_security

logger = logging.getLogger(__name__)

_ROLES = ("client", "scheduler", "worker")


def make() -> Security:
    """Make credentials for one cluster, in memory."""
    from jobclusters.registry.certificate import make_pair

    certificate, key = make_pair()
    return _security({"ca_file": certificate, "cert": certificate, "key": key})


def load(files: ClusterFiles) -> Security:
    """Read the credentials in a cluster's directory, for another process of the same user.

    Raises
    ------
    InvalidRequest
        If the cluster has none.
    """
    with suppress(FileNotFoundError):
        return guard_security(from_json(files.read(SECURITY).decode()))
    for name in FILES.values():
        try:
            files.read(name)
        except OSError as error:  # noqa: PERF203 -- three files
            raise InvalidRequest(
                f"the cluster's credentials can't be read: {files.path / name}: {error.strerror}. It has ended, has"
                " not asked for a job yet, or was given others: then give its security= here, too"
            ) from None
    return _security({part: str(files.path / name) for part, name in FILES.items()})


def to_json(security: Security) -> str:
    """Serialize the paths of credentials, and those that are in memory; other objects are left out."""
    fields = {name: getattr(security, name) for name in Security.__slots__}
    return json.dumps({key: value for key, value in fields.items() if value is not None and _is_serializable(value)})


def _is_serializable(value: object) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def from_json(text: str) -> Security:
    """Read what :func:`to_json` wrote; anything else is an :class:`InvalidRequest`."""
    try:
        found = json.loads(text)
        fields = {key: value for key, value in found.items() if key in Security.__slots__}
        for key in fields.keys() & {"tls_min_version", "tls_max_version"}:
            fields[key] = ssl.TLSVersion(fields[key])
        return Security(**fields)
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidRequest(f"the cluster's credentials can't be read: {SECURITY}: {error}") from None


def _security(parts: dict[str, str]) -> Security:
    roles = {f"tls_{role}_{part}": parts[part] for role in _ROLES for part in ("cert", "key")}
    return guard_security(Security(require_encryption=True, tls_ca_file=parts["ca_file"], **roles))


def _in_memory(security: Security) -> dict[str, str]:
    parts = security.get_tls_config_for_role("worker")
    return {part: text for part in FILES if (text := parts[part]) and "\n" in text}


class Credentials:
    """What a cluster's scheduler, jobs and clients authenticate with.

    Parameters
    ----------
    security
        Of scheduler and clients; parts of it may be in memory.
    files
        The directory to which those parts are written for the jobs.

    Attributes
    ----------
    for_workers : Security
        Credentials for a job's script: paths only, and those of workers only.
    """

    def __init__(self, security: Security, files: ClusterFiles) -> None:
        self.security = security
        self.files = files
        self.for_workers = copy.copy(security)
        for role in ("client", "scheduler"):
            setattr(self.for_workers, f"tls_{role}_cert", None)
            setattr(self.for_workers, f"tls_{role}_key", None)
        for part in _in_memory(security):
            field = "tls_ca_file" if part == "ca_file" else f"tls_worker_{part}"
            setattr(self.for_workers, field, str(files.path / FILES[part]))

    @property
    def elsewhere(self) -> bool:
        """Whether the cluster's directory holds only part of the credentials, or none."""
        return len(_in_memory(self.security)) < len(FILES) or self.files.path.name.startswith(".")

    def put(self) -> None:
        """Write those in memory into the cluster's directory, unless they are there.

        A site may have cleaned the directory up, or it may hold those of a dead cluster with the same name.
        """
        texts = _in_memory(self.security)
        with suppress(OSError):
            if all(self.files.read(FILES[part]) == text.encode() for part, text in texts.items()):
                return
        self.files.make()
        for part, text in texts.items():
            self.files.write(FILES[part], text)

    def remove(self) -> None:
        """Remove the files of these credentials, but not those of another cluster in their place."""
        for part, text in _in_memory(self.security).items():
            try:
                with suppress(FileNotFoundError):
                    self.files.remove_file(FILES[part], text)
            except (OSError, InvalidRequest) as error:  # noqa: PERF203 -- three files
                path = self.files.path / FILES[part]
                logger.warning("%s could not be removed: %s. Without the cluster it is of no use.", path, error)
