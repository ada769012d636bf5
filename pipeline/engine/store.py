"""The artifact store: immutable objects by digest, and one directory for each finished run.

objects/ab/cdef...                               bytes, named by their own digest; never rewritten
runs/<hash>-<show>[-<episode>]-<step>-<version>/  run.json, output.json and files/, hard links into objects
heads/<step>/<unit>                              the name of the run that stands for this unit now
failures/<step>/<unit>.json                      the last failure, until the same unit succeeds
memo/<step>/ab/cdef....json                      results item by item, so that a killed run resumes
locks/, tmp/                                     work in hand; swept when its process is gone
"""
