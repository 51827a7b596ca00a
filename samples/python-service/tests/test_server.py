import http.client
import io
import json
import threading
import unittest

from app.addresses import AddressStore
from app.server import MAX_BODY_BYTES, Service
from app.version import VERSION

from .test_addresses import ADA


class Server(unittest.TestCase):
    def setUp(self):
        self.log = io.StringIO()
        self.service = Service(0, AddressStore(), self.log)
        thread = threading.Thread(target=self.service.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.addCleanup(thread.join)
        self.connection = http.client.HTTPConnection("127.0.0.1", self.service.server_port, timeout=5)
        self.addCleanup(self.connection.close)
        self.addCleanup(self.service.drain)

    def send(self, method, path, body=None, headers=None):
        """All of a test's requests go over one connection, so a wrong length shows in the next answer."""
        self.connection.request(method, path, body, headers or {})
        response = self.connection.getresponse()
        content = response.read()
        return response, json.loads(content) if content else None

    def test_an_address_through_its_life(self):
        response, ada = self.send("POST", "/addresses", json.dumps(ADA))
        self.assertEqual((response.status, ada), (201, {"id": ada["id"], **ADA}))
        place = response.headers["Location"]
        self.assertEqual(place, f"/addresses/{ada['id']}")
        self.assertEqual(self.send("GET", place)[1], ada)
        self.assertEqual(self.send("GET", "/addresses")[1], [ada])
        response, nothing = self.send("DELETE", place)
        self.assertEqual((response.status, nothing), (204, None))
        self.assertEqual(self.send("GET", place)[0].status, 404)
        self.assertEqual(self.send("DELETE", place)[0].status, 404)
        self.assertEqual(self.send("GET", "/addresses")[1], [])

    def test_says_how_it_is(self):
        self.assertEqual(self.send("GET", "/health?from=probe")[1], {"status": "ok", "version": VERSION})
        self.assertEqual(self.send("GET", "/helloworld")[1], {"message": "Hello, world!"})

    def test_refuses_what_it_cannot_take(self):
        cases = [
            ("POST", "/addresses", "{", {}, 400, "the body is not valid JSON"),
            ("POST", "/addresses", "[" * 50_000, {}, 400, "the body is not valid JSON"),
            ("POST", "/addresses", b"\xff", {}, 400, "the body is not valid JSON"),
            ("POST", "/addresses", "{}", {}, 400, "name must be a text that is not empty"),
            ("GET", "/nowhere", None, {}, 404, "no such path"),
            ("PUT", "/addresses", "{}", {}, 405, "method not allowed"),
            ("GET", "/addresses/none", None, {}, 404, "no such address"),
            ("POST", "/addresses", None, {"Content-Length": str(MAX_BODY_BYTES + 1)}, 413, "the body is larger than 65536 bytes"),
            ("POST", "/addresses", None, {"Transfer-Encoding": "chunked"}, 411, "send a Content-Length"),
        ]
        for method, path, body, headers, status, message in cases:
            with self.subTest(f"{method} {path} {message}"):
                response, answer = self.send(method, path, body, headers)
                self.assertEqual((response.status, answer), (status, {"error": message}))

    def test_says_which_methods_there_are(self):
        self.assertEqual(self.send("PUT", "/addresses")[0].headers["Allow"], "GET, POST")

    def test_logs_one_line_a_request_without_bodies_and_queries(self):
        self.send("POST", "/addresses?token=s3cret", json.dumps(ADA))
        self.service.drain()
        line = json.loads(self.log.getvalue())
        self.assertEqual((line["method"], line["path"], line["status"]), ("POST", "/addresses", 201))
        self.assertNotIn("Ada", self.log.getvalue())
        self.assertNotIn("s3cret", self.log.getvalue())


if __name__ == "__main__":
    unittest.main()
