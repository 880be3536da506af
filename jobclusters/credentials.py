"""TLS credentials of one cluster: made for it alone, in its private directory while jobs need them, then gone.

One key and one certificate that signs itself serve scheduler, workers and clients: who has them belongs to the cluster,
as does everybody who may read its directory. A certificate of another cluster is signed by nobody whom this one knows.
"""

from __future__ import annotations

import copy
import logging
import pickle
from contextlib import suppress
from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from distributed.security import Security

from jobclusters.clusterfiles import ClusterFiles
from jobclusters.errors import InvalidRequest

logger = logging.getLogger(__name__)

#: The file that holds each part.
FILES = {"ca_file": "tls-ca.pem", "cert": "tls-cert.pem", "key": "tls-key.pem"}

#: The file that names credentials of the person's own, which stay where they are.
SECURITY = "security.pickle"

#: Longer than any cluster runs: what ends a certificate's use is the end of its cluster, whose scheduler is gone.
VALIDITY = timedelta(days=3650)
#: A node's clock may be behind, and would take the certificate for one that isn't valid yet.
CLOCK_SKEW = timedelta(days=1)

_ROLES = ("client", "scheduler", "worker")


def make() -> Security:
    """Make credentials that are valid for one cluster; they exist in memory only.

    The key is on the curve P-256: as strong as 3072 bits of RSA, and made in a fraction of a millisecond.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign(key).public_bytes(serialization.Encoding.PEM).decode()
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return _security({"ca_file": certificate, "cert": certificate, "key": secret})


def _sign(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Certify a key by itself, with all that Python 3.13's strict checks ask for."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "jobclusters")])
    now = datetime.now(timezone.utc)
    public = key.public_key()
    uses = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"), False
    )
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (
            x509.KeyUsage(digital_signature=True, key_cert_sign=True, encipher_only=False, decipher_only=False, **uses),
            True,
        ),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False),
        (x509.SubjectKeyIdentifier.from_public_key(public), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(public), False),
        (x509.SubjectAlternativeName([x509.DNSName("jobclusters")]), False),
    ]
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + VALIDITY)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, hashes.SHA256())


def load(files: ClusterFiles) -> Security:
    """Give the credentials in a cluster's directory to another process of the same user.

    Raises
    ------
    InvalidRequest
        If there are none.
    """
    with suppress(FileNotFoundError):
        return pickle.loads((files.path / SECURITY).read_bytes())  # noqa: S301 -- this user wrote it
    paths = {part: files.path / name for part, name in FILES.items()}
    try:
        for path in paths.values():
            path.read_bytes()
    except OSError as error:
        raise InvalidRequest(
            f"the cluster's credentials can't be read: {error.filename}: {error.strerror}. It has ended, has"
            " not asked for a job yet, or was given others: then give its security= here, too"
        ) from None
    return _security({part: str(path) for part, path in paths.items()})


def _security(parts: dict[str, str]) -> Security:
    roles = {f"tls_{role}_{part}": parts[part] for role in _ROLES for part in ("cert", "key")}
    return Security(require_encryption=True, tls_ca_file=parts["ca_file"], **roles)


def put(files: ClusterFiles, security: Security) -> None:
    """Write what is in memory into a cluster's directory, which is made.

    It may have been written, and cleaned up by the site; or be that of a cluster of the same name that died.

    Raises
    ------
    InvalidRequest
        If the directory can't be made, or written to.
    """
    texts = _in_memory(security)
    if all(_holds(files, part, text) for part, text in texts.items()):
        return
    files.make()
    for part, text in texts.items():
        files.write(FILES[part], text)


def _holds(files: ClusterFiles, part: str, text: str) -> bool:
    try:
        return (files.path / FILES[part]).read_text() == text
    except (OSError, ValueError):
        return False


def _in_memory(security: Security) -> dict[str, str]:
    parts = security.get_tls_config_for_role("worker")
    return {part: text for part in FILES if (text := parts[part]) and "\n" in text}


class Credentials:
    """What a cluster's scheduler, its jobs and its clients show each other.

    Parameters
    ----------
    security
        Of scheduler and clients; parts of it may be in memory.
    files
        Where these are written for the jobs, once one is asked for.

    Attributes
    ----------
    for_workers : Security
        The same for a job's script: paths only, and nothing of others than workers.
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
        """Whether they are not all in the cluster's directory when they are written."""
        return len(_in_memory(self.security)) < len(FILES) or self.files.path.name.startswith(".")

    def put(self) -> None:
        """Write them for the jobs."""
        if _in_memory(self.security):
            put(self.files, self.security)

    def remove(self) -> None:
        """Remove what was written, but not what another cluster has put in its place."""
        for part, text in _in_memory(self.security).items():
            path = self.files.path / FILES[part]
            try:
                if path.read_text() == text:
                    path.unlink()
            except FileNotFoundError:
                continue
            except OSError as error:
                logger.warning("%s could not be removed: %s. It is of no use to anybody.", path, error.strerror)
