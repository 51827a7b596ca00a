"""The HTTP side of the service: routes, JSON answers, one log line per request, an orderly end on SIGTERM."""

import json
import re
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .addresses import InvalidAddress, parse_address
from .version import VERSION

MAX_BODY_BYTES = 64 * 1024
IDLE_SECONDS = 60
DRAIN_SECONDS = 5


class HttpError(Exception):
    def __init__(self, status, message, headers=()):
        super().__init__(message)
        self.status = status
        self.headers = headers


class Service(ThreadingHTTPServer):
    """Serves a store; `drain` ends it without cutting off a request."""

    request_queue_size = 128

    def __init__(self, port, store, log=sys.stdout):
        super().__init__(("0.0.0.0", port), Handler)
        self.store = store
        self.stopping = False
        self._log = log
        self._log_lock = threading.Lock()
        self._busy = 0
        self._idle = threading.Condition()

    def log(self, **fields):
        line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **fields})
        with self._log_lock:
            print(line, file=self._log, flush=True)

    def begin_request(self):
        with self._idle:
            self._busy += 1

    def end_request(self):
        with self._idle:
            self._busy -= 1
            self._idle.notify_all()

    def drain(self):
        """Stops listening, then waits for the requests under way."""
        self.stopping = True
        self.shutdown()
        self.server_close()
        with self._idle:
            self._idle.wait_for(lambda: self._busy == 0, timeout=DRAIN_SECONDS)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "address-service"
    sys_version = ""
    timeout = IDLE_SECONDS
    # Head and body leave in one packet: with two, delayed acknowledgements cost 40 ms a request.
    wbufsize = -1
    disable_nagle_algorithm = True

    def health(self):
        self.answer(200, {"status": "ok", "version": VERSION})

    def hello_world(self):
        self.answer(200, {"message": "Hello, world!"})

    def list_addresses(self):
        self.answer(200, self.server.store.all())

    def create_address(self):
        address = self.server.store.add(self.address_in_body())
        self.answer(201, address, [("Location", f"/addresses/{address['id']}")])

    def read_address(self, address_id):
        address = self.server.store.get(address_id)
        if address is None:
            raise HttpError(404, "no such address")
        self.answer(200, address)

    def delete_address(self, address_id):
        if not self.server.store.remove(address_id):
            raise HttpError(404, "no such address")
        self.answer(204)

    ROUTES = [
        (re.compile(r"/health"), {"GET": health}),
        (re.compile(r"/helloworld"), {"GET": hello_world}),
        (re.compile(r"/addresses"), {"GET": list_addresses, "POST": create_address}),
        (re.compile(r"/addresses/([^/]+)"), {"GET": read_address, "DELETE": delete_address}),
    ]

    def address_in_body(self):
        try:
            return parse_address(json.loads(self.body))
        except InvalidAddress as error:
            raise HttpError(400, str(error)) from error
        except (ValueError, RecursionError) as error:
            raise HttpError(400, "the body is not valid JSON") from error

    def handle_request(self):
        started = time.monotonic()
        self.status = 500
        self.server.begin_request()
        try:
            self.body = self.read_body()
            self.route()(self)
        except HttpError as error:
            self.answer(error.status, {"error": str(error)}, error.headers)
        except OSError:
            # The client went away; there is no one to answer.
            self.close_connection = True
        except Exception as error:
            self.log_error("%s", f"{type(error).__name__}: {error}")
            self.answer(500, {"error": "internal error"})
        finally:
            self.server.end_request()
            self.server.log(
                method=self.command,
                path=self.path.split("?")[0],
                status=self.status,
                milliseconds=round((time.monotonic() - started) * 1000, 1),
            )

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request

    def route(self):
        path = self.path.split("?")[0]
        for pattern, methods in self.ROUTES:
            match = pattern.fullmatch(path)
            if match:
                method = methods.get(self.command)
                if method is None:
                    raise HttpError(405, "method not allowed", [("Allow", ", ".join(sorted(methods)))])
                return lambda handler: method(handler, *match.groups())
        raise HttpError(404, "no such path")

    def read_body(self):
        """Always read in whole: what is left over would be taken for the connection's next request."""
        if self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            raise HttpError(411, "send a Content-Length")
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit()):
            self.close_connection = True
            raise HttpError(400, "the Content-Length is not a number")
        if int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            raise HttpError(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionError("the client went away")
        return body

    def answer(self, status, value=None, headers=()):
        self.status = status
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers:
            self.send_header(name, text)
        if status != 204:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection or self.server.stopping:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        # Before the request counts as done, so that a stopping service does not leave with the answer unsent.
        self.wfile.flush()

    def send_error(self, code, message=None, explain=None):
        """What http.server itself refuses, such as a malformed request line, is answered as JSON too."""
        self.close_connection = True
        self.answer(code, {"error": message or self.responses.get(code, ("error",))[0]})

    def log_request(self, code="-", size="-"):
        """handle_request logs, when the answer has left."""

    def log_message(self, format, *args):
        self.server.log(error=format % args)


def serve(port, store):
    """Serves until SIGTERM or SIGINT, then ends in order."""
    service = Service(port, store)

    def stop(*_):
        # shutdown waits for serve_forever, which runs in the thread that this handler interrupts.
        threading.Thread(target=service.drain, name="drain").start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    service.log(message="listening", port=service.server_port, version=VERSION)
    service.serve_forever(poll_interval=0.1)
