"""Paced connections use up half of the ports, and all of them, when the ceiling says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.analysis.ceiling import ceiling
from tests import needs
from tests.bench_process import trials

RATE, PORTS = 100, 400


@pytest.mark.long
@needs.in_namespaces
def test_half_of_the_ports_and_all_are_used_when_predicted(tmp_path: Path) -> None:
    flags = ("--mode", "short", "--rate", str(RATE), "--ports", str(PORTS), "-c", "8", "--trials", "1")
    *_, trial = trials(*flags, "--warmup", "200ms", "--duration", "5s", root=tmp_path)
    half_s, end_s = ceiling(PORTS).slows_after_s(RATE), ceiling(PORTS).exhausted_after_s(RATE)
    # On a machine that others use, what is due is sent late.
    within = 0.05 if trial["valid"] else 0.3
    assert trial["ports"]["half_range_passed_s"] == pytest.approx(half_s, rel=within)
    assert trial["ports"]["exhausted_s"] == pytest.approx(end_s, rel=within)
