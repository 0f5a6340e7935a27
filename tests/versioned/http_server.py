"""A plain server of files that takes PUT: PORT FOLDER PASSWORD, the user's name is `user`."""

import base64
import os
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

port, folder, password = int(sys.argv[1]), sys.argv[2], sys.argv[3]
wanted = "Basic " + base64.b64encode(f"user:{password}".encode()).decode()


class Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *args):
        super().__init__(*args, directory=folder)

    def allowed(self):
        if self.headers.get("Authorization") == wanted:
            return True
        self.send_error(401)
        return False

    def do_GET(self):
        if self.allowed():
            super().do_GET()

    def do_HEAD(self):
        if self.allowed():
            super().do_HEAD()

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while length := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(length))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def do_PUT(self):
        content = self.body()
        if not self.allowed():
            return
        path = self.translate_path(self.path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()


ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
