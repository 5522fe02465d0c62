"""Runners: which are gone, so that what they left may be removed."""

from dataclasses import replace

from ctacal.jobs.batch.runners import is_gone, new_runner

NOBODY = 2**22 + 1
"""Beyond the largest number of a process (proc(5), pid_max)."""


def test_a_runner_of_this_machine_is_gone_with_its_process() -> None:
    runner = new_runner(1, "0/1")
    assert not is_gone(runner)
    assert is_gone(replace(runner, pid=NOBODY))


def test_a_container_of_the_same_host_name_may_live() -> None:
    """Its processes have numbers of their own, which say nothing here."""
    other = replace(new_runner(1, "0/1"), pid=NOBODY, system="another kernel pid:[1]")
    assert not is_gone(other)
