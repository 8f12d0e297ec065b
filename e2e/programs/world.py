# A TLS server of the world outside, for tests: greets at /, and serves a folder. Prints its port, and ends with its standard input.
# Usage: world.py ADDRESS CERTIFICATE KEY FOLDER
import functools
import http.server
import os
import ssl
import sys
import threading


class World(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path != "/":
            return super().do_GET()
        body = f"hello {self.headers['Host'].partition(':')[0]}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


address, certificate, key, folder = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server = http.server.ThreadingHTTPServer((address, 0), functools.partial(World, directory=folder))
# The handshake in the thread of its connection: whoever says nothing keeps nobody waiting.
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_port, flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
server.serve_forever()
