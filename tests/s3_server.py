"""An S3 API on loopback, atomic under concurrency: moto's server behind one lock.

Run as a process of its own: ``python tests/s3_server.py PORT``. The lock is needed because moto
checks a condition and puts the object in two steps; with it ``If-Match`` holds as it does on S3.
"""

import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple

lock = threading.Lock()
moto = DomainDispatcherApplication(create_backend_app)


def one_at_a_time(environ: dict[str, Any], respond: Callable[..., Any]) -> Iterable[bytes]:
    # Only the condition and the change are one step: bodies travel outside the lock.
    with lock:
        return list(moto(environ, respond))


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: Any) -> None: ...


if __name__ == "__main__":
    run_simple("127.0.0.1", int(sys.argv[1]), one_at_a_time, threaded=True, request_handler=Quiet)
