"""What a broker's section may say."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from agent.messages import LANGUAGES, Messages
from agent.uplinks.contract import MESSAGE_TROUBLES, REFUSALS, Trouble
from agent.uplinks.mqtt.settings import MqttSettings


@pytest.mark.parametrize(
    "url", ["mqtt://127.0.0.1", "mqtts://mq.example.cn:8883", "mqtt://[::1]:1884", "mqtts://mq.example.cn/"]
)
def test_a_broker_is_named_by_its_url(url: str):
    assert MqttSettings(url=url).url == url


@pytest.mark.parametrize(
    "url",
    [
        "mq.example.cn",
        "http://mq.example.cn",
        "mqtt://",
        "mqtt://mq.example.cn:port",
        "mqtt://mq.example.cn:70000",
        "mqtt://mq.example.cn:0",
        "mqtt://user:secret@mq.example.cn",
        "mqtt://mq.example.cn/path",
        "mqtt://a..b",
    ],
)
def test_a_url_that_is_none_is_refused(url: str):
    with pytest.raises(ValidationError):
        MqttSettings(url=url)


@pytest.mark.parametrize("topic", ["a/#", "+/x", "#", "$SYS", ""])
def test_topics_with_wildcards_are_refused(topic: str):
    with pytest.raises(ValidationError):
        MqttSettings(url="mqtt://127.0.0.1", topic=topic)


def test_the_options_of_the_uplink_are_what_the_section_says():
    options = MqttSettings(url="mqtt://127.0.0.1", reconnect_max="1s", encoding="json+zlib").options()
    assert options.reconnect_max_ms == 1000
    assert options.encoding == "json+zlib"
    assert options.protocol == 5


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_trouble_has_a_sentence(lang: str):
    messages = Messages(lang)
    assert not [trouble for trouble in Trouble if not messages.has(f"trouble.{trouble}")]


def test_no_trouble_concerns_both_us_and_the_message():
    assert not REFUSALS & MESSAGE_TROUBLES


@pytest.mark.parametrize("form", ["thingsboard", "thingsboard-device"])
def test_thingsboards_forms_are_never_compressed(form: str):
    with pytest.raises(ValidationError, match="mqtt-encoding"):
        MqttSettings(url="mqtt://127.0.0.1", format=form, encoding="json+zlib")
    assert MqttSettings(url="mqtt://127.0.0.1", format=form).options().format == form
