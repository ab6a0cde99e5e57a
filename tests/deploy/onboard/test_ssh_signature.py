"""Signatures: the standard's own vectors, OpenSSH and a cryptography library against us, and every forgery we know."""

import base64
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from deploy.host.signing import make_key
from deploy.onboard.ed25519 import is_valid_signature
from deploy.onboard.ssh_signature import NAMESPACE, check_signature, trusted_keys
from deploy.onboard.store_error import StoreError

ORDER = 2**252 + 27742317777372353535851937790883648493

# RFC 8032, section 7.1, TEST 1, 2, 3: public key, message, signature.
RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
        "655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
        "b00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
        "c027beceea1ec40a",
    ),
]
VECTORS = [tuple(bytes.fromhex(part) for part in vector) for vector in RFC_8032]


@pytest.mark.parametrize("vector", VECTORS)
def test_the_vectors_of_the_standard(vector: tuple[bytes, bytes, bytes]) -> None:
    assert is_valid_signature(*vector)


@pytest.mark.parametrize("bit", [0, 7, 100, 255, 256, 300, 505, 511])
def test_a_changed_bit_is_no_signature(bit: int) -> None:
    key, message, signature = VECTORS[2]
    changed = bytearray(signature)
    changed[bit // 8] ^= 1 << bit % 8
    assert not is_valid_signature(key, message, bytes(changed))
    assert not is_valid_signature(key, message + b"\0", signature)
    other = bytearray(key)
    other[bit // 16] ^= 1
    assert not is_valid_signature(bytes(other), message, signature)


def test_the_same_scalar_plus_the_groups_order_is_refused() -> None:
    """RFC 8032, 5.1.7: S has to be below the order, or every signature has a twin."""
    key, message, signature = VECTORS[1]
    twin = int.from_bytes(signature[32:], "little") + ORDER
    assert not is_valid_signature(key, message, signature[:32] + twin.to_bytes(32, "little"))


@pytest.mark.parametrize("y", [1, 2**255 - 19 - 1, 0])
def test_a_key_of_small_order_vouches_for_nothing(y: int) -> None:
    """Under the neutral element, R = B and S = 1 would sign any message."""
    base = (4 * pow(5, -1, 2**255 - 19) % (2**255 - 19)).to_bytes(32, "little")
    assert not is_valid_signature(y.to_bytes(32, "little"), b"any", base + (1).to_bytes(32, "little"))


@pytest.mark.parametrize("encoding", [2**255 - 19, 2**255 - 18, 2**255 - 1, 2, 1 + 2**255])
def test_what_is_no_point_is_refused(encoding: int) -> None:
    """Not below p; not on the curve; x = 0 with a sign."""
    _, message, signature = VECTORS[0]
    assert not is_valid_signature(encoding.to_bytes(32, "little"), message, signature)
    assert not is_valid_signature(VECTORS[0][0], message, encoding.to_bytes(32, "little") + signature[32:])


@pytest.mark.parametrize(("key_size", "signature_size"), [(31, 64), (33, 64), (32, 63), (32, 65), (0, 0)])
def test_other_lengths_are_refused(key_size: int, signature_size: int) -> None:
    assert not is_valid_signature(bytes(key_size), b"", bytes(signature_size))


def test_a_cryptography_library_agrees() -> None:
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    for number in range(20):
        private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        message = bytes(range(number))
        assert is_valid_signature(private.public_key().public_bytes_raw(), message, private.sign(message))


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("openssh-client is not installed")
    return make_key(tmp_path_factory.mktemp("keys") / "key").with_suffix("")


def signed(key: Path, content: bytes, *options: str, namespace: str = NAMESPACE) -> bytes:
    """By OpenSSH."""
    words = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", namespace, *options]
    return subprocess.run(words, input=content, capture_output=True, check=True).stdout


def keys_of(key: Path) -> dict[str, bytes]:
    return trusted_keys(key.parent)


@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
def test_a_signature_by_openssh_is_accepted(key: Path, hash_name: str) -> None:
    assert check_signature(b"content", signed(key, b"content", "-O", f"hashalg={hash_name}"), keys_of(key)) == "key.pub"


def blob_of(signature: bytes) -> bytes:
    return base64.b64decode(b"".join(signature.strip().split(b"\n")[1:-1]))


def armoured(blob: bytes) -> bytes:
    return b"-----BEGIN SSH SIGNATURE-----\n" + base64.b64encode(blob) + b"\n-----END SSH SIGNATURE-----\n"


def test_every_single_byte_flip_of_a_signature_is_refused(key: Path) -> None:
    """In the decoded blob, so that each one is a change of what was signed or of who signed it."""
    blob, keys = blob_of(signed(key, b"content")), keys_of(key)
    assert check_signature(b"content", armoured(blob), keys)
    for place in range(len(blob)):
        changed = bytearray(blob)
        changed[place] ^= 0x10
        with pytest.raises(StoreError):
            check_signature(b"content", armoured(bytes(changed)), keys)


def test_every_truncation_of_a_signature_is_refused(key: Path) -> None:
    blob, keys = blob_of(signed(key, b"content")), keys_of(key)
    for size in range(len(blob)):
        with pytest.raises(StoreError, match="malformed"):
            check_signature(b"content", armoured(blob[:size]), keys)
    with pytest.raises(StoreError, match="goes on after its end"):
        check_signature(b"content", armoured(blob + b"\0"), keys)


def test_each_forgery_has_its_own_message(key: Path, tmp_path: Path) -> None:
    keys, good = keys_of(key), signed(key, b"content")
    make_key(tmp_path / "other")
    for signature, content, message in (
        (b"", b"content", "no signature"),
        (b"\n", b"content", "BEGIN and END"),
        (good, b"other content", "something else"),
        (signed(tmp_path / "other", b"content"), b"content", "another key"),
        (signed(key, b"content", namespace="git"), b"content", "for b'git'"),
        (armoured(b"SSHSIG" + struct.pack(">I", 2) + blob_of(good)[10:]), b"content", "version 1"),
        (armoured(b"SSHSIG" + struct.pack(">II", 1, 2**32 - 1)), b"content", "ends early"),
    ):
        with pytest.raises(StoreError, match=message):
            check_signature(content, signature, keys)


def test_a_key_of_another_kind_is_refused(tmp_path: Path, key: Path) -> None:
    words = ["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(tmp_path / "ecdsa")]
    subprocess.run(words, check=True)
    with pytest.raises(StoreError, match=r"ed25519 public key in .*ecdsa\.pub"):
        trusted_keys(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "ssh-ed25519", "ssh-ed25519 ????", "ssh-ed25519 AAAA", "ssh-rsa AAAAB3NzaC1yc2E="]
)
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.pub").write_text(text)
    with pytest.raises(StoreError, match=r"a\.pub"):
        trusted_keys(tmp_path)


def test_no_folder_is_no_keys(tmp_path: Path) -> None:
    assert trusted_keys(tmp_path / "none") == {}
