"""A small real pipeline for the engine's tests."""

from pipeline.engine.step import Source, check
from toy.records import Tape
from toy.steps import step1_read, step2_count, step2_double, step3_total

SOURCES = (Source("tape", Tape),)
STEPS = (step1_read.run, step2_double.run, step2_count.run, step3_total.run)
check(SOURCES, STEPS)
