"""What is known of an unfinished job, kept in the store beside its target."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from streamderain.errors import StreamderainError
from streamderain.segments.manifest import OURS, Manifest, StateFolder
from streamderain.segments.work import SegmentResult, file_digest
from streamderain.storage.address import RemotePath
from streamderain.storage.claim import Claim
from streamderain.storage.copies import check_room
from streamderain.storage.errors import explain
from streamderain.storage.files import Store

__all__ = ["StoredState"]

DELIVERING = "delivering.json"
"""Size and SHA-256 of the target, written before that: so one that is there is known for ours."""


class StoredState(StateFolder):
    """The folder of an unfinished job in a store, with a copy of it on this machine.

    Args:
        place: of the target.
        local: where the target is made on this machine, in a folder that is ours alone.
        overwrite: replace a target that exists.
        claim: on the target.

    Attributes:
        address: of the folder in the store.
        was_delivered: the target is in the store.
    """

    def __init__(
        self, place: RemotePath, local: Path, *, overwrite: bool, claim: Claim | None = None
    ) -> None:
        super().__init__(local)
        self.address = place.with_name(f"{place.name}.streamderain")
        self.was_delivered = False
        self._place, self._overwrite = place, overwrite
        self._store = Store(place)
        self._claim = claim or Claim(self.address / "lock", place)
        self._kept: set[str] = set()  # names of files that the store has

    @property
    def begun(self) -> bool:  # noqa: D102 - see above
        return self._store.info(self.address / "manifest.json") is not None

    @property
    def is_empty(self) -> bool:  # noqa: D102
        try:
            return not set(self._names()) - {"lock"}
        except StreamderainError:  # who can't look leaves it
            return False

    def lock(self) -> None:
        """Claim the target; harmless twice.

        Raises:
            OutputError: another process works on it, or the store can't be written.
            InputError: the store can't be read.
        """
        self.path.mkdir(exist_ok=True)
        if not self._claim.taken:
            self._claim.take()

    def unlock(self) -> None:  # noqa: D102
        if self._claim.taken:
            self._claim.release()
            self._store.remove_folder(self.address)

    def load(self) -> Manifest | None:  # noqa: D102
        content = self._store.read(self.address / "manifest.json")
        if content is None:
            return None
        self.manifest_path.write_bytes(content)
        return super().load()

    def save(self, manifest: Manifest) -> None:
        """Write the manifest, and before it what it says is done.

        Raises:
            OutputError: another process has taken the target, or the store can't be written.
            InputError: the store can't be read.
        """
        self._claim.check()
        for number in sorted(manifest.done):
            for path in (self.piece(number), self.account(number)):
                if path.name not in self._kept:
                    self._store.deliver(path, self.address / path.name, overwrite=True)
                    self._kept.add(path.name)
        super().save(manifest)
        self._store.write(self.address / "manifest.json", self.manifest_path.read_bytes())

    def trusted(self, number: int, account_sha256: str) -> SegmentResult | None:
        """Return the account of a segment, fetched where it isn't here; None for a bad one.

        Raises:
            InputError: the store can't be read.
            OutputError: there is no room here.
        """
        paths = self.account(number), self.piece(number)
        for path in paths:
            self._fetch(path)
        found = super().trusted(number, account_sha256)
        if found is None:  # once more from the beginning, by whoever cleans it
            for path in paths:
                path.unlink(missing_ok=True)
                self._kept.discard(path.name)
        return found

    def deliver(self) -> None:
        """Put the target into the store.

        Raises:
            OutputError: it exists, another process has taken it, or the store can't be written.
            InputError: the store can't be read.
        """
        self._claim.check()
        replace = self._overwrite or self._is_ours()
        if not replace and self._store.info(self._place) is not None:
            raise explain(FileExistsError(), self._place, writing=True)
        size, digest = file_digest(self._target)
        said = json.dumps({"bytes": size, "sha256": digest}).encode()
        self._store.write(self.address / DELIVERING, said)
        self._store.deliver(self._target, self._place, overwrite=replace)
        self.was_delivered = True

    def deliver_whole(self) -> None:
        """Put the target of a job without segments into the store.

        Raises:
            OutputError, InputError: as :meth:`deliver`.
        """
        self._claim.check()
        self._store.deliver(self._target, self._place, overwrite=self._overwrite)
        self.was_delivered = True

    def clear(self, *, leftovers: bool = False) -> None:
        """Remove what we have put into the folder, here and, as long as it is ours, in the store.

        Raises:
            OutputError: the store doesn't allow it.
        """
        super().clear(leftovers=leftovers)
        if not self._claim.is_ours():  # what is there now is of whoever has taken it
            return
        for name in sorted(self._names(), key=lambda name: name != "manifest.json"):
            if OURS.fullmatch(name) and (not leftovers or name.startswith(".")):
                self._store.remove(self.address / name)
                self._kept.discard(name)

    def _names(self) -> list[str]:
        found = self._store.below(self.address)
        return [place.name for place in found if place.parent == self.address]

    def _fetch(self, path: Path) -> None:
        if path.exists():
            return
        place = self.address / path.name
        info = self._store.info(place)
        if info is not None:
            check_room(self.path, info.bytes or 0, place)
            self._store.fetch(place, path)
            self._kept.add(path.name)

    def _is_ours(self) -> bool:
        """Say whether the target that is there is that of this job, whose process was killed."""
        said, found = self._store.read(self.address / DELIVERING), self._store.info(self._place)
        if said is None or found is None:
            return False
        with suppress(ValueError, TypeError, KeyError):
            wanted = json.loads(said)
            if found.bytes in (None, wanted["bytes"]):
                copy = self.path / "copy"
                check_room(self.path, found.bytes or 0, self._place)
                self._store.fetch(self._place, copy)
                digest = file_digest(copy)
                copy.unlink()
                return digest == (wanted["bytes"], wanted["sha256"])
        return False
