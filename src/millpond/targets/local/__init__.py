"""The local target: a platform as plain processes on this machine."""
