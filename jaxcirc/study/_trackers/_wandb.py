"""Numbers as a run of Weights & Biases."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ._tracker import AbstractTracker, TrackedRun, TrackerSpec


class WandB(AbstractTracker):
    """A run of Weights & Biases, with the report as its one artefact.

    The service counts calls as steps of its own and drops what goes back in them, so
    the checkpoint's step is a number among the others, and all of them are drawn
    against it. A run that is taken up again goes on under the same id.

    Args:
        project: The project that the run belongs to.
        entity: The user or team; the user's default if empty.
        run_name: What the run is called there; the study's name if empty.
        group: The group that the run belongs to, if any.
        tags: Words to find it by.
        mode: `offline` writes to the folder alone, to be sent later by `wandb sync`.
            None leaves it to the environment variable `WANDB_MODE`, which may be
            unset: then the run is sent as it goes.
        folder: Where wandb keeps its files; `tracking` in the run's folder if empty.
    """

    def __init__(
        self,
        project: str = "jaxcirc",
        entity: str = "",
        run_name: str = "",
        group: str = "",
        tags: tuple[str, ...] = (),
        mode: Literal["online", "offline"] | None = None,
        folder: str = "",
    ):
        self._given: dict[str, Any] = {
            "project": project,
            "entity": entity or None,
            "group": group or None,
            "tags": tags or None,
            "mode": mode,
        }
        self._run_name, self._folder = run_name, folder
        self._run: Any = None

    def start(self, run: TrackedRun, state: Mapping[str, Any]) -> None:
        """Begin a run, or go on with that of an earlier sitting.

        Args:
            run: Whose numbers will come.
            state: The `id` of the run.

        Raises:
            Exception: the service cannot be reached, or does not know the user.
        """
        import wandb  # pyright: ignore[reportMissingImports]

        folder = run.local(self._folder)
        folder.mkdir(parents=True, exist_ok=True)
        known = {"id": state["id"], "resume": "allow"} if state else {}
        # The terminal is the study's; a question for a key ends by itself.
        settings = wandb.Settings(console="off", silent=True, login_timeout=60)
        self._run = wandb.init(
            dir=str(folder),
            name=self._run_name or run.name,
            config=dict(run.study),
            settings=settings,
            **self._given,
            **known,
        )
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def write(self, step: int | None, values: Mapping[str, float]) -> None:
        """Log all numbers of a step in one call, or those of the run as its summary.

        Args:
            step: The checkpoint's step, or None.
            values: Name -> number.
        """
        if step is None:
            self._run.summary.update(dict(values))
        else:
            self._run.log({"step": step, **values})

    def state(self) -> dict[str, Any]:
        """The id of the run."""
        return {"id": self._run.id}

    def page(self, path: Path) -> None:
        """Add the report as an artefact.

        Args:
            path: The page.
        """
        import wandb  # pyright: ignore[reportMissingImports]

        artefact = wandb.Artifact(f"report-{self._run.id}", type="report")
        artefact.add_file(str(path), name="report.html")
        self._run.log_artifact(artefact)

    def close(self) -> None:
        """Wait until everything is sent, or written."""
        self._run.finish()


SPEC = TrackerSpec(
    "wandb",
    "a run of Weights & Biases, online or offline",
    WandB,
    module="wandb",
    install="jaxcirc[wandb]",
)
