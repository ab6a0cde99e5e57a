"""What the wire's fixed point does to numbers, and what is refused before it would wrap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.onboard.packet_layout import (
    FixedPointRangeError,
)
from deploy.onboard.wire import (
    checked_fields,
    decode_low_cmd,
    encode_low_cmd,
    quantize_gains,
)
from robot_configs.robot import load_robot
from tests.deploy.onboard.wire_packets import FIELDS, command, one_joint


class TestFixedPoint:
    @given(
        st.floats(-128.0, 127.99609375, width=32),
        st.floats(0.0, 2047.96875, width=32),
        st.floats(0.0, 4095.9375, width=32),
    )
    @settings(max_examples=40, deadline=None)
    def test_truncates_toward_zero_by_less_than_a_quantum(
        self, torque: float, stiffness: float, damping: float
    ) -> None:
        sent = command(torque=one_joint(torque), stiffness=one_joint(stiffness), damping=one_joint(damping))
        received = decode_low_cmd(encode_low_cmd(sent))
        for name, quantum in (("torque", 1 / 256), ("stiffness", 1 / 32), ("damping", 1 / 16)):
            before, after = getattr(sent, name)[4], float(getattr(received, name)[4])
            assert abs(after) <= abs(before) < abs(after) + quantum
            assert after == 0.0 or np.sign(after) == np.sign(before)

    def test_encoding_what_was_received_changes_nothing(self) -> None:
        generator = np.random.default_rng(1)
        first = encode_low_cmd(
            command(
                position=generator.normal(size=12),
                velocity=generator.normal(size=12),
                torque=generator.normal(size=12),
                stiffness=generator.uniform(0, 100, 12),
                damping=generator.uniform(0, 10, 12),
            )
        )
        assert encode_low_cmd(decode_low_cmd(first)) == first

    def test_gains_a_motor_receives(self) -> None:
        stiffness, damping = quantize_gains(np.full(12, 20.02), np.full(12, 0.53))
        assert (stiffness.tolist(), damping.tolist()) == ([20.0] * 12, [0.5] * 12)

    @pytest.mark.parametrize(
        ("field", "last_in", "first_out"),
        [
            ("torque", 128.0 - 2**-17, 128.0),  # the last single-precision number below, here and in the next
            ("torque", -128.0, -128.00001),
            ("stiffness", 2048.0 - 2**-13, 2048.0),
            ("stiffness", 0.0, -1e-9),
            ("damping", 4096.0 - 2**-12, 4096.0),
            ("damping", 0.0, -1e-9),
            *[
                (name, sign * (2.0**128 - 2.0**104), sign * 3.4028235e38)
                for name in ("position", "velocity")
                for sign in (1.0, -1.0)
            ],
        ],
    )
    def test_ends_of_each_range(self, field: str, last_in: float, first_out: float) -> None:
        received = decode_low_cmd(encode_low_cmd(command(**{field: one_joint(last_in)})))
        assert getattr(received, field)[4] == pytest.approx(last_in, rel=1e-4)
        with pytest.raises(FixedPointRangeError, match=f"{field} of FL_thigh within"):
            encode_low_cmd(command(**{field: one_joint(first_out)}))

    def test_a_double_that_single_precision_rounds_up_over_the_end(self) -> None:
        """127.99999999 Nm is below 128 as a double and 128 as a float32, which would leave as -128 Nm."""
        with pytest.raises(FixedPointRangeError, match="torque"):
            encode_low_cmd(command(torque=one_joint(127.99999999)))

    def test_rows_of_numbers_that_fit(self) -> None:
        """In the order of FIELDS, in the units of the command, not rounded."""
        values = {name: np.arange(12.0) + 0.01 * row for row, name in enumerate(FIELDS)}
        rows = checked_fields(command(**values))
        assert rows.dtype == np.float64
        assert np.array_equal(rows, np.array([np.arange(12.0) + 0.01 * row for row in range(5)]))
        with pytest.raises(FixedPointRangeError, match="damping of FL_thigh"):
            checked_fields(command(damping=one_joint(np.nan)))

    @pytest.mark.parametrize("field", FIELDS)
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("joint", [0, 11])
    def test_not_finite(self, field: str, value: float, joint: int) -> None:
        with pytest.raises(FixedPointRangeError, match=f"{field} of {load_robot().joint_names[joint]}"):
            encode_low_cmd(command(**{field: one_joint(value, joint)}))
