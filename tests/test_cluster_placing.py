"""How much of a cluster a worker takes, and which workers will do."""

import pytest

from streamderain.cluster.placing import Introduction, Need, misfit, need_of, room
from streamderain.errors import ClusterError
from streamderain.report import ModelReport


def node(cpus, gpus=0.0, *, alive=True):
    return {"Alive": alive, "Resources": {"CPU": cpus, "GPU": gpus}}


def test_a_worker_takes_two_cores_or_what_the_largest_node_has():
    assert need_of([node(8), node(1)], None, None, "auto") == Need(2)
    assert need_of([node(1), node(16, alive=False)], None, None, "cpu") == Need(1)
    assert need_of([node(8)], 4, None, "cpu") == Need(4)


def test_a_worker_on_a_gpu_takes_a_quarter_of_it():
    assert need_of([node(8, 1)], None, None, "cuda") == Need(2, 0.25)
    assert need_of([node(8, 1)], None, 1, "cuda") == Need(2, 1)
    assert need_of([node(8, 1)], None, None, "auto") == Need(2, 0)


@pytest.mark.parametrize(
    ("nodes", "available", "need", "count"),
    [
        ([node(4), node(5)], {"CPU": 9.0}, Need(2), 4),
        ([node(4), node(4)], {"CPU": 3.0}, Need(2), 1),
        ([node(4), node(4, alive=False)], {"CPU": 4.0}, Need(1), 4),
        ([node(64, 2)], {"CPU": 64.0, "GPU": 2.0}, Need(2, 0.25), 8),
        ([node(64, 2)], {"CPU": 64.0, "GPU": 0.3}, Need(2, 0.1), 3),
        ([node(4)], {}, Need(2), 1),
    ],
)
def test_as_many_workers_are_asked_for_as_have_room(nodes, available, need, count):
    assert room(nodes, available, need) == count


def test_a_worker_that_no_node_has_room_for_is_refused_with_a_way_out():
    with pytest.raises(ClusterError, match="no node of the cluster has 4 CPUs for a worker, the "):
        room([node(2), node(3)], {"CPU": 5.0}, Need(4))
    with pytest.raises(ClusterError, match=r"has 2 CPUs and 0\.5 GPUs for a worker"):
        room([node(8)], {"CPU": 8.0}, Need(2, 0.5))


HERE = {"streamderain": "1", "av": "18", "ffmpeg": "8", "numpy": "2"}


def worker(name="10.0.0.3", versions=HERE, **model):
    report = {"name": "video-s", "sha256": "a" * 64, "device": "cpu", "runtime": "openvino 1"}
    return Introduction(
        node=name, node_id=name, versions=versions, inputs=7, model=ModelReport(**(report | model))
    )


def test_workers_that_are_alike_take_part():
    assert misfit(worker(), HERE, None) is None
    assert misfit(worker("10.0.0.4", notes=["a note"]), HERE, worker()) is None


def test_a_worker_with_another_version_is_refused():
    said = misfit(worker(versions=HERE | {"av": "17"}), HERE, None)
    assert said == ("node 10.0.0.3 has av 17, and this machine 18; install the same on all nodes")
    without = {name: version for name, version in HERE.items() if name != "numpy"}
    assert "has numpy not at all" in misfit(worker(versions=without), HERE, None)


def test_a_worker_with_another_network_is_refused():
    said = misfit(worker("10.0.0.4", sha256="b" * 64), HERE, worker())
    assert "node 10.0.0.4 has another file of the model video-s than node 10.0.0.3" in said
    said = misfit(worker("10.0.0.4", runtime="onnxruntime 1"), HERE, worker())
    assert "onnxruntime 1 on cpu for the model, and node 10.0.0.3 openvino 1 on cpu" in said
