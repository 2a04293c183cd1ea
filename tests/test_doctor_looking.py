"""``streamderain doctor`` looks at machines: at texts of others, at this one, at broken ones."""

import json
import os
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
from pydantic import TypeAdapter

from streamderain.cli import main
from streamderain.defaults import LIVE_MODEL, PICTURE_MODEL, VIDEO_MODEL
from streamderain.doctor import child, examine, machine, packages
from streamderain.doctor.report import Report
from streamderain.doctor.snapshot import Gpu, Need
from streamderain.doctor.trying import run_tasks
from streamderain.inference.backend import NullBackend
from streamderain.models import available_models, models_folder, resolve_model


@pytest.mark.parametrize(
    ("text", "has", "lacks"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_vnni avx512_bf16\n", "AVX512-BF16", "AMX-BF16"),
        ("flags: avx2 amx_bf16 amx_tile\n", "AMX-BF16", "AVX-512"),
        ("Features\t: fp asimd asimddp i8mm\n", "i8mm", "BF16"),
    ],
)
def test_features_of_processors(text, has, lacks):
    found, missing = machine.cpu_features(f"processor: 0\n{text}")
    assert has in found
    assert lacks in missing
    assert machine.cpu_features("") == ((), ())


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n", "memory.max": "1024\n"}, (1.5, 1024)),
        ("0::/\n", {"cpu.max": "max 100000\n", "memory.max": "max\n"}, (None, None)),
        ("0::/a/b\n", {"a/cpu.max": "50000 100000", "a/b/cpu.max": "max 100000"}, (0.5, None)),
        (
            "3:cpu,cpuacct:/docker/x\n2:memory:/docker/x\n",
            {
                "cpu,cpuacct/cpu.cfs_quota_us": "200000", "cpu,cpuacct/cpu.cfs_period_us": "100000",
                "memory/memory.limit_in_bytes": "9223372036854771712",
                "memory/docker/x/memory.limit_in_bytes": "4096",
            },
            (2.0, 4096),
        ),
        ("3:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "9"}, (None, None)),
        ("", {}, (None, None)),
        ("nonsense\n", {}, (None, None)),
    ],
)  # fmt: skip
def test_limits_of_containers(groups, files, expected):
    there = {f"/sys/fs/cgroup/{name}": text for name, text in files.items()}
    assert machine.cgroup_limits(groups, there.get) == expected


def test_what_nvidia_smi_says():
    found = machine.parse_gpus("NVIDIA L4, 550.54.15, 23034, 8.9\nOld, 390.1, [N/A]\n\nnoise\n")
    assert found == (Gpu("NVIDIA L4", "550.54.15", 23034 << 20, "8.9"), Gpu("Old", "390.1"))


@pytest.mark.parametrize(
    ("script", "gpus", "trouble"),
    [
        ("echo 'L4, 550.1, 100, 8.9'", (Gpu("L4", "550.1", 100 << 20, "8.9"),), None),
        (
            'case "$1" in *compute_cap*) exit 2;; esac; echo "K80, 390.1, 100"',
            (Gpu("K80", "390.1", 100 << 20),),
            None,
        ),
        ("echo 'no devices'; exit 9", (), "nvidia-smi fails: no devices"),
    ],
)
def test_nvidia_smi_is_asked(script, gpus, trouble, tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = machine.look_at_machine()
    assert (found.gpus, found.gpu_trouble) == (gpus, trouble)
    assert 1 <= found.usable_cores <= found.cores
    assert found.memory > 0


def test_a_card_on_the_bus(tmp_path):
    assert not machine.has_nvidia_card(tmp_path / "none")
    for name, vendor, kind in (("a", "0x10de", "0x040300"), ("b", "0x8086", "0x030000")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(f"{vendor}\n")
        (tmp_path / name / "class").write_text(f"{kind}\n")
    assert not machine.has_nvidia_card(tmp_path)  # its sound isn't a card that computes
    (tmp_path / "a" / "class").write_text("0x030200\n")
    assert machine.has_nvidia_card(tmp_path)


@pytest.mark.parametrize(
    ("value", "hidden"), [(None, False), ("0", False), ("1,0", False), ("", True), ("-1", True)]
)
def test_a_variable_that_hides_the_gpu(value, hidden):
    assert machine.cuda_hidden({} if value is None else {"CUDA_VISIBLE_DEVICES": value}) is hidden


def test_lines_of_metadata_that_apply_here():
    lines = ["av<19,>=18", "ort-gpu[cuda,cudnn]>=1; extra == 'cuda'", "old; python_version < '3'"]
    plain, gpu = packages.read_needs("x", lines, ["cpu", "cuda"])
    assert (plain.extras, str(plain)) == ((), "av<19,>=18")
    assert (gpu.extras, str(gpu)) == (("cuda",), "ort-gpu[cuda,cudnn]>=1")
    assert packages.read_needs("x", ["not a line at all!"], []) == []


def test_a_checkout_says_itself_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "NAME", "not-installed")
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["av>=18"]\n[project.optional-dependencies]\ncpu = ["ort>=1"]\n'
    )
    lines, extras = packages.own_lines(tmp_path)
    assert packages.read_needs("streamderain", lines, extras) == [
        Need("streamderain", "av", ">=18"), Need("streamderain", "ort", ">=1", ("cpu",)),
    ]  # fmt: skip
    assert packages.own_lines(None) == ([], [])
    assert packages.own_lines(tmp_path / "none") == ([], [])


@pytest.mark.parametrize(
    ("specifiers", "possible"),
    [
        (["<2", ">=2.1"], False), (["<2.6,>=1.16", ">=2.1", ""], True), (["==2.0", "!=2.0"], False),
        (["~=2.1"], True), ([">2.1", "<2.2"], True), ([], True),
    ],
)  # fmt: skip
def test_ranges_that_have_a_version_in_common(specifiers, possible):
    assert packages.satisfiable(specifiers) is possible


def test_without_packaging_every_version_will_do(monkeypatch):
    monkeypatch.setattr(packages, "_packaging", lambda _: None)
    assert packages.find_needs() == ((), False)
    assert packages.read_needs("x", ["numpy"], []) == []
    assert packages.fits("1", ">=2")


def test_packages_and_files_that_are_found(tmp_path, monkeypatch):
    for version in ("1.0", "2.0"):
        folder = tmp_path / f"some_thing-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: Some_Thing\nVersion: {version}\n")
    (tmp_path / "broken-1.dist-info").mkdir()
    (tmp_path / "numpy.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    versions, doubled = packages.find_packages()
    assert versions["numpy"] == np.__version__
    assert doubled == {"some-thing": ("1.0", "2.0")}
    monkeypatch.delitem(sys.modules, "numpy")
    assert packages.file_that_hides("numpy", "numpy") == str(tmp_path / "numpy.py")
    assert packages.file_that_hides("pydantic", "pydantic") is None
    assert packages.file_that_hides("nowhere", "nowhere") is None


def test_an_address_that_it_was_installed_from_is_never_shown():
    assert packages._folder_of('{"url": "https://me:secret@host/x.whl"}') is None
    assert packages._folder_of('{"url": "file:///my%20work"}') == "/my work"
    assert packages._folder_of(None) is None
    assert packages._folder_of("{") is None


def test_a_crash_or_a_hang_takes_nothing_else_along(tmp_path, monkeypatch):
    bodies = {
        "fine": "print('{}'); __version__ = '1.2-x'",
        "dies": "import os, signal, sys; print('oh no', file=sys.stderr, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGSEGV)",
        "leaves": "import os; os._exit(3)",
        "exits": "raise SystemExit(4)",
        "tells": "raise OSError('rtsp://me:secret@host is not there')",
        "sleeps": "import time; time.sleep(600)",
        "needs": "import nothing_of_that_name",
    }
    for name, body in bodies.items():
        (tmp_path / f"{name}.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    names = ["dies", "fine", "leaves", "exits", "tells", "none", "needs", "sleeps", "fine"]
    found = run_tasks([{"do": "import", "module": name} for name in names], patience=10)
    assert [outcome.fate for outcome in found] == [
        "crashes", "works", "crashes", "fails", "fails", "missing", "fails", "hangs", "works",
    ]  # fmt: skip
    assert found[0].trouble == "it was ended by SIGSEGV (oh no)"
    assert found[1].facts["version"] == "1.2"
    assert "exit code 3" in found[2].trouble
    assert "secret" not in found[4].trouble
    assert "within 10 seconds" in found[7].trouble


class Black(NullBackend):
    """A network that computes nonsense."""

    def run(self, frames):
        return np.zeros_like(frames)


def test_a_runtime_that_computes_nonsense_does_not_work(monkeypatch):
    task = {"do": "run", "model": "null", "device": "cpu", "backend": "auto"}
    assert child.attempt(task)["facts"]["runs_on"] == "cpu"
    monkeypatch.setattr("streamderain.inference.create.create_backend", lambda *_: Black())
    assert "levels away" in child.attempt(task)["error"]


def test_the_shipped_networks_are_what_their_cards_describe():
    found = child.attempt({"do": "models"})["facts"]
    assert not any(found["files"].values())
    assert set(found["files"]) == {info.name for info in available_models()}
    assert found["cheapest"] in found["files"]


@pytest.mark.parametrize("damage", [None, b"damaged"])
def test_a_network_in_8_bits_that_is_damaged_or_lost_is_named(tmp_path, monkeypatch, damage):
    monkeypatch.setattr("streamderain.models.models_folder", lambda: tmp_path)
    for path in models_folder().iterdir():
        if not path.name.startswith("video-m.int8"):
            (tmp_path / path.name).symlink_to(path)
    if damage is not None:
        (tmp_path / "video-m.int8.onnx").write_bytes(damage)
    files = child.attempt({"do": "models"})["facts"]["files"]
    assert [name for name, trouble in files.items() if trouble] == ["video-m"]
    assert "video-m.int8.onnx" in files["video-m"]


@pytest.mark.parametrize("names", [packages.ONNX_RUNTIMES, packages.OPENCVS])
def test_any_package_that_brings_the_module_is_known(names):
    assert examine._package_of(names[0], {}) == names[0]
    for name in names:
        assert examine._package_of(names[0], {name: "1.0"}) == name
    assert examine._package_of("pyzmq", {names[0]: "1.0"}) == "pyzmq"
    assert set(names) <= set(packages.OWNERS)


def test_a_profile_tells_what_ran_where():
    pytest.importorskip("onnxruntime")
    frame = child._tiny(7)
    assert frame.shape == (1, child.HEIGHT, child.WIDTH, 7)
    assert child.share_on("CPUExecutionProvider", resolve_model(LIVE_MODEL), frame) == 1.0


def test_this_machine(capsys, monkeypatch):
    monkeypatch.setenv("MY_PASSWORD", "correct horse battery staple")
    code = main(["doctor", "--json"])
    said = capsys.readouterr().out
    assert "correct horse" not in said
    report = TypeAdapter(Report).validate_json(said)
    assert json.loads(said) == json.loads(json.dumps(asdict(report)))
    assert code == report.exit_code == (0 if report.ok else 1)
    snapshot = report.snapshot
    assert snapshot.packages["numpy"] == np.__version__
    assert all(library.fate == "works" for library in snapshot.libraries)
    assert not any(model.trouble for model in snapshot.models.files)
    assert [trial.model for trial in snapshot.defaults] == [VIDEO_MODEL, PICTURE_MODEL, LIVE_MODEL]
    text = report.as_text()
    for words in (snapshot.machine.cpu, VIDEO_MODEL, "ONNX Runtime", "FFmpeg"):
        assert words in text
    if snapshot.runtime("onnxruntime").fate == "works":
        assert report.ok
        assert all(trial.runtime for trial in snapshot.defaults)


BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name in {broken!r}:
            raise ImportError(name + " was made unimportable")
        if name in {missing!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)
sys.meta_path.insert(0, Blocker())
"""


def consult_without(folder, *, broken=(), missing=(), arguments=("streamderain", "doctor")):
    """Run the doctor where some modules can't be imported; return exit code and report."""
    (folder / "sitecustomize.py").write_text(BLOCKER.format(broken=broken, missing=missing))
    done = subprocess.run(
        [sys.executable, "-m", *arguments, "--json"],
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{os.pathsep.join(sys.path)}"},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, TypeAdapter(Report).validate_json(done.stdout)


def test_a_broken_onnxruntime_where_openvino_does_the_work(tmp_path):
    pytest.importorskip("openvino")
    code, report = consult_without(tmp_path, broken=("onnxruntime",), missing=("torch",))
    (found,) = (finding for finding in report.findings if finding.about.startswith("onnxruntime"))
    assert "was made unimportable" in found.text
    assert "--force-reinstall" in found.command
    assert (code, found.severity) == (0, "advice")
    assert all(trial.runtime.startswith("OpenVINO") for trial in report.snapshot.defaults)


def test_no_runtime_at_all(tmp_path):
    code, report = consult_without(tmp_path, missing=("onnxruntime", "torch", "openvino"))
    assert (code, report.ok) == (1, False)
    assert report.findings[0].severity == "problem"
    assert all(trial.fate == "fails" for trial in report.snapshot.defaults)
    assert report.snapshot.encoders  # the rest was looked at


@pytest.mark.parametrize("start", ["command", "module"])
def test_without_numpy_and_pyav(tmp_path, start):
    broken = ("numpy", "av") if start == "command" else ("numpy", "av", "pydantic", "typer")
    arguments = ("streamderain", "doctor") if start == "command" else ("streamderain.doctor",)
    missing = ("torch", "openvino")
    code, report = consult_without(tmp_path, broken=broken, missing=missing, arguments=arguments)
    assert code == 1
    blamed = {finding.about for finding in report.findings if finding.severity == "problem"}
    assert blamed == {name for name in broken if name != "typer"}
