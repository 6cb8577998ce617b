"""Checkpoints that survive a kill at any moment, as both examples use them.

Orbax writes a checkpoint under another name and renames it when it is complete, so a process that
is killed while it saves leaves the checkpoint before as the latest one. A checkpoint is two things:
the *state*, a pytree of arrays, and the *progress* that led to it, which JSON can hold.
"""

import shutil
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp


class Checkpoints:
    """The latest two checkpoints in a folder.

    Args:
        folder: where they are; it is made if need be.
        fresh: forget what is in it.
    """

    def __init__(self, folder: Path, *, fresh: bool = False):
        if fresh:
            _forget(folder)
        self._manager = ocp.CheckpointManager(
            folder.absolute(),
            options=ocp.CheckpointManagerOptions(
                max_to_keep=2, enable_async_checkpointing=False, cleanup_tmp_directories=True
            ),
        )

    def save(self, number: int, state: Any, progress: dict[str, Any]) -> None:
        """Saves a checkpoint.

        Args:
            number: how many epochs or steps lie behind it; greater than that of the one before.
            state: arrays in a pytree: variables of Linen, a state of NNX, …
            progress: the options and the history that led to it.
        """
        self._manager.save(
            number,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state), progress=ocp.args.JsonSave(progress)
            ),
        )

    def progress(self, run: dict[str, Any]) -> dict[str, Any] | None:
        """Returns the progress that was saved last, or None; it is that of this run, or an exit.

        Args:
            run: the options that decide about every number, as they were saved under ``"run"``.
        """
        number = self._manager.latest_step()
        if number is None:
            return None
        saved = self._manager.restore(
            number, args=ocp.args.Composite(progress=ocp.args.JsonRestore())
        )
        if saved.progress["run"] != run:
            raise SystemExit(
                f"{self._manager.directory.parent} holds another run: it was started with "
                f"{saved.progress['run']}, this one with {run}. Give the same options, another "
                "--out, or --fresh to start over."
            )
        return saved.progress

    def state(self, like: Any) -> Any:
        """Returns the state that was saved last, in the structure of another one."""
        saved = self._manager.restore(
            self._manager.latest_step(),
            args=ocp.args.Composite(state=ocp.args.StandardRestore(like)),
        )
        return saved.state

    def close(self) -> None:
        """Releases the folder."""
        self._manager.close()


def _forget(folder: Path) -> None:
    """Removes a folder of checkpoints; if it is killed meanwhile, no half of one is left."""
    discarded = folder.with_name(f"{folder.name}.discarded")
    shutil.rmtree(discarded, ignore_errors=True)
    if folder.exists():
        folder.rename(discarded)
        shutil.rmtree(discarded)
