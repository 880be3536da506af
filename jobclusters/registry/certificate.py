"""The certificate of one cluster, and its key; imported where they are made, as cryptography takes a while."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: Longer than any cluster runs: a certificate is of no use after the end of its cluster.
VALIDITY = timedelta(days=3650)
#: To a node whose clock is behind, a new certificate would not be valid yet.
CLOCK_SKEW = timedelta(days=1)


def make_pair() -> tuple[str, str]:
    """Make a certificate and its key, as PEM.

    The key is on the curve P-256: as strong as 3072 bits of RSA, and made in a fraction of a millisecond.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign(key).public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.decode(), secret.decode()


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
