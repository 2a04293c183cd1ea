"""Which frames need the network at all: a decision a camera, with hysteresis. Pure."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GateConfig", "RainGate"]


@dataclass(frozen=True)
class GateConfig:
    """When rain begins and when it has ended.

    Attributes:
        wet: score from which on it rains, at once.
        dry: score below which it doesn't, once it has stayed there for ``hold`` frames.
        hold: frames; a pause between showers is no end.

    Raises:
        ValueError: the thresholds aren't 0 ≤ dry ≤ wet ≤ 1, or ``hold`` is below 1.
    """

    wet: float = 0.8
    dry: float = 0.4
    hold: int = 50

    def __post_init__(self) -> None:
        if not 0 <= self.dry <= self.wet <= 1:
            raise ValueError(
                f"the rain gate needs 0 <= dry <= wet <= 1, not dry {self.dry} and wet {self.wet}"
            )
        if self.hold < 1:
            raise ValueError("the rain gate holds for 1 frame or more")


class RainGate:
    """Decides frame by frame whether it rains before a camera.

    The first score decides alone; until there is one, a frame counts as rainy, so that no rain is
    let through unseen.
    """

    def __init__(self, config: GateConfig | None = None) -> None:
        self._config = config or GateConfig()
        self._rains: bool | None = None
        self._below = 0

    @property
    def rains(self) -> bool:
        """What was decided last."""
        return self._rains is not False

    def step(self, score: float | None) -> bool:
        """Return whether the next frame is to be derained.

        Args:
            score: 0 to 1 from :class:`~streamderain.inference.gauge.RainGauge`, or None where it
                could say nothing yet.
        """
        if score is None:
            return self.rains
        if self._rains is None:
            self._rains = score >= (self._config.wet + self._config.dry) / 2
        elif score >= self._config.wet:
            self._rains = True
        self._below = self._below + 1 if score < self._config.dry else 0
        if self._below >= self._config.hold:
            self._rains = False
        return self.rains
