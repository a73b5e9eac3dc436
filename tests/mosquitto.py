"""A real Mosquitto on a free loopback port, with passwords, TLS and limits as a test wants them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import threading
import time
import zlib
from base64 import b64encode
from collections import Counter
from pathlib import Path
from typing import Any, Self

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.ports import free_port

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class Mosquitto:
    """Started by `with`; `extra` are lines of its configuration, `listener` lines of the listener."""

    def __init__(self, directory: Path, *, extra: str = "allow_anonymous true", listener: str = "") -> None:
        self.port = free_port()
        self._config = directory / f"mosquitto-{self.port}.conf"
        self._config.write_text(
            f"user {pwd.getpwuid(os.getuid()).pw_name}\nlistener {self.port} 127.0.0.1\n{listener}\n"
            f"persistence false\nmax_queued_messages 0\nmax_inflight_messages 0\n{extra}\n",
            encoding="utf-8",
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        assert MOSQUITTO, "mosquitto is not installed: sudo apt-get install mosquitto"
        self._process = subprocess.Popen([MOSQUITTO, "-c", str(self._config)], stderr=subprocess.DEVNULL)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.02)
        raise AssertionError("mosquitto did not start")

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


class Subscriber:
    """What a platform behind the broker receives; reconnects by itself."""

    def __init__(self, port: int, *, topic: str = "qushui/#", **options: Any) -> None:
        self.rounds: list[tuple[float, dict[str, Any]]] = []  # moment of receipt, round
        self.states: list[dict[str, Any]] = []
        self.heads: list[dict[str, Any]] = []
        self.payloads: list[bytes] = []
        self.content_types: set[str | None] = set()
        self.ready = threading.Event()
        self._topic = topic
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        if "username" in options:
            self._client.username_pw_set(options["username"], options["password"])
        if "tls" in options:
            self._client.tls_set_context(options["tls"])
        self._client.on_connect = lambda client, *_: client.subscribe(self._topic, qos=1)
        self._client.on_subscribe = lambda *_: self.ready.set()
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(0.05, 0.1)
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()

    def __enter__(self) -> Self:
        assert self.ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: Client, _userdata: Any, message: Any) -> None:
        if message.topic.endswith("/state"):
            self.states.append(json.loads(message.payload))
            return
        if message.topic.endswith("/head"):
            self.heads.append(json.loads(message.payload))
            return
        self.payloads.append(message.payload)
        self.content_types.add(getattr(message.properties, "ContentType", None))
        data = message.payload if message.payload[:1] == b"[" else zlib.decompress(message.payload)
        now = time.monotonic()
        self.rounds.extend((now, each) for each in json.loads(data))

    def ids(self) -> Counter[str]:
        return Counter(each["id"] for _, each in self.rounds)


def make_passwords(file: Path, **users: str) -> None:
    """A password file with these users, as `mosquitto_passwd` writes it: PBKDF2 with SHA-512."""
    salt, iterations = b"0123456789ab", 101
    lines = []
    for name, password in users.items():
        digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations)
        lines.append(f"{name}:$7${iterations}${b64encode(salt).decode()}${b64encode(digest).decode()}\n")
    file.write_text("".join(lines), encoding="ascii")


def make_certificates(directory: Path) -> None:
    """`ca.pem`, and by it `NAME.pem` + `NAME.key`: of brokers here, elsewhere, of old, of the future; of a client."""
    here = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    now = "240101000000Z"
    wanted = {  # name: extension, not before, not after (YYMMDDHHMMSSZ; two-digit years from 50 on are 19xx)
        "server": (here, now, "491231000000Z"),
        "foreign": ("subjectAltName=DNS:mq.example.cn", now, "491231000000Z"),
        "old": (here, "200101000000Z", "200201000000Z"),
        "future": (here, "480101000000Z", "491231000000Z"),
        "client": ("extendedKeyUsage=clientAuth", now, "491231000000Z"),
    }
    (directory / "serial").write_text("01\n", encoding="ascii")
    (directory / "index.txt").write_text("", encoding="ascii")
    (directory / "ca.cnf").write_text(
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\n"
        "policy=p\nunique_subject=no\n[p]\ncommonName=supplied\n",
        encoding="ascii",
    )

    def openssl(line: str) -> None:
        subprocess.run(["openssl", *line.split()], cwd=directory, check=True, capture_output=True)

    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    openssl(f"req -x509 {key} -keyout ca.key -out ca.pem -days 3650 -subj /CN=test-ca")
    for name, (extension, begin, end) in wanted.items():
        (directory / "extension").write_text(extension + "\n", encoding="ascii")
        openssl(f"req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}")
        openssl(
            f"ca -batch -notext -config ca.cnf -cert ca.pem -keyfile ca.key -in {name}.csr -out {name}.pem"
            f" -startdate {begin} -enddate {end} -extfile extension"
        )
