"""The handshake of a connection to a page server: both sides prove that they have the secret, and neither sends it.

    server   MAGIC, challenge
    client   its own challenge, proof
    server   proof

A proof is an HMAC-SHA256 over both challenges, the side that gives it, and the shard that is meant: it is good for one
connection, cannot be sent back to whoever gave it, and does not come from another shard that has got the same port.
"""

from __future__ import annotations

import hmac
import secrets

MAGIC = b"raycach1"
SECRET_BYTES = CHALLENGE_BYTES = PROOF_BYTES = 32
GREETING_BYTES, ANSWER_BYTES = len(MAGIC) + CHALLENGE_BYTES, CHALLENGE_BYTES + PROOF_BYTES


class Handshake:
    """One connection's, as one side sees it."""

    def __init__(self, secret: bytes, shard: str) -> None:
        self._secret, self._shard = secret, shard.encode()
        self._own, self._other = secrets.token_bytes(CHALLENGE_BYTES), b""

    def greeting(self) -> bytes:
        """The server's first words."""
        return MAGIC + self._own

    def answer(self, greeting: bytes) -> bytes | None:
        """The client's answer to a greeting; None where that is none."""
        if len(greeting) != GREETING_BYTES or not greeting.startswith(MAGIC):
            return None
        self._other = greeting[len(MAGIC) :]
        return self._own + self._proof(b"client", self._other, self._own)

    def confirm(self, answer: bytes) -> bytes | None:
        """The server's proof; None for a client that has not given its own."""
        other, proof = answer[:CHALLENGE_BYTES], answer[CHALLENGE_BYTES:]
        if not hmac.compare_digest(proof, self._proof(b"client", self._own, other)):
            return None
        return self._proof(b"server", self._own, other)

    def confirmed(self, proof: bytes) -> bool:
        """Whether the server has proved itself to the client."""
        return hmac.compare_digest(proof, self._proof(b"server", self._other, self._own))

    def _proof(self, side: bytes, of_server: bytes, of_client: bytes) -> bytes:
        return hmac.digest(self._secret, side + of_server + of_client + self._shard, "sha256")
