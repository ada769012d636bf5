"""Training of LoRAs: maths and loops on modules that are given."""
