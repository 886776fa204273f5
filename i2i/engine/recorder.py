"""What a run leaves behind and tells people: one place that writes its records, pictures and report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from i2i.building.probe import NetworkFacts
from i2i.engine.observer import Observer, Status
from i2i.engine.resuming import history
from i2i.engine.session import Session
from i2i.engine.throughput import Pace
from i2i.images.previews import strip_png
from i2i.kinds import Batch
from i2i.pages.report import Report
from i2i.recipe.recipe import Recipe
from i2i.runs.folder import RunFolder
from i2i.system.atomic import write_bytes
from i2i.system.device import peak_memory_mb

_SEEN_AS: Mapping[str, Status] = {"done": "done", "stopped": "interrupted", "interrupted": "interrupted"}


class Recorder:
    """Writes the run folder and the report, and passes each record on to the observer."""

    def __init__(
        self, recipe: Recipe, folder: RunFolder, observer: Observer, *, credit: str, session: Session
    ) -> None:
        self._folder, self._observer, self._session = folder, observer, session
        about = folder.provenance()
        self._report = Report(
            folder.report,
            name=recipe.name,
            recipe=recipe.to_toml(),
            environment={key: str(about[key]) for key in ("i2i", "python", "torch", "platform", "processor")}
            | {"device": about["device"]}
            | {key: str(value) for key, value in about["runtime"].items() if key != "device"}
            | history(about),
            plugins=about["plugins"],
            credits=[credit] if credit else [],
            total_steps=session.total_steps,
            directions=session.directions,
        )

    def replay(self, step: int) -> list[str]:
        """Take up the records and pictures of an earlier session, up to `step`; return notes on damage."""
        records, notes = self._folder.rewind(step)
        for record in records:
            self._report.add(record)
        for shown_at, strips in self._folder.strips():
            try:
                self._report.add_strips(shown_at, strips)
            except (OSError, ValueError) as error:
                notes.append(f"pictures of step {shown_at} are left out of the report: {error}")
        return notes

    def sync(self) -> None:
        """Wait until the records so far are on the disk."""
        self._folder.sync()

    def begin(self, facts: Sequence[NetworkFacts]) -> None:
        """Tell the observer what is about to run."""
        session = self._session
        runtime, pairs = session.runtime, len(session.data["train"])
        lines = {"data": f"{session.recipe.data.entry.ref}, {pairs:,} training pairs"}
        for fact in facts:
            lines[fact.path.removesuffix(".main").replace("generators", "generator", 1)] = (
                f"{fact.ref}, {fact.parameters:,} parameters"
            )
        threads = f"{runtime.threads} thread{'' if runtime.threads == 1 else 's'}"
        lines["device"] = f"{runtime.device}, {runtime.precision}, {threads}"
        self._observer.start(
            name=session.recipe.name,
            folder=self._folder.root,
            first_step=session.step,
            total_steps=session.total_steps,
            facts=lines,
            directions=session.directions,
        )

    def progress(self, pace: Pace) -> None:
        """Pass on that another step is done."""
        session = self._session
        self._observer.progress(
            session.step,
            images_per_second=pace.images_per_second,
            data_wait=pace.data_wait,
            epoch=session.epoch,
        )

    def train(self, logs: Mapping[str, Tensor], pace: Pace) -> None:
        """Record the losses of the step just taken."""
        record = self._record("train", pace) | {
            "images_per_second": round(pace.images_per_second, 2),
            "data_wait": round(pace.data_wait, 4),
            "losses": {name: float(value) for name, value in logs.items()},
            "learning_rates": self._session.learning_rates(),
        }
        self._keep(record)
        self._observer.train(record)

    def validation(self, metrics: Mapping[str, float], copied: Mapping[str, float], pace: Pace) -> None:
        """Record what a validation found."""
        record = self._record("val", pace) | {"metrics": dict(metrics), "copy_input": dict(copied)}
        self._keep(record)
        self._observer.validation(record)

    def show(self, batch: Batch, fake: Tensor) -> None:
        """Keep pictures of translations, in files and in the report."""
        session = self._session
        paths = []
        for index, name in enumerate(batch.ids):
            path = self._folder.strip(session.step, name)
            picture = strip_png(batch.source[index], fake[index], batch.target[index], session.spec)
            write_bytes(path, picture)
            paths.append(path)
        self._report.add_strips(session.step, paths)

    def write_report(self) -> None:
        """Bring report.html up to date."""
        self._report.write()

    def end(self, status: str, pace: Pace, *, error: str = "") -> dict[str, Any]:
        """Write the summary, the final report and the last lines; return the summary."""
        session = self._session
        seconds = pace.seconds
        memory = peak_memory_mb(session.runtime.device)
        summary: dict[str, Any] = {
            "status": status,
            "steps": session.step,
            "seconds": round(seconds, 3),
            "images_per_second": round(pace.overall, 2),
            "peak_memory_mb": None if memory is None else round(memory, 1),
            "metrics": session.best or session.figures,
            "model": self._folder.model.name if self._folder.model.is_file() else None,
        }
        if error:
            summary["error"] = error
        self._folder.summarise(summary)
        facts = {"training speed": f"{pace.overall:,.1f} images/s"}
        if memory is not None:
            facts["peak memory"] = f"{memory:,.0f} MB"
        if error:
            facts["error"] = error
        self._report.set_status(status, facts)
        self._report.write()
        seen: Status = _SEEN_AS.get(status, "failed")
        self._observer.end(status=seen, lines=self._folder.last_lines())
        return summary

    def _record(self, kind: str, pace: Pace) -> dict[str, Any]:
        return {
            "kind": kind,
            "step": self._session.step,
            "epoch": round(self._session.epoch, 4),
            "seconds": round(pace.seconds, 3),
        }

    def _keep(self, record: Mapping[str, Any]) -> None:
        self._folder.append(record)
        self._report.add(record)
