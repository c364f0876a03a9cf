"""The format of an event: fields are found by name, wherever a kernel puts them."""

from __future__ import annotations

import numpy as np
import pytest

from bench.watch.event_format import EventField, parse

FORMAT = """name: inet_sock_set_state
ID: 1234
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;
\tfield:__u16 sport;\toffset:24;\tsize:2;\tsigned:0;
\tfield:__u8 saddr_v6[16];\toffset:40;\tsize:16;\tsigned:0;
\tfield:enum sk_rst_reason reason;\toffset:56;\tsize:4;\tsigned:0;

print fmt: "family=%s offset:9; size:9;", REC->family
"""


def test_the_number_and_the_fields_are_read() -> None:
    found = parse(FORMAT)
    assert found.number == 1234
    assert found.size == 60
    assert dict(found.fields) == {
        "common_type": EventField(0, 2),
        "common_pid": EventField(4, 4),
        "skaddr": EventField(8, 8),
        "sport": EventField(24, 2),
        "saddr_v6": EventField(40, 16),
        "reason": EventField(56, 4),
    }


def test_records_are_read_where_the_format_says() -> None:
    kind = parse(FORMAT).dtype({"sport": "u", "saddr_v6": "words"})
    raw = bytes(24) + b"\x34\x12" + bytes(14) + bytes(12) + b"\x01\0\0\0" + bytes(4)
    record = np.frombuffer(raw, kind)[0]
    assert record["sport"] == 0x1234
    assert record["saddr_v6"].tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("declared", "size"), [("__u8 protocol", 1), ("__u16 protocol", 2), ("int protocol", 4)]
)
def test_a_number_has_the_size_that_this_kernel_gives_it(declared: str, size: int) -> None:
    # `protocol` of sock:inet_sock_set_state had one byte before Linux 5.6.
    kind = parse(f"\tfield:__u8 protocol;\toffset:8;\tsize:{size};\tsigned:0;\n").dtype({"protocol": "u"})
    assert np.frombuffer(bytes(8) + b"\x06" + bytes(size - 1), kind)[0]["protocol"] == 6


@pytest.mark.parametrize(("name", "kind"), [("saddr_v6", "u"), ("sport", "words")])
def test_a_field_of_another_shape_is_refused(name: str, kind: str) -> None:
    with pytest.raises(ValueError, match=f"{name} has"):
        parse(FORMAT).dtype({name: kind})


def test_a_field_that_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match="nowhere"):
        parse(FORMAT).dtype({"nowhere": "u"})
