"""Large uploads: who may send one, and where it lies meanwhile (below PORTAL_VAR, never in memory).

Django spools a body to the system's directory of temporary files, which may be small or in memory; here it does not.
"""

import io
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import RequestAborted
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, TemporaryFileUploadHandler
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.db import connections
from django.http import HttpRequest, HttpResponse

from ops_portal.body_limit import Limit
from ops_portal.lib.supervisor import LEAST_FREE_BYTES

LARGE = {  # POST to exactly this path -> most bytes
    "/load-tests/import": 2_000_000_000 + 1024 * 1024,
    "/api/v1/load-tests": 2_000_000_000 + 1024 * 1024,
}
_CERTIFICATES = re.compile(r"/certificates/[a-z0-9-]{1,63}/upload")  # a bundle of 20 MB with its form around it


def directory() -> Path:
    """Where uploads lie while they arrive."""
    found = Path(settings.PORTAL_VAR) / "uploads"
    found.mkdir(mode=0o700, parents=True, exist_ok=True)
    return found


async def larger_limit(scope: Mapping[str, Any]) -> Limit | None:
    """The limit of this request's body where it is an upload by somebody who may bring files in; None for all others.

    Where the disk has less room than the rule allows, the room is the limit.
    """
    limit = _limit_of(str(scope.get("path", ""))) if scope.get("method") == "POST" else None
    if limit is None or not await sync_to_async(_may_upload)(scope):
        return None
    room = _room()
    return Limit(room, disk=True) if room < limit else Limit(limit)


def _room() -> int:
    """Bytes of the largest body that fits: it lies there twice, as it came and as its files, and the rest must go on."""
    return max(0, (shutil.disk_usage(directory()).free - LEAST_FREE_BYTES) // 2)


def _limit_of(path: str) -> int | None:
    return 21 * 1024 * 1024 if _CERTIFICATES.fullmatch(path) else LARGE.get(path)


def _may_upload(scope: Mapping[str, Any]) -> bool:
    from accounts.callers import identify  # the apps are loaded by now
    from accounts.policies import may
    from accounts.roles import Right

    request = ASGIRequest(dict(scope), io.BytesIO())
    try:
        SessionMiddleware(_nothing).process_request(request)
        AuthenticationMiddleware(_nothing).process_request(request)
        identify(request)
        return may(request.user, Right.INGEST)
    finally:
        connections.close_all()


def _nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


class Handler(ASGIHandler):
    """Django's handler with bodies spooled below PORTAL_VAR."""

    async def read_body(self, receive: Any) -> Any:
        """The whole body, in memory up to a size, else on disk. Raises RequestAborted when the sender goes away."""
        body = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - Django closes it
            max_size=settings.FILE_UPLOAD_MAX_MEMORY_SIZE, mode="w+b", dir=str(directory())
        )
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise RequestAborted
                body.write(message.get("body", b""))
                if not message.get("more_body", False):
                    body.seek(0)
                    return body
        except BaseException:
            body.close()
            raise


class KeptUpload(TemporaryUploadedFile):
    """A file of a form on the file system of the portal's data, so that it can be moved to its place."""

    def __init__(self, name: str, content_type: str, size: int, charset: str, extra: dict[str, bytes] | None) -> None:
        file = tempfile.NamedTemporaryFile(suffix=".upload", dir=directory())  # noqa: SIM115 - closed with the request
        UploadedFile.__init__(self, file, name, content_type, size, charset, extra)


class KeptUploadHandler(TemporaryFileUploadHandler):
    """What is too large for memory becomes a `KeptUpload`."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        FileUploadHandler.new_file(self, *args, **kwargs)
        self.file = KeptUpload(
            self.file_name or "", self.content_type or "", 0, self.charset or "", self.content_type_extra
        )
