"""A proxy on a port of its own that swallows replies: the service has answered, and the client never hears of it."""

import socket
import threading

TIMEOUT_SECONDS = 30
LONGEST_REQUEST = 1 << 20


class Proxy:
    """Forwards each request on a connection of its own; notes what was sent under which key."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.lock = threading.Lock()
        self.to_swallow = 0
        # (idempotency key, request line, body) of every attempt, in order.
        self.attempts = []
        self.swallowed = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self.listener.getsockname()[1]

    def swallow(self, replies):
        """Swallows the next replies, and forgets the attempts before."""
        with self.lock:
            self.to_swallow = replies
            self.attempts.clear()
            self.swallowed.clear()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        client.settimeout(TIMEOUT_SECONDS)
        with client:
            # A client that is done with its connection closes it.
            while (request := self.read_request(client)) is not None:
                reply = self.forward(request)
                with self.lock:
                    is_swallowed = self.to_swallow > 0
                    if is_swallowed:
                        self.to_swallow -= 1
                        self.swallowed.append(reply)
                if is_swallowed:
                    return
                client.sendall(reply)
                # The service has closed its side, and said so.
                return

    def read_request(self, client):
        received = b""
        while b"\r\n\r\n" not in received:
            part = client.recv(65536)
            if not part:
                return None
            received += part
            if len(received) > LONGEST_REQUEST:
                raise RuntimeError("the request is too long")
        head, body = received.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])}
        length = int(headers.get("content-length", "0"))
        while len(body) < length:
            part = client.recv(65536)
            if not part:
                return None
            body += part
        with self.lock:
            self.attempts.append((headers.get("idempotency-key"), lines[0], body))
        kept = [line for line in lines[1:] if line.split(":", 1)[0].lower() not in ("connection", "keep-alive")]
        return "\r\n".join([lines[0], *kept, "Connection: close", "", ""]).encode("latin-1") + body

    def forward(self, request):
        with socket.create_connection(self.upstream, timeout=TIMEOUT_SECONDS) as service:
            service.sendall(request)
            reply = b""
            while part := service.recv(65536):
                reply += part
            return reply
