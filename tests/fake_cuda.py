"""ONNX Runtime as it behaves with a GPU, played on the CPU by the real one.

Sessions are real and say that CUDA runs them; memory of the GPU is the CPU's. What CUDA would take
amiss is checked: a recorded graph is replayed with the memory that it was recorded with.
"""

from types import SimpleNamespace

import numpy as np
import onnxruntime

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"


class FakeSession:
    """A session of the CPU that says it runs on a GPU."""

    def __init__(self, runtime, graph, options, providers):
        self._runtime, self.providers = runtime, providers
        self.enabled = dict(providers[0][1]).get("enable_cuda_graph") == "1"
        if self.enabled and runtime.refuses_graphs == "opening":
            raise RuntimeError("This session cannot use the graph capture feature")
        if runtime.refuses_half and isinstance(graph, bytes):
            raise RuntimeError("This is an invalid model")
        self._real = onnxruntime.InferenceSession(graph, options, providers=[CPU])
        self.graphs = {}
        self.get_inputs, self.get_outputs = self._real.get_inputs, self._real.get_outputs

    def get_providers(self):
        return [name for name, _ in self.providers if name in self._runtime.works]

    def get_provider_graph_assignment_info(self):
        where = CPU if self._runtime.leaves_to_cpu else CUDA
        node = SimpleNamespace(op_type="Conv")
        shape = SimpleNamespace(op_type="Shape")
        return [
            SimpleNamespace(ep_name=CPU, get_nodes=lambda: [shape]),
            SimpleNamespace(ep_name=where, get_nodes=lambda: [node]),
        ]

    def io_binding(self):
        return FakeBinding(self._real)

    def run_with_iobinding(self, binding, options):
        number = int(options.get_run_config_entry("gpu_graph_id"))
        self._runtime.runs.append((number, binding.shape))
        pixels = binding.shape[0] * binding.shape[1] * binding.shape[2]
        if pixels > (self._runtime.pixels if number == -1 else self._runtime.recorded_pixels):
            raise RuntimeError("[ONNXRuntimeError] : 6 : CUDA failure 2: out of memory ; GPU=0")
        if number != -1:
            assert self.enabled, "graphs are off in this session"
            if self._runtime.refuses_graphs == "recording":
                raise RuntimeError("CUDA failure 901: operation failed due to a previous error")
            assert self.graphs.setdefault(number, binding.places) == binding.places
        self._real.run_with_iobinding(binding.real, options)


class FakeBinding:
    """Binds memory, and knows where it is."""

    def __init__(self, session):
        self.real = session.io_binding()
        self.places, self.shape = (), ()

    def bind_ortvalue_input(self, name, value):
        self.shape = tuple(value.shape())
        self._bind(self.real.bind_ortvalue_input, name, value)

    def bind_ortvalue_output(self, name, value):
        self._bind(self.real.bind_ortvalue_output, name, value)

    def _bind(self, bind, name, value):
        self.places += (value.data_ptr(), tuple(value.shape()))
        bind(name, value._real)


class FakeValue:
    """Memory of the GPU."""

    made = 0

    def __init__(self, real):
        self._real = real
        for name in ("shape", "data_ptr", "update_inplace"):
            setattr(self, name, getattr(real, name))

    def numpy(self):
        return self._real.numpy().copy()

    @classmethod
    def ortvalue_from_shape_and_type(cls, shape, kind, device, number):
        assert (device, number) == ("cuda", 0)
        assert kind is np.uint8  # what goes up and down
        cls.made += 1
        return cls(onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, kind, "cpu", 0))


class FakeRuntime:
    """The module.

    Args:
        built_with: providers that it has.
        works: those that can be started.
        pixels: of a run that memory suffices for.
        refuses_graphs: ``opening`` or ``recording``, where CUDA graphs fail.
        recorded_pixels: of a recorded run that memory suffices for.
        refuses_half: graphs that were changed.
        leaves_to_cpu: convolutions.
    """

    __version__ = "1.32.0"
    OrtValue = FakeValue
    RunOptions = onnxruntime.RunOptions
    SessionOptions = onnxruntime.SessionOptions

    def __init__(
        self, built_with=(CUDA, CPU), works=(TENSORRT, CUDA, CPU), pixels=10**9,
        refuses_graphs=None, leaves_to_cpu=False, recorded_pixels=10**9, refuses_half=False,
    ):  # fmt: skip
        self.built_with, self.works, self.pixels = list(built_with), works, pixels
        self.refuses_graphs, self.leaves_to_cpu = refuses_graphs, leaves_to_cpu
        self.recorded_pixels, self.refuses_half = recorded_pixels, refuses_half
        self.runs, self.sessions = [], []

    def get_available_providers(self):
        return self.built_with

    def InferenceSession(self, graph, options, providers):  # noqa: N802
        if providers == [CPU]:
            return onnxruntime.InferenceSession(graph, options, providers=providers)
        self.sessions.append(FakeSession(self, graph, options, providers))
        return self.sessions[-1]

    def set_default_logger_severity(self, severity):
        pass

    def preload_dlls(self):
        print("Failed to load libcudnn.so")
        raise RuntimeError("no such folder")
