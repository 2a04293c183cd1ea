"""``streamderain doctor`` judges made-up machines: what clashes, what is broken, what mends it."""

from dataclasses import replace

import pytest

from streamderain.defaults import LIVE_MODEL, PICTURE_MODEL, VIDEO_MODEL
from streamderain.doctor import packages
from streamderain.doctor.judge import can_work, judge
from streamderain.doctor.report import Report
from streamderain.doctor.snapshot import (
    Encoder,
    Gpu,
    Installation,
    Library,
    Machine,
    ModelFile,
    Models,
    Need,
    Snapshot,
    Trial,
)

OWN = [
    "av<19,>=18",
    "numpy>=2.1",
    "opencv-python-headless>=4.11",
    "onnxruntime>=1.22; extra == 'cpu'",
    "onnxruntime-gpu[cuda,cudnn]>=1.22; extra == 'cuda'",
    "openvino>=2025.2; extra == 'openvino'",
    "pytest>=8.4; extra == 'test'",
    "torch>=2.8; extra == 'torch'",
    "onnxruntime>=1.22; extra == 'torch'",
    "tomli; python_version < '3'",
]
NEEDS = tuple(
    packages.read_needs("streamderain", OWN, ["cpu", "cuda", "openvino", "test", "torch"])
)
CUDA_NEEDS = tuple(
    packages.read_needs(
        "onnxruntime-gpu",
        ["numpy>=1.21", "nvidia-cuda-runtime~=13.0; extra == 'cuda'",
         "nvidia-cudnn-cu13~=9.0; extra == 'cudnn'", "sympy; extra == 'symbolic'"],
        ["cuda", "cudnn", "symbolic"],
    )
)  # fmt: skip
CUDA_PARTS = {"nvidia-cuda-runtime": "13.1.4", "nvidia-cudnn-cu13": "9.2.0"}
CARD = (Gpu("RTX", "590.10", 8 << 30, "8.9"),)
ABI = "ImportError: A module that was compiled using NumPy 1.x cannot be run in NumPy 2.4"

LIBRARIES = tuple(
    Library(module, module, package, "works", "1")
    for module, package in (("numpy", "numpy"), ("av", "av"), ("cv2", "opencv-python-headless"))
)
ONNX = Library("ONNX Runtime", "onnxruntime", "onnxruntime", "works", "1.30")
OPENVINO = Library("OpenVINO", "openvino", "openvino", "works", "2026.1")
TORCH = Library("PyTorch", "torch", "torch")
DEFAULTS = tuple(
    Trial(model, "auto", "auto", uses, runs_on="cpu", runtime="OpenVINO 2026.1")
    for uses, model in (("clean", VIDEO_MODEL), ("pictures", PICTURE_MODEL), ("run", LIVE_MODEL))
)
TRIALS = (
    Trial("small", "onnx", "cpu", runs_on="cpu"),
    Trial("small", "openvino", "cpu", runs_on="cpu"),
)
HEALTHY = Snapshot(
    installation=Installation("1.0", "1.0", None, False, "streamderain", "3.12.1", "/venv/python"),
    machine=Machine("Linux x86_64", "A processor", cores=8, usable_cores=8),
    packages={
        "av": "18.1", "numpy": "2.4.0", "opencv-python-headless": "4.12.0", "openvino": "2026.1",
        "onnxruntime": "1.30",
    },
    needs=NEEDS,
    libraries=LIBRARIES,
    runtimes=(ONNX, OPENVINO, TORCH),
    trials=TRIALS + DEFAULTS,
    models=Models("/models", tuple(map(ModelFile, (VIDEO_MODEL, PICTURE_MODEL, LIVE_MODEL)))),
    encoders=(Encoder("h264", "libx264"),),
)  # fmt: skip


def with_packages(snapshot, **versions):
    """Install packages, names with underscores; None takes one away."""
    there = dict(snapshot.packages)
    for name, version in versions.items():
        there.pop(name.replace("_", "-"), None)
        if version:
            there[name.replace("_", "-")] = version
    return replace(snapshot, packages=there)


def with_library(snapshot, module, **changes):
    """Change a library or a runtime."""
    changed = {
        key: tuple(replace(lib, **changes) if lib.module == module else lib for lib in libraries)
        for key, libraries in (("libraries", snapshot.libraries), ("runtimes", snapshot.runtimes))
    }
    return replace(snapshot, **changed)


def with_machine(snapshot, **changes):
    return replace(snapshot, machine=replace(snapshot.machine, **changes))


def with_trials(snapshot, *trials, defaults=None):
    """Take the place of trials of the same backend and device; change what is taken by default."""
    kept = [
        trial
        for trial in snapshot.trials
        if (trial.backend, trial.device) not in {(new.backend, new.device) for new in trials}
    ]
    if defaults:
        kept = [replace(trial, **defaults) if trial.uses else trial for trial in kept]
    return replace(snapshot, trials=(*kept, *trials))


def on_gpu(snapshot=HEALTHY, *, parts=CUDA_PARTS, **trial):
    """Give it a GPU and ONNX Runtime for it, which fails there unless said otherwise."""
    snapshot = with_packages(
        snapshot, onnxruntime=None, onnxruntime_gpu="1.31",
        **{name.replace("-", "_"): version for name, version in parts.items()},
    )  # fmt: skip
    snapshot = with_library(snapshot, "onnxruntime", package="onnxruntime-gpu")
    snapshot = replace(with_machine(snapshot, gpus=CARD), needs=NEEDS + CUDA_NEEDS)
    tried = Trial("small", "onnx", "cuda", **({"fate": "fails", "trouble": "no"} | trial))
    return with_trials(snapshot, tried)


def only(snapshot):
    """Return the one finding."""
    (finding,) = judge(snapshot)
    return finding


def test_nothing_is_said_of_a_healthy_machine():
    assert judge(HEALTHY) == ()
    works = on_gpu(fate="works", runs_on="cuda", on_device=1.0)
    assert judge(with_trials(works, defaults={"runs_on": "cuda"})) == ()


def test_two_onnx_runtimes_overwrite_each_other():
    both = with_packages(HEALTHY, onnxruntime_gpu="1.31")
    found = only(both)
    assert found.severity == "advice"
    assert "onnxruntime and onnxruntime-gpu overwrite each other's files" in found.text
    assert found.command == (
        "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'streamderain[cpu]'"
    )
    found = only(with_packages(on_gpu(), onnxruntime="1.30"))
    assert found.severity == "problem"
    assert "doesn't use the GPU" in found.text
    assert found.command.endswith("&& pip install 'streamderain[cuda]'")
    fine = on_gpu(fate="works", runs_on="cuda")
    assert only(with_packages(fine, onnxruntime="1.30")).severity == "advice"
    broken = with_trials(both, defaults={"fate": "crashes"})
    assert only(broken).severity == "problem"


def test_two_opencvs_overwrite_each_other():
    both = with_packages(HEALTHY, opencv_python="4.12.0")
    found = only(both)
    assert found.severity == "advice"
    assert found.command == (
        "pip uninstall -y opencv-python-headless opencv-python && "
        "pip install 'opencv-python-headless>=4.11'"
    )
    broken = with_library(both, "cv2", fate="fails", trouble="ImportError: libGL.so.1")
    assert only(broken).severity == "problem"
    alone = with_packages(HEALTHY, opencv_python="4.12.0", opencv_python_headless=None)
    assert only(alone).severity == "note"
    alone = with_library(
        alone, "cv2", package="opencv-python", fate="fails", trouble="ImportError: libGL.so.1: no"
    )
    found = only(alone)
    assert (found.severity, "wants a desktop" in found.text) == ("problem", True)
    assert found.command == (
        "pip uninstall -y opencv-python && pip install 'opencv-python-headless>=4.11'"
    )


@pytest.mark.parametrize("parts", [{}, CUDA_PARTS | {"nvidia-cudnn-cu13": "8.9.7"}])
def test_onnxruntime_gpu_without_the_libraries_of_cuda(parts):
    found = only(on_gpu(parts=parts))
    assert found.severity == "problem"
    assert "nvidia-cudnn-cu13~=9.0" in found.text
    assert ("nvidia-cuda-runtime" in found.text) is (not parts)
    assert "sympy" not in found.text
    assert found.command == "pip install 'streamderain[cuda]'"
    # Where the system has them, nothing is missing.
    assert not judge(on_gpu(parts=parts, fate="works", runs_on="cuda"))


def test_a_driver_that_is_too_old_for_cuda():
    found = only(with_machine(on_gpu(), gpus=(replace(CARD[0], driver="535.183.01"),)))
    assert found.severity == "problem"
    assert "535.183.01 is too old" in found.text
    assert "580 or newer" in found.text


def test_cuda_that_does_not_start_although_all_is_there():
    found = only(on_gpu(fate="hangs", trouble="no answer within 120 seconds"))
    assert found.severity == "problem"
    assert "hangs on a network (no answer within 120 seconds)" in found.text
    # A session that fell back to the CPU doesn't count as one on CUDA.
    assert only(on_gpu(fate="works", runs_on="cpu")).severity == "problem"


def test_a_network_that_runs_on_the_gpu_in_part_only():
    found = only(on_gpu(fate="works", runs_on="cuda", on_device=0.25))
    assert found.severity == "advice"
    assert "75% of the network's convolutions stay on the CPU" in found.text


def test_a_gpu_that_nothing_uses():
    found = only(with_machine(HEALTHY, gpus=CARD))
    assert found.severity == "advice"
    assert found.command == "pip uninstall -y onnxruntime && pip install 'streamderain[cuda]'"
    hidden = only(with_machine(on_gpu(), cuda_hidden=True))
    assert (hidden.severity, hidden.command) == ("advice", "unset CUDA_VISIBLE_DEVICES")


def test_onnxruntime_gpu_without_a_gpu_takes_openvinos_place():
    found = only(with_machine(on_gpu(), gpus=()))
    assert found.severity == "advice"
    assert found.command == (
        "pip uninstall -y onnxruntime-gpu && pip install 'streamderain[cpu,openvino]'"
    )


def test_a_card_whose_driver_is_silent():
    found = only(with_machine(HEALTHY, nvidia_card=True))
    assert (found.severity, "--gpus all" in found.text) == ("note", True)
    found = only(with_machine(HEALTHY, nvidia_card=True, gpu_trouble="nvidia-smi fails: x"))
    assert (found.severity, "nvidia-smi fails: x" in found.text) == ("advice", True)


def test_a_machine_without_any_runtime():
    bare = with_packages(HEALTHY, onnxruntime=None, openvino=None)
    for module in ("onnxruntime", "openvino"):
        bare = with_library(bare, module, fate="missing")
    bare = replace(bare, trials=tuple(replace(trial, fate="fails") for trial in DEFAULTS))
    found = only(bare)
    assert found.severity == "problem"
    assert found.command == "pip install 'streamderain[cpu,openvino]'"
    assert only(with_machine(bare, gpus=CARD)).command == "pip install 'streamderain[cuda]'"
    torch = with_library(with_packages(bare, torch="2.9", safetensors="1"), "torch", fate="works")
    assert "--backend torch" in only(torch).text


def test_a_checkout_that_is_not_installed_installs_itself():
    bare = with_library(with_packages(HEALTHY, openvino=None), "openvino", fate="missing")
    here = replace(bare.installation, metadata_version=None, checkout="/my work", origin="/my work")
    advice, note = judge(replace(bare, installation=here))
    assert advice.command == "pip install -e '/my work[openvino]'"
    assert note.command == "pip install -e '/my work'"
    old = replace(HEALTHY.installation, metadata_version="0.9")
    assert "0.9" in only(replace(HEALTHY, installation=old)).text


@pytest.mark.parametrize("fate", ["fails", "crashes", "hangs", "missing"])
def test_a_broken_runtime_is_a_problem_only_where_nothing_else_works(fate):
    broken = with_library(HEALTHY, "openvino", fate=fate, trouble="SIGSEGV")
    found = only(broken)
    assert (found.severity, found.about) == ("advice", "openvino")
    assert found.text.endswith("The others do the work.")
    assert found.command == "pip install --force-reinstall --no-deps 'openvino>=2025.2'"
    found = only(with_trials(broken, defaults={"fate": fate}))
    assert found.severity == "problem"
    assert found.text.endswith("without it: pip uninstall -y openvino")


def test_a_runtime_that_loads_but_runs_nothing():
    trial = Trial("small", "openvino", "cpu", fate="fails", trouble="a picture came back grey")
    found = only(with_trials(HEALTHY, trial))
    assert (found.severity, "a picture came back grey" in found.text) == ("advice", True)
    found = only(with_trials(HEALTHY, trial, defaults={"fate": "fails"}))
    assert found.severity == "problem"


def test_weights_that_do_not_fit_the_code_are_not_pytorchs_fault():
    torch = with_packages(HEALTHY, torch="2.9", safetensors="1")
    torch = with_library(torch, "torch", fate="works")
    unfit = Trial("small", "torch", "cpu", fate="fails", trouble="small.safetensors doesn't fit")
    found = only(with_trials(torch, unfit))
    assert (found.severity, "don't belong together" in found.text) == ("advice", True)
    assert found.command == "pip install --force-reinstall --no-deps streamderain"


def test_defaults_that_fail_without_a_reason_are_not_passed_over():
    found = judge(with_trials(HEALTHY, defaults={"fate": "fails", "trouble": "who knows"}))
    assert len(found) == 3
    assert all(finding.severity == "problem" for finding in found)
    assert "who knows" in found[0].text


def test_pytorch_for_cuda_without_a_gpu_only_takes_room():
    torch = with_packages(HEALTHY, torch="2.9", safetensors="1")
    torch = with_library(
        torch, "torch", fate="works", details=("built for CUDA 12.8", "finds no GPU")
    )
    assert only(torch).severity == "note"


def test_libraries_that_are_missing_or_broken():
    found = only(with_library(with_packages(HEALTHY, av=None), "av", fate="missing"))
    assert (found.severity, found.command) == ("problem", "pip install 'av<19,>=18'")
    found = only(with_library(HEALTHY, "av", fate="missing"))
    assert "its files are gone" in found.text
    assert found.command == "pip install --force-reinstall --no-deps 'av<19,>=18'"
    found = only(with_library(HEALTHY, "av", fate="fails", hidden_by="/here/av.py"))
    assert "/here/av.py is imported instead" in found.text
    found = only(with_library(HEALTHY, "numpy", fate="crashes", trouble="ended by SIGILL"))
    assert "instructions that this processor lacks" in found.text
    assert found.command.endswith("--no-binary numpy 'numpy>=2.1'")


def test_a_broken_numpy_is_the_only_thing_that_is_blamed_for_itself():
    broken = HEALTHY
    for module in ("numpy", "cv2", "onnxruntime", "openvino"):
        broken = with_library(broken, module, fate="fails", trouble="ImportError: numpy")
    broken = replace(broken, trials=tuple(replace(trial, fate="fails") for trial in broken.trials))
    assert only(broken).about == "numpy"


def test_a_library_that_was_built_for_another_numpy():
    found = only(with_library(HEALTHY, "cv2", fate="fails", trouble=ABI))
    assert "built for another NumPy than 2.4.0" in found.text
    assert found.command == "pip install --upgrade opencv-python-headless 'numpy>=2.1'"


def test_a_numpy_that_another_package_does_not_want():
    asked = (*NEEDS, Need("openvino", "numpy", "<2.3,>=1.16"))
    found = only(replace(HEALTHY, needs=asked))
    assert found.severity == "advice"
    assert "NumPy 2.4.0 is installed, but openvino needs numpy<2.3,>=1.16" in found.text
    assert found.command == "pip install 'numpy>=2.1,<2.3,>=1.16'"
    broken = with_library(replace(HEALTHY, needs=asked), "openvino", fate="fails")
    assert judge(broken)[0].severity == "problem"


def test_packages_that_no_numpy_suits():
    asked = (*NEEDS, Need("openvino", "numpy", "<2"))
    found = only(replace(HEALTHY, needs=asked))
    assert "no version is right for all" in found.text
    assert found.command == "pip install --upgrade openvino 'numpy>=2.1'"
    found = only(with_packages(replace(HEALTHY, needs=asked), numpy="1.26.4"))
    assert found.severity == "problem"
    assert "streamderain needs numpy>=2.1" in found.text


def test_versions_outside_the_range_of_the_metadata():
    found = only(with_packages(HEALTHY, av="17.0.1"))
    assert found.severity == "problem"
    assert found.text == "av 17.0.1 is installed; streamderain is made for av<19,>=18."
    assert found.command == "pip install 'av<19,>=18'"
    assert only(with_packages(HEALTHY, onnxruntime="1.19.2")).severity == "advice"
    assert only(with_packages(HEALTHY, pytest="7.0")).severity == "note"
    assert only(replace(HEALTHY, ranges_known=False, needs=())).about == "packaging"


def test_a_package_that_an_update_left_twice():
    found = only(replace(HEALTHY, doubled={"numpy": ("1.26", "2.4"), "other": ("1", "2")}))
    assert found.command == (
        "pip uninstall -y numpy && pip uninstall -y numpy && pip install 'numpy>=2.1'"
    )


def test_networks_that_are_not_as_they_were_shipped():
    files = (*HEALTHY.models.files[:2], ModelFile(LIVE_MODEL, f"{LIVE_MODEL}.onnx is not the file"))
    wrong = replace(HEALTHY, models=Models("/models", files))
    found = only(wrong)
    assert (found.severity, f"{LIVE_MODEL}.onnx is not the file" in found.text) == ("problem", True)
    assert found.command == "pip install --force-reinstall --no-deps streamderain"
    here = replace(HEALTHY.installation, checkout="/work", git=True)
    found = only(replace(wrong, installation=here))
    assert found.command == f"git -C /work checkout -- 'models/{LIVE_MODEL}.*'"
    other = Models("/models", (*HEALTHY.models.files, ModelFile("other", "is gone")))
    assert only(replace(HEALTHY, models=other)).severity == "advice"
    assert only(replace(HEALTHY, models=Models("/models"))).severity == "problem"
    assert only(replace(HEALTHY, models=Models("", trouble="why"))).severity == "problem"


def test_videos_that_nothing_can_write():
    broken = Encoder("h264", "", fate="missing", trouble="FFmpeg has no encoder for it")
    found = only(replace(HEALTHY, encoders=(broken,)))
    assert found.severity == "problem"
    assert found.command.endswith("--no-deps --only-binary av 'av<19,>=18'")
    assert only(replace(HEALTHY, encoders=(replace(broken, codec="av1"),))).severity == "note"
    gpu = Encoder("h264", "h264_nvenc", hardware=True, fate="fails", trouble="no")
    assert only(replace(HEALTHY, encoders=(gpu, *HEALTHY.encoders))).severity == "note"


@pytest.mark.parametrize(("limit", "cores"), [(0.5, "0"), (1, "0"), (2.5, "0-1")])
def test_a_container_that_sees_more_cores_than_it_may_use(limit, cores):
    found = only(with_machine(HEALTHY, cpu_limit=limit))
    assert (found.severity, found.command) == (
        "advice", f"taskset -c {cores} streamderain run CONFIG",
    )  # fmt: skip
    assert not judge(with_machine(HEALTHY, cpu_limit=8.0))


def test_the_worst_comes_first_and_decides():
    broken = with_library(
        with_machine(HEALTHY, nvidia_card=True, cpu_limit=1.0), "av", fate="fails"
    )
    severities = [finding.severity for finding in judge(broken)]
    assert severities == ["problem", "advice", "note"]
    assert not can_work(judge(broken))
    assert Report.of(broken).exit_code == 1
    assert Report.of(with_machine(HEALTHY, cpu_limit=1.0)).exit_code == 0


def test_the_text_keeps_brackets_and_leaves_commands_in_one_line(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    said = Report.of(on_gpu(parts={})).as_text()
    lines = said.splitlines()
    assert "      pip install 'streamderain[cuda]'" in lines
    assert "…" not in said
    assert max(len(line) for line in lines if not line.startswith("      ")) <= 60
    assert said.index("This has to be mended first:") < said.index("by default")
    assert "RTX, 8.0 GiB, compute capability 8.9, driver 590.10" in " ".join(said.split())
    bare = replace(HEALTHY, libraries=(), runtimes=(), trials=(), encoders=(), models=Models(""))
    assert "none that works" in Report.of(bare).as_text()
