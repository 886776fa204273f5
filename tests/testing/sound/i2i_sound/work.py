from i2i.bench.jobs import Worker


class Turns:
    """Cells in this process, one after another."""

    at_once = 1

    def run(self, jobs, *, report, stopped):
        worker = Worker()
        for job in jobs:
            if stopped():
                return
            report(worker.train(job, report))
