"""TLS: a client's certificate, and every way in which a certificate is wrong, told apart."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.forwarding import Rig, until
from tests.mosquitto import Mosquitto, Subscriber, make_certificates
from tests.ports import free_port


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("certificates")
    make_certificates(directory)
    return directory


def tls_broker(directory: Path, certificates: Path, name: str = "server") -> Mosquitto:
    listener = (
        f"cafile {certificates}/ca.pem\ncertfile {certificates}/{name}.pem\nkeyfile {certificates}/{name}.key\n"
        "require_certificate true\nuse_identity_as_username true"
    )
    return Mosquitto(directory, listener=listener)


def files(certificates: Path, **changed: str | None) -> dict[str, str]:
    paths: dict[str, str | None] = {
        "ca_file": f"{certificates}/ca.pem",
        "cert_file": f"{certificates}/client.pem",
        "key_file": f"{certificates}/client.key",
        **changed,
    }
    return {key: path for key, path in paths.items() if path is not None}


@pytest.mark.parametrize("protocol", [5, 3])
def test_rounds_arrive_over_tls_with_a_client_certificate(tmp_path: Path, certificates: Path, protocol: int):
    context = ssl.create_default_context(cafile=f"{certificates}/ca.pem")
    context.load_cert_chain(f"{certificates}/client.pem", f"{certificates}/client.key")
    with tls_broker(tmp_path, certificates) as broker, Subscriber(broker.port, tls=context) as platform:
        url = f"mqtts://127.0.0.1:{broker.port}"
        with Rig(tmp_path, broker.port, url=url, protocol=protocol, **files(certificates)) as rig:
            rig.add(2000)
            until(lambda: rig.store.committed == 2000, 5, "commit")
            rig.start()
            rig.delivered()
            rig.add(5)
            rig.delivered()
            until(lambda: len(platform.ids()) == 2005, 5, "receipt")


@pytest.mark.parametrize(
    ("name", "changed", "trouble"),
    [
        ("foreign", {}, "TLS_NAME_MISMATCH"),
        ("old", {}, "TLS_EXPIRED"),
        ("future", {}, "TLS_NOT_YET_VALID"),
        ("server", {"ca_file": None}, "TLS_UNTRUSTED"),
        ("server", {"cert_file": None, "key_file": None}, "TLS_CERTIFICATE_WANTED"),
        ("server", {"cert_file": "/nowhere/client.pem"}, "FILE_UNREADABLE"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_named(
    tmp_path: Path, certificates: Path, name: str, changed: dict[str, str | None], trouble: str
):
    with tls_broker(tmp_path, certificates, name) as broker:
        url = f"mqtts://127.0.0.1:{broker.port}"
        with Rig(tmp_path, broker.port, url=url, **files(certificates, **changed)) as rig:
            rig.start()
            evidence = rig.trouble()
            assert evidence["trouble"] == trouble, evidence


def test_a_certificate_not_yet_valid_waits_for_the_time_while_the_clock_is_unset(tmp_path: Path, certificates: Path):
    with tls_broker(tmp_path, certificates, "future") as broker:
        url = f"mqtts://127.0.0.1:{broker.port}"
        with Rig(tmp_path, broker.port, clock=FakeClock(synced=False), url=url, **files(certificates)) as rig:
            rig.start()
            evidence = rig.trouble()
            assert evidence["trouble"] == "TLS_CLOCK_UNSET"
            assert evidence["address"] == url


def test_a_broker_that_does_not_speak_tls_is_named(tmp_path: Path, certificates: Path):
    with Mosquitto(tmp_path) as broker:
        url = f"mqtts://127.0.0.1:{broker.port}"
        with Rig(tmp_path, broker.port, url=url, **files(certificates)) as rig:
            rig.start()
            assert rig.trouble()["trouble"] in {"TLS_FAILED", "CLOSED", "TIMED_OUT"}


def test_a_port_where_nothing_listens_is_named(tmp_path: Path):
    with Rig(tmp_path, free_port()) as rig:
        rig.start()
        assert rig.trouble()["trouble"] == "CONNECTION_REFUSED"


@pytest.mark.parametrize(
    ("number", "trouble"), [(socket.EAI_NONAME, "NAME_UNKNOWN"), (socket.EAI_AGAIN, "NAME_SERVER_SILENT")]
)
def test_a_name_nobody_knows_is_told_from_a_silent_name_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, trouble: str
):
    def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror(number, "as scripted")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with Rig(tmp_path, 1, url="mqtt://mq.example.cn") as rig:
        rig.start()
        assert rig.trouble()["trouble"] == trouble


def test_a_host_that_accepts_and_says_nothing_is_given_up_after_three_seconds(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as mute, Rig(tmp_path, mute.getsockname()[1]) as rig:
        rig.start()
        evidence = rig.trouble()
    assert evidence["trouble"] == "TIMED_OUT"
    assert "CONNACK" in str(evidence["detail"])
