"""REST for cameras: list, add, change, remove, steer, and their pictures."""

from __future__ import annotations

import asyncio
import functools

from starlette.responses import Response

from streamderain.config import CameraConfig
from streamderain.service.mjpeg import MjpegResponse
from streamderain.service.operations import (
    Answer,
    Call,
    Operation,
    ServiceError,
    head_of,
    shown,
)
from streamderain.service.security import Access
from streamderain.service.shapes import (
    CameraDetail,
    CameraList,
    CameraView,
    ErrorView,
    SnapshotQuery,
    SteerRequest,
    StreamQuery,
    camera_detail,
    camera_view,
)
from streamderain.service.shots import STILL_QUALITY
from streamderain.service.viewers import Viewers

__all__ = ["camera_operations"]

TAG = "cameras"

SNAPSHOTS = 4
"""Single pictures that are made at the same time; further requests wait for their turn."""


class _Cameras:
    def __init__(self, viewers: Viewers) -> None:
        self._viewers = viewers
        self._turn = asyncio.Semaphore(SNAPSHOTS)

    async def list(self, call: Call) -> Response:
        return shown(CameraList(cameras=[camera_view(one) for one in call.control.cameras()]))

    async def get(self, call: Call) -> Response:
        return shown(camera_detail(call.control.camera(call.camera)))

    async def put(self, call: Call) -> Response:
        only_new = call.request.headers.get("if-none-match", "").strip() == "*"
        put = functools.partial(call.control.put, call.camera, call.body, only_new=only_new)
        is_new = await call.away(put)
        return shown(camera_view(call.control.camera(call.camera)), 201 if is_new else 200)

    async def delete(self, call: Call) -> Response:
        await call.away(call.control.remove, call.camera)
        return Response(status_code=204)

    async def steer(self, call: Call) -> Response:
        steer = functools.partial(
            call.control.steer, call.camera, paused=call.body.paused, mode=call.body.mode
        )
        await call.away(steer)
        return shown(camera_view(call.control.camera(call.camera)))

    async def snapshot(self, call: Call) -> Response:
        query: SnapshotQuery = call.query
        async with self._turn:
            pair = call.control.pair(call.camera)
            if pair is None:
                raise ServiceError(409, f"the camera {call.camera} has given no picture yet")
            try:
                shot = await self._viewers.shots.get(
                    call.camera, pair, query.view, query.width, query.format, STILL_QUALITY
                )
            except ValueError as problem:
                raise ServiceError(422, str(problem)) from None
        return Response(shot.data, media_type=f"image/{query.format}")

    async def stream(self, call: Call) -> Response:
        call.control.camera(call.camera)
        if self._viewers.is_full:
            raise ServiceError(503, "too many viewers watch already; close some")
        head = head_of(call.request)
        return MjpegResponse(
            self._viewers, call.camera, call.query,
            lambda: call.guard.refuse(head, Access.READ) is None,
        )  # fmt: skip


def camera_operations(viewers: Viewers) -> list[Operation]:
    """Return what can be asked of cameras and done to them."""
    cameras = _Cameras(viewers)
    one = "/api/v1/cameras/{id}"
    view = Answer("The camera.", CameraView)
    return [
        Operation(
            "GET", "/api/v1/cameras", Access.READ, cameras.list, "listCameras",
            "List all cameras.", TAG, {200: Answer("All cameras.", CameraList)},
        ),
        Operation(
            "GET", one, Access.READ, cameras.get, "getCamera",
            "A camera, with its last two minutes.", TAG, {200: Answer("The camera.", CameraDetail)},
        ),
        Operation(
            "PUT", one, Access.CHANGE, cameras.put, "putCamera",
            "Add a camera, or change one: it is started anew, the others go on untouched. The body "
            "has the camera's keys as in the configuration file; what it doesn't say is taken from "
            "the file's defaults. *** for user and password keeps those that are stored, for the "
            "same scheme, host and port alone. It holds until the process ends, the file isn't "
            "written to.",
            TAG,
            {
                200: Answer("The camera, changed.", CameraView),
                201: Answer("The camera, added.", CameraView),
                409: Answer("An output's address or folder can't be had.", ErrorView),
                412: Answer(
                    "There is such a camera already, and only a new one was wanted.", ErrorView
                ),
                422: Answer("Such a camera can't be.", ErrorView),
            },
            body=CameraConfig,
            headers={"If-None-Match": "* adds a camera, and leaves alone one that is there."},
        ),
        Operation(
            "DELETE", one, Access.CHANGE, cameras.delete, "deleteCamera",
            "Remove a camera; what is on its way is written first.", TAG,
            {204: Answer("It is removed.")},
        ),
        Operation(
            "POST", f"{one}/steer", Access.CHANGE, cameras.steer, "steerCamera",
            "Pause a camera or let it go on, and say when it is derained.", TAG, {200: view},
            body=SteerRequest,
        ),
        Operation(
            "GET", f"{one}/snapshot", Access.READ, cameras.snapshot, "getSnapshot",
            "The newest picture of a camera: before, after, or both side by side.", TAG,
            {
                200: Answer("The picture.", media=("image/jpeg", "image/png")),
                409: Answer("The camera has given no picture yet.", ErrorView),
            },
            query=SnapshotQuery,
        ),
        Operation(
            "GET", f"{one}/stream.mjpeg", Access.READ, cameras.stream, "getStream",
            "Moving pictures as Motion JPEG, for whatever shows an address as a picture; always "
            "the newest, as many as the viewer takes.", TAG,
            {
                200: Answer("Pictures without end.", media=("multipart/x-mixed-replace",)),
                503: Answer("There are too many viewers.", ErrorView),
            },
            query=StreamQuery,
        ),
    ]  # fmt: skip
