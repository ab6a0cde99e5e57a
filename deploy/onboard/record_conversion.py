"""From the loop's raw records to the log's messages, a batch at a time; runs where time does not matter."""

from __future__ import annotations

import numpy as np

from deploy.onboard.mcap_blocks import MessageBlock, channel_id, message_records
from offline_data import log_schema
from robot_configs.robot import DAMPING_QUANTUM, STIFFNESS_QUANTUM


def nanoseconds(times_s: np.ndarray) -> np.ndarray:
    """Clock times as the log's int64 `monotonic_ns`; equal times give equal stamps: records can be joined on them."""
    return np.rint(times_s * 1e9).astype(np.int64)


def message_block(topic: str, records: np.ndarray, source: int, wall_minus_clock_ns: int) -> MessageBlock:
    """The MCAP messages of a batch.

    Args:
        records: (n,) of `record_layout.RECORDS[topic]`.
        source: which of the file's sources they come from.
        wall_minus_clock_ns: what to add to the loop's clock for the wall clock [ns].
    """
    channel, number = log_schema.CHANNELS[topic], channel_id(topic, source)
    messages = message_records(channel, number, len(records))
    payload = messages["payload"]
    known = {field.name for field in channel.fields}
    for name in records.dtype.names or ():
        if name in known:
            payload[name] = records[name]
    payload["monotonic_ns"] = nanoseconds(records["time_s"])
    payload["wall_ns"] = wall_ns = payload["monotonic_ns"] + wall_minus_clock_ns
    if topic == log_schema.POLICY_TICK.topic:
        payload["state_monotonic_ns"] = nanoseconds(records["state_time_s"])
    if topic == log_schema.LOW_CMD.topic:
        # As the wire's fixed point carries them.
        payload["stiffness"] = np.floor(payload["stiffness"] / STIFFNESS_QUANTUM) * STIFFNESS_QUANTUM
        payload["damping"] = np.floor(payload["damping"] / DAMPING_QUANTUM) * DAMPING_QUANTUM
    messages["sequence"] = records["sequence"]
    messages["log_time"] = messages["publish_time"] = wall_ns
    return MessageBlock(number, wall_ns, messages.tobytes())
