"""An engine for tests that are not about engines: each step is made in this process, at once."""

from entroloop.study.loop import run_generation
from entroloop.system.progress_line import no_progress_of


class Here:
    """Makes the steps of a study one after the other, where no worker has to start."""

    def run_steps(self, job):
        schedule = job.schedule
        while len(schedule):
            number = next(schedule.ready())
            schedule.start(number)
            run_generation(schedule.steps[number], job.built, job.store, job.device, no_progress_of)
            yield schedule.done(number)
