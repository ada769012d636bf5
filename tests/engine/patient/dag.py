"""A step that takes its time, for the engine's tests of ending one."""

from patient.steps import step1_wait, step2_items

STEPS = (step1_wait.run, step2_items.run)
