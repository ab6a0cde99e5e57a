"""Did the policy that is to be improved, or one that it came from, make this data set? Told by running it again.

    signals of the log ──► policy graph ──► mean action  ==  mean action of the log ?

A data set names the bundles that acted by their digests. Another policy than the named one, another version of it, or
signals in another order (swapped legs) give another mean; improvement would then start from a policy that is not the
one that walked.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from offline_data.dataset import Dataset
from policy.ancestry import ancestry
from policy.bundle import Bundle
from policy.export import load_graph
from policy.transitions import from_columns
from robot_configs.errors import Go1Error

_TOLERANCE = 1e-3
"""Of a mean action, relative above one: onnxruntime and torch differ by 1e-5, the policy of one round from that of the
next by 1e-2."""
_TOLERATED_SHARE = 0.05
"""Of the steps that may differ: behind a hole in a log the memory comes back only after some steps."""
_SHOWN = 12
"""Digits of a digest in a message."""


class LoggedPolicyError(Go1Error):
    """Logs of another policy than they are said to be of."""


def require_logged_policy(data: Dataset, policy: Path) -> dict[str, Any]:
    """Refuse a data set that was not made by the policy in the bundle `policy` or by one that it came from.

    Returns:
        What was replayed, for the report: `replayed` and `not_at_hand`, digests; `differing_share` of the steps.
        A data set that names no bundle, as imported recordings do, is not replayed.

    Raises:
        LoggedPolicyError: it names a policy that is none of them, as far as the bundles beside `policy` show the whole
            chain, or the mean actions in it are not those of the policy it names.
    """
    chain = ancestry(policy)
    known = {ancestor.sha256: ancestor.bundle for ancestor in chain}
    strangers = [digest for digest in data.bundles if digest not in known]
    whole = all(ancestor.bundle is not None for ancestor in chain)  # else a stranger may be further up than we can see
    if strangers and whole:
        raise LoggedPolicyError(
            f"logs of the policy {chain[0].sha256[:_SHOWN]} ({policy}), or of one that it came from",
            f"logs of {', '.join(digest[:_SHOWN] for digest in strangers)} in {data.path}: another policy version",
            "Give the bundle that made the logs, or none, to begin from the cloned behaviour.",
        )
    at_hand = [bundle for digest in data.bundles if (bundle := known.get(digest)) is not None]
    away = [digest for digest in data.bundles if known.get(digest) is None]
    record: dict[str, Any] = {"replayed": [], "not_at_hand": away, "differing_share": None}
    if away or not at_hand or "action_mean" not in data:
        return record  # a row does not say which of several bundles acted: with one missing, none can be held to it
    share, largest = _difference(data, at_hand)
    if share > _TOLERATED_SHARE:
        raise LoggedPolicyError(
            f"the mean actions of {', '.join(bundle.sha256[:_SHOWN] for bundle in at_hand)} in {data.path}",
            f"others in {share:.0%} of the steps, by up to {largest:.2g}: another policy version acted, or the signals "
            "are in another order (swapped legs)",
            "Find out which policy walked, and whether joints were renamed between robot and log; log anew.",
        )
    return {**record, "replayed": [bundle.sha256 for bundle in at_hand], "differing_share": share}


@torch.no_grad()
def _difference(data: Dataset, bundles: Sequence[Bundle]) -> tuple[float, float]:
    """Share of the steps that none of the policies explains, and the largest difference of a mean action."""
    errors, differ = [], []
    for bundle in bundles:
        graph = load_graph(bundle)
        steps = from_columns(data, graph)
        error = (graph.actor(steps.observation)[0] - steps.action_mean).abs()
        errors.append(error.amax(1))
        differ.append((error > _TOLERANCE * steps.action_mean.abs().clamp(min=1.0)).any(1))
    unexplained = torch.stack(differ).all(0)
    return float(unexplained.float().mean()), float(torch.stack(errors).amin(0).max())
