"""What a run leaves behind and tells people: one place that writes its records, pictures and report."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from torch import Tensor

from i2i.building.objective import objective
from i2i.building.probe import NetworkFacts
from i2i.building.stages_told import stages_told
from i2i.engine.agreement import disagreement
from i2i.engine.cost import Cost
from i2i.engine.next_commands import as_typed, next_commands
from i2i.engine.observer import Observer, RunStart, Status
from i2i.engine.resuming import history
from i2i.engine.session import Session
from i2i.engine.throughput import Throughput
from i2i.errors import I2IError
from i2i.images.previews import strip_png
from i2i.kinds import Data
from i2i.pages.report import Report
from i2i.recipe.recipe import Recipe
from i2i.records import Batch
from i2i.runs import weights, worst
from i2i.runs.folder import RunFolder, file_name_of, now
from i2i.runs.metrics_log import METRICS
from i2i.runs.worst import WorstImage, WorstImages
from i2i.system.atomic import write_bytes, write_text
from i2i.system.device import peak_memory_mb

_SEEN_AS: Mapping[str, Status] = {"done": "done", "stopped": "interrupted", "interrupted": "interrupted"}


class Recorder:
    """Writes the run folder and the report, and passes each record on to the observer."""

    def __init__(
        self, recipe: Recipe, folder: RunFolder, observer: Observer, data: Mapping[str, Data]
    ) -> None:
        self._recipe, self._folder, self._observer, self._data = recipe, folder, observer, data

    def open(self, session: Session, *, validated: bool) -> list[str]:
        """Begin the report, with the records and pictures of earlier sessions up to the session's step.

        Without `validated`, that step is yet to be validated, and an earlier record of that is dropped.
        Returns notes on damage.
        """
        self._folder.traceback.unlink(missing_ok=True)  # of a failure before this start
        about = self._folder.provenance()
        credit: str = getattr(self._data["train"], "credit", "")
        self._report = Report(
            self._folder.report,
            name=self._recipe.name,
            recipe=self._recipe.to_toml(),
            environment={key: str(about[key]) for key in ("i2i", "python", "torch", "platform", "processor")}
            | {"device": about["device"]}
            | {key: str(value) for key, value in about["runtime"].items() if key != "device"}
            | history(about),
            plugins=about["plugins"],
            credits=[credit] if credit else [],
            total_steps=session.total_steps,
            directions=session.scorer.directions,
            command=as_typed(about["command"]) if about.get("command") else "",
            started=about.get("started", ""),
            objective=objective(self._recipe),
            stages=stages_told(self._recipe, session.total_steps),
            aligned=session.scored.aligned,
        )
        self._command: list[str] = about.get("command", [])
        records, notes = self._folder.rewind(session.step, validated=validated)
        if session.step and not records:
            notes.append(
                f"{METRICS} holds no record of the steps up to {session.step:,}: the report lacks them."
            )
        for record in records:
            self._report.add(record)
        # A callback may be told once more of the step that a run goes on from, and records it again.
        self._kept = {_identity(record) for record in records if record["step"] == session.step}
        self._told = {record["text"] for record in records if record["kind"] == "note"}
        for shown_at, strips in self._folder.strips():
            try:
                self._report.add_strips(shown_at, strips)
            except (OSError, ValueError) as error:
                notes.append(f"pictures of step {shown_at} are left out of the report: {error}")
        shown = worst.read(self._folder.worst, upto=session.step if validated else session.step - 1)
        if shown:
            try:
                self._report_worst(shown)
            except (OSError, ValueError) as error:
                notes.append(f"the worst images of step {shown.step} are left out of the report: {error}")
        return notes

    def begin(
        self, session: Session, facts: Sequence[NetworkFacts], cost: Cost | None, throughput: Throughput
    ) -> None:
        """Tell the observer what is about to run, and what that will cost, as far as it was measured."""
        self._at = _place(session, throughput)
        runtime, pairs = session.runtime, len(self._data["train"])
        what = "pairs" if session.spec.aligned else "sources, without pairs"
        lines = {"data": f"{self._recipe.data.entry.ref}, {pairs:,} training {what}"}
        for fact in facts:
            lines[fact.path.removesuffix(".main").replace("generators", "generator", 1)] = (
                f"{fact.ref}, {fact.parameters:,} parameters"
            )
        lines["objective"] = objective(self._recipe)
        if self._recipe.stages:
            lines["stages"] = stages_told(self._recipe, session.total_steps)
        threads = f"{runtime.threads} thread{'' if runtime.threads == 1 else 's'}"
        lines["device"] = f"{runtime.device}, {runtime.precision}, {threads}"
        if cost is not None:
            train, steps = self._recipe.train, session.total_steps
            lines["cost"] = cost.told(train, steps=steps, begun=session.step)
        self._observer.start(
            RunStart(
                self._recipe.name,
                self._folder.root,
                session.step,
                session.total_steps,
                lines,
                session.scorer.directions,
            )
        )

    def progress(self, session: Session, throughput: Throughput) -> None:
        """Pass on that another step is done."""
        self._at = _place(session, throughput)
        self._observer.progress(
            session.step,
            images_per_second=throughput.images_per_second,
            data_wait=throughput.data_wait,
            epoch=session.epoch,
        )

    def train(self, session: Session, logs: Mapping[str, Tensor], throughput: Throughput) -> None:
        """Record the losses of the step just taken."""
        self._at = _place(session, throughput)
        record = {"kind": "train", **self._at} | {
            "images_per_second": round(throughput.images_per_second, 2),
            "data_wait": round(throughput.data_wait, 4),
            "losses": {name: float(value) for name, value in logs.items()},
            "learning_rates": session.learning_rates(),
        }
        self._write(record)
        self._observer.train(record)

    def validation(
        self,
        session: Session,
        metrics: Mapping[str, float],
        copied: Mapping[str, float],
        throughput: Throughput,
    ) -> None:
        """Record what a validation found."""
        found = {"metrics": dict(metrics), "copy_input": dict(copied)}
        self._at = _place(session, throughput)
        record = {"kind": "val", **self._at} | found
        self._write(record)
        self._observer.validation(record)
        self._show_worst(session)

    def keep(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """Record what a callback found."""
        record = {"kind": kind, **self._at, "step": step, "values": dict(values)}
        if _identity(record) not in self._kept:
            self._write(record)

    def tell(self, step: int, text: str) -> None:
        """Tell the person what a callback has to say, and keep it; the same sentence is told once."""
        if text not in self._told:
            self._told.add(text)
            self._write({"kind": "note", **self._at, "step": step, "text": text})
            self._observer.note(text)

    def show(self, step: int, batch: Batch, fake: Tensor) -> None:
        """Keep pictures of translations, in files and in the report."""
        spec, paths = self._data["train"].spec, []
        for index, name in enumerate(batch.ids):
            path = self._folder.strip(step, name)
            write_bytes(path, strip_png(batch.source[index], fake[index], batch.target[index], spec))
            paths.append(path)
        self._report.add_strips(step, paths)

    def keep_scores(self, session: Session) -> None:
        """Keep what the last validation found of each image."""
        write_text(self._folder.images, session.scores.csv())

    def _show_worst(self, session: Session) -> None:
        """Keep the held-out images that the last validation scored worst, in files and in the report."""
        figure, spec = session.worst.figure, self._data["train"].spec
        if figure is None:
            return
        images, strips = [], dict[str, bytes]()
        for place, image in enumerate(session.worst.images, start=1):
            name = f"{place}-{file_name_of(image.id)}.png"
            copied = worst.number(session.copied(figure, image.id))
            images.append(WorstImage(image.id, worst.number(image.value), copied, name))
            strips[name] = strip_png(image.source, image.fake, image.target, spec)
        found = WorstImages(session.step, figure, images)
        worst.write(self._folder.worst, found, strips)
        self._report_worst(found)

    def _report_worst(self, found: WorstImages) -> None:
        strips = [
            (self._folder.worst / image.file, image.id, image.value, image.copied) for image in found.images
        ]
        self._report.show_worst(found.step, found.figure, strips)

    def write_report(self, session: Session, throughput: Throughput, *, status: str = "running") -> None:
        """Bring report.html up to date."""
        self._report.reach(session.step, throughput.seconds)
        self._report.suggest(next_commands(self._folder, status, self._command))
        self._report.write()

    def end(
        self, session: Session, status: str, throughput: Throughput, *, error: str = ""
    ) -> dict[str, Any]:
        """Write the summary, the final report and the last lines; return the summary."""
        seconds = throughput.seconds
        memory = peak_memory_mb(session.runtime.device)
        summary: dict[str, Any] = {
            "status": status,
            "steps": session.step,
            "ended": now(),
            "seconds": round(seconds, 3),
            "images_per_second": round(throughput.overall, 2),
            "peak_memory_mb": None if memory is None else round(memory, 1),
            "metrics": session.best or session.figures,
            "model": self._folder.model.name if self._folder.model.is_file() else None,
        }
        if session.step < session.total_steps and session.out_of_patience:
            summary["ended_early"] = True
        if error:
            summary["error"] = error
        self._folder.summarise(summary)
        facts = {"training speed": f"{throughput.overall:,.1f} images/s"}
        if memory is not None:
            facts["peak memory"] = f"{memory:,.0f} MB"
        if error:
            facts["error"] = error
        self._report.set_status(status, facts, ended=summary["ended"])
        self.write_report(session, throughput, status=status)
        seen: Status = _SEEN_AS.get(status, "failed")
        self._observer.end(status=seen, lines=self._folder.last_lines())
        return summary

    def disagreement(self, session: Session) -> str | None:
        """Return how the model that was written answers otherwise than the method does, in words, if so."""
        return disagreement(session, lambda name: weights.read(self._folder.root / name))

    def keep_traceback(self, error: BaseException) -> None:
        """Leave the whole story of what nobody foresaw in the folder, for whoever mends it."""
        with suppress(I2IError, OSError):  # a full disk must not hide `error`
            write_text(self._folder.traceback, "".join(traceback.format_exception(error)))
            self._observer.note(f"The whole traceback is in {self._folder.traceback}")

    def _write(self, record: Mapping[str, Any]) -> None:
        self._folder.append(record)
        self._report.add(record)


def _identity(record: Mapping[str, Any]) -> tuple[int, str, frozenset[str]]:
    """What a record of a callback's is known by: a step, a kind, and the names of its values."""
    return record["step"], record["kind"], frozenset(record.get("values", ()))


def _place(session: Session, throughput: Throughput) -> dict[str, Any]:
    """Where a run is, as each of its records says."""
    return {
        "step": session.step,
        "epoch": round(session.epoch, 4),
        "seconds": round(throughput.seconds, 3),
    }
