"""An engine that is none; beside it lies the real zygote.py."""
