"""Evidence beside a video: what it says, who signed it, and what of a change is found out."""

import base64
import hashlib
import json
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519

from streamderain.cli import main
from streamderain.evidence import evidence_path
from tests.clips import make_clip


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "gate.mp4", frames=40, options={"g": "10"})


@pytest.fixture
def keys(tmp_path):
    return make_keys(tmp_path, "key")


def make_keys(folder, name, kind=ed25519.Ed25519PrivateKey, password=None):
    key = kind.generate()
    how = serialization.BestAvailableEncryption(password) if password else (
        serialization.NoEncryption()
    )  # fmt: skip
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    pem = serialization.Encoding.PEM
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, how))
    public.write_bytes(
        key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def clean(clip, *words):
    assert main(["clean", str(clip), "--model", "null", *words]) == 0
    return clip.with_name("gate.clean.mp4")


def verify(*words):
    return main(["verify", *map(str, words)])


def told(capsys):
    return capsys.readouterr().err.strip().splitlines()


@pytest.mark.parametrize("words", [[], ["--segment", "0.8s"]])
def test_the_statement_says_what_was_made_of_what(clip, words):
    target = clean(clip, "--evidence", "--crf", "23", *words)
    said = json.loads(evidence_path(target).read_text())
    assert said["signature"] is None
    statement = said["statement"]
    for name, path in (("source", clip), ("output", target)):
        assert statement[name] == {
            "name": path.name, "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }  # fmt: skip
    assert statement["model"]["name"] == "null"
    assert statement["settings"]["crf"] == 23
    assert {"streamderain", "ffmpeg", "python", "av"} <= statement["versions"].keys()
    assert statement["time_base"] == "1/12800"
    assert statement["frames"] == [
        {"count": 40, "pts": 0, "step": 512, "duration": 512, "fate": "null"}
    ]
    assert statement["frames_in"] == statement["frames_out"] == 40


def test_an_untouched_video_is_verified(clip, keys, capsys):
    target = clean(clip, "--sign", str(keys[0]))
    capsys.readouterr()
    assert verify(target) == 0
    assert "signed with the key" in capsys.readouterr().out
    assert verify(target, "--key", keys[1], "--source", clip) == 0
    assert "signed with the key that you named" in capsys.readouterr().out
    assert verify(target, "--key", keys[1], "--json") == 0
    found = json.loads(capsys.readouterr().out)[0]
    assert found["trusted"]
    assert found["statement"]["output"]["name"] == "gate.clean.mp4"


def test_without_a_signature_it_is_said_what_that_is_worth(clip, keys, capsys):
    target = clean(clip, "--evidence")
    capsys.readouterr()
    assert verify(target) == 0
    assert "nobody signed it" in capsys.readouterr().out
    assert verify(target, "--key", keys[1]) == 1
    assert "is not signed" in told(capsys)[0]


def test_every_change_is_found_out(clip, keys, tmp_path, capsys):
    target = clean(clip, "--sign", str(keys[0]))
    evidence = evidence_path(target)
    good_video, good_text = target.read_bytes(), evidence.read_text()
    capsys.readouterr()

    def refused(sentence, *words):
        assert verify(target, *words) == 1
        lines = told(capsys)
        assert len(lines) == 1
        assert sentence in lines[0]

    changed = bytearray(good_video)
    changed[len(changed) // 2] ^= 1
    target.write_bytes(changed)
    refused("is not the video that was written (its SHA-256 is another one)")
    target.write_bytes(good_video[:-1])
    refused(f"({len(good_video) - 1} bytes, not {len(good_video)})")
    target.write_bytes(good_video)

    said = json.loads(good_text)
    for path in (("created",), ("source", "sha256"), ("model", "name"), ("settings", "crf")):
        other = json.loads(good_text)
        place = other["statement"]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = "0" * 64
        evidence.write_text(json.dumps(other))
        refused("was changed after it was signed")
    evidence.write_text(json.dumps(said | {"signature": None}))
    refused("is not signed", "--key", str(keys[1]))
    forged = said["signature"] | {"value": base64.b64encode(bytes(64)).decode()}
    evidence.write_text(json.dumps(said | {"signature": forged}))
    refused("was changed after it was signed")
    for broken in ("", "[]", "{}", '{"statement": {"format": 1}}',
                   json.dumps(said | {"signature": {"algorithm": "rsa"}})):  # fmt: skip
        evidence.write_text(broken)
        assert verify(target) == 1
        assert len(told(capsys)) == 1
    evidence.write_text(json.dumps({"statement": said["statement"] | {"format": 2}}))
    refused("is of another version (format 2, not 1)")
    evidence.write_text(json.dumps(said, indent=4, sort_keys=True))
    assert verify(target, "--key", str(keys[1])) == 0, "how it is written out doesn't matter"

    _, stranger = make_keys(tmp_path, "stranger")
    refused("was signed with another key than that of", "--key", str(stranger))
    other = make_clip(tmp_path / "other.mp4", frames=5)
    capsys.readouterr()
    refused("is not the recording that it was made of", "--source", str(other))
    evidence.unlink()
    refused("there is no evidence at")


def test_several_videos_are_checked_each_for_itself(clip, tmp_path, capsys):
    target = clean(clip, "--evidence")
    copy = tmp_path / "elsewhere.mp4"
    shutil.copy(target, copy)
    capsys.readouterr()
    assert verify(copy, target) == 1
    said = capsys.readouterr()
    assert said.out.count("\n") == 1
    assert "no evidence at" in said.err
    assert verify(copy, "--evidence", evidence_path(target)) == 0
    assert verify(copy, target, "--evidence", evidence_path(target)) == 2


def test_another_program_checks_the_signature_by_what_the_documentation_says(
    clip, keys, tmp_path
):  # fmt: skip
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    said = json.loads(evidence_path(clean(clip, "--sign", str(keys[0]))).read_text())
    message = tmp_path / "message"
    text = json.dumps(said["statement"], sort_keys=True, separators=(",", ":"))
    message.write_bytes(b"streamderain evidence 1\n" + text.encode("ascii"))
    signature = tmp_path / "signature"
    signature.write_bytes(base64.b64decode(said["signature"]["value"]))
    done = subprocess.run(
        ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(keys[1]), "-rawin",
         "-in", str(message), "-sigfile", str(signature)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Verified Successfully" in done.stdout, done.stderr


@pytest.mark.parametrize("kind", ["missing", "text", "another", "encrypted", "public"])
def test_a_key_that_is_none_is_refused_before_the_work(clip, keys, tmp_path, capsys, kind):
    path = tmp_path / "bad.pem"
    if kind == "text":
        path.write_text("no key")
    elif kind == "another":
        path, _ = make_keys(tmp_path, "bad", x25519.X25519PrivateKey)
    elif kind == "encrypted":
        path, _ = make_keys(tmp_path, "bad", password=b"secret")
    elif kind == "public":
        path = keys[1]
    assert main(["clean", str(clip), "--model", "null", "--sign", str(path)]) == 2
    assert len(told(capsys)) == 1
    assert not clip.with_name("gate.clean.mp4").exists()


def test_evidence_is_for_videos(tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(b"")
    assert main(["clean", str(tmp_path / "a.png"), "--model", "null", "--evidence"]) == 2
    assert "--evidence is written for videos" in told(capsys)[0]
