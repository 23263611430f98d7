"""Who a customer is, as the site's own backend has signed it: a JSON Web Token made for this site alone.

Owns which keys a site may have, which algorithm goes with them, and what of a token is believed. The algorithm is the
site's, never the token's: a token that names another, or none, is refused. Knows no SQL and no routes.
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from app.errors import Unauthorized

LEEWAY = timedelta(seconds=30)
"""Two machines' clocks differ."""

LONGEST = timedelta(hours=24)
"""A token that holds longer is not taken: it lies in the page, where whoever copies it could use it for ever."""

_SHORTEST_SECRET = 32
_SHORTEST_RSA = 2048


class Algorithm(StrEnum):
    HS256 = "HS256"
    RS256 = "RS256"
    ES256 = "ES256"
    EDDSA = "EdDSA"


class IdentityKey(BaseModel):
    """How a site signs its customers in: a secret for HS256, else the public key as PEM."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    algorithm: Algorithm
    key: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000)] = Field(
        description="The secret that the backend shares (HS256), or its public key as PEM. Never shown again."
    )

    @model_validator(mode="after")
    def _fits(self) -> "IdentityKey":
        if self.algorithm is Algorithm.HS256:
            if "-----BEGIN" in self.key:
                raise ValueError("HS256 takes a secret; for a public key choose RS256, ES256 or EdDSA")
            if len(self.key.encode()) < _SHORTEST_SECRET:
                raise ValueError(f"the secret needs at least {_SHORTEST_SECRET} characters, chosen at random")
            return self
        if "PRIVATE KEY" in self.key:
            raise ValueError("this is a private key: keep it in the backend, and give the public one")
        try:
            key = load_pem_public_key(self.key.encode())
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ValueError("the key is no public key in PEM form (-----BEGIN PUBLIC KEY-----)") from error
        fits = {
            Algorithm.RS256: isinstance(key, RSAPublicKey) and key.key_size >= _SHORTEST_RSA,
            Algorithm.ES256: isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1),
            Algorithm.EDDSA: isinstance(key, Ed25519PublicKey),
        }
        if not fits[self.algorithm]:
            needs = {
                Algorithm.RS256: f"an RSA key of at least {_SHORTEST_RSA} bits",
                Algorithm.ES256: "a key on the curve P-256",
                Algorithm.EDDSA: "an Ed25519 key",
            }
            raise ValueError(f"{self.algorithm.value} needs {needs[self.algorithm]}")
        return self


_Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=254, pattern=r"^[^\x00-\x1f\x7f]*$")]
_Value = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00]*$")] | bool | int | float | None


class Customer(BaseModel):
    """What is believed of a customer; claims of other names are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: Annotated[_Text, StringConstraints(min_length=1)] = Field(validation_alias="sub")
    name: _Text | None = None
    email: _Text | None = None
    attributes: dict[Annotated[str, StringConstraints(min_length=1, max_length=60)], _Value] = Field({}, max_length=20)


def customer_of(token: str, site_id: str, identity: Mapping[str, Any]) -> dict[str, Any]:
    """The customer whom the token names: {id, name?, email?, attributes?}.

    `identity` is the site's {algorithm, key}. Raises `Unauthorized` for whatever is not signed with that key, for this
    site, now; the reason is told, as it is only about the token that the caller holds.
    """
    if not identity:
        raise Unauthorized("This site has no key for identities: set one, or leave the identity out.")
    key = IdentityKey.model_validate(identity)
    try:
        claims = jwt.decode(
            token,
            key.key,
            algorithms=[key.algorithm.value],
            audience=site_id,
            leeway=LEEWAY,
            options={"require": ["sub", "aud", "iat", "exp"], "strict_aud": True},
        )
        if claims["exp"] - claims["iat"] > LONGEST.total_seconds():
            raise jwt.InvalidTokenError("it holds longer than 24 hours")
        customer = Customer.model_validate(claims)
    except ValidationError as error:
        fields = ", ".join(sorted({str(each["loc"][0]) for each in error.errors()}))
        raise Unauthorized(f"The identity's claims are not valid: {fields}.") from error
    except (jwt.InvalidTokenError, jwt.InvalidKeyError, TypeError, ValueError) as error:
        raise Unauthorized(f"The identity is not valid: {_reason(error)}.") from error
    return customer.model_dump(exclude_none=True, exclude_defaults=True)


def _reason(error: Exception) -> str:
    """In our words: a library's may repeat what was sent."""
    match error:
        case jwt.ExpiredSignatureError():
            return "it has expired"
        case jwt.InvalidAudienceError():
            return "its audience is not this site's id"
        case jwt.MissingRequiredClaimError():
            return "it needs the claims sub, aud, iat and exp"
        case jwt.ImmatureSignatureError():
            return "it is not valid yet"
        case jwt.InvalidAlgorithmError():
            return "it is signed with another algorithm than the site's"
        case jwt.InvalidTokenError() if str(error) == "it holds longer than 24 hours":
            return str(error)
        case _:
            return "it is not signed with this site's key, or is no token at all"
