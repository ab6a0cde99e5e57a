"""The thread that keeps the disk away from the control loop."""

from __future__ import annotations

import contextlib
import queue
import threading
from pathlib import Path
from typing import BinaryIO, Dict, List, Optional

from deploy.onboard.mcap_blocks import BlockMcapWriter, MessageBlock, topic_of
from offline_data.log_schema import CHANNELS, METADATA_NAME, SessionMetadata

QUEUE_CHUNKS = 32
"""Chunks that may wait for the disk: several seconds' worth."""

SOURCE = "loop"
"""Name of the one source of such a file."""

LIVENESS_CHECK_S = 0.1
"""How often a blocked `put` looks whether the thread that should free a place is still there [s]."""


class DiskWriter:
    """Compresses and writes chunks in a thread of its own; counts what it could not write instead of raising.

    Args:
        path: must not exist yet: a log is never overwritten.
        wait_for_disk: `put` blocks while the queue is full instead of dropping the chunk.

    Raises:
        OSError: the file cannot be created, or its head not be written; then there is no file.
    """

    def __init__(self, path: Path, metadata: SessionMetadata, wait_for_disk: bool) -> None:
        self._wait_for_disk = wait_for_disk
        self.written: Dict[str, int] = dict.fromkeys(CHANNELS, 0)
        """Messages on disk, by topic; final after `close`."""
        self.dropped: Dict[str, int] = dict.fromkeys(CHANNELS, 0)
        """Messages lost, by topic; final after `close`."""
        self.error = ""
        """The first failure of the disk; empty if there was none."""
        self._queue: queue.Queue[Optional[List[MessageBlock]]] = queue.Queue(QUEUE_CHUNKS)
        stream = open(path, "xb")  # closed by the thread
        try:
            writer = BlockMcapWriter(stream, METADATA_NAME, metadata.to_record(), sources=(SOURCE,))
        except OSError as error:
            with contextlib.suppress(OSError):
                stream.close()  # which tries to write the rest once more
            path.unlink()
            raise OSError(error.errno, error.strerror, str(path)) from None
        # A daemon: whoever leaves without `close` loses what is still waiting, but the program ends.
        self._thread = threading.Thread(target=self._run, args=(stream, writer), name="disk_writer", daemon=True)
        self._thread.start()

    def put(self, blocks: List[MessageBlock]) -> None:
        """Hand over the blocks of one chunk."""
        while True:
            try:
                self._queue.put(blocks, block=self._wait_for_disk, timeout=LIVENESS_CHECK_S)
                return
            except queue.Full:
                if not (self._wait_for_disk and self._thread.is_alive()):
                    self._count(self.dropped, blocks)
                    return

    def close(self) -> None:
        """Write what is waiting, finish the file, and end the thread; closing twice is allowed."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _run(self, stream: BinaryIO, writer: BlockMcapWriter) -> None:
        blocks = self._queue.get()
        while blocks is not None:
            self._write_chunk(writer, blocks)
            blocks = self._queue.get()
        try:
            if not self.error:
                writer.finish()
            stream.close()
        except OSError as error:
            self.error = self.error or str(error)

    def _write_chunk(self, writer: BlockMcapWriter, blocks: List[MessageBlock]) -> None:
        # After one failure the file's end is uncertain, and a chunk behind a torn one could not be found again.
        if self.error:
            self._count(self.dropped, blocks)
            return
        try:
            writer.write_chunk(blocks)
        except OSError as error:
            self.error = str(error)
            self._count(self.dropped, blocks)
        else:
            self._count(self.written, blocks)

    def _count(self, counts: Dict[str, int], blocks: List[MessageBlock]) -> None:
        for block in blocks:
            counts[topic_of(block.channel_id)] += len(block.log_times_ns)
